"""A reply is evidence, its grade is derived: other graders and versions ask the model nothing."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from stubs import Stub, lines, make_rows

from hf_rap import (
    Attention,
    Controls,
    Exact,
    Rollouts,
    add_scores,
    cde_score,
    collect_adaptive,
    collect_evidence,
    collect_in_run,
    difficulty_score,
    grader,
    list_runs,
    regrade,
    select_cognitive,
)
from hf_rap.errors import MissingColumnError, RunError, SettingError
from hf_rap.evidence.regrade import count_as_solved
from hf_rap.runs.fill import Run
from hf_rap.runs.folder import RunFolder
from hf_rap.verify import VERIFIER_VERSION, judge_each


@dataclass(frozen=True)
class Tens:
    """Graded by the first digit behind the point of a reply's thought; golds do not matter."""

    version: str = "1"
    by: int = 10

    def __call__(self, reply, gold, question):
        return int(reply.partition("0.")[2][:1] or 0) / self.by


def rollouts(log=None, attempts=3, **options):
    return Rollouts(Stub(log=log), attempts=attempts, **options)


def test_a_new_version_of_the_verifier_asks_no_reply(run, log, monkeypatch):
    """60 rows: every reply is graded again, none is asked, and the settings name the version of now."""
    ds = make_rows(60)
    first = collect_in_run(ds, rollouts(log), run)
    asked = lines(log)
    monkeypatch.setattr("hf_rap.evidence.grading.VERIFIER_VERSION", "next")
    seen = []
    monkeypatch.setattr(
        "hf_rap.evidence.grading.judge_each",
        lambda *given, **options: seen.append(given) or judge_each(*given, **options),
    )
    second = collect_in_run(ds, rollouts(log), run)
    assert lines(log) == asked
    assert len(seen) == sum(row is not None for arm in ("image", "text") for row in first[f"rap_{arm}_responses"])
    assert second["rap_image_responses"][:] == first["rap_image_responses"][:]
    assert second["rap_image_rewards"][:] == first["rap_image_rewards"][:]
    assert {json.loads(text)["verifier_version"] for text in second["rap_settings"] if text} == {"next"}
    seen.clear()
    assert collect_in_run(ds, rollouts(log), run).to_list() == second.to_list()
    assert (seen, lines(log)) == ([], asked)
    (held,) = list_runs(run)
    assert (held.rows, held.fewest_attempts) == (60, 3)
    assert held.graders == (f'["hf_rap", "{VERIFIER_VERSION}", "wrong"]', '["hf_rap", "next", "wrong"]')


def test_another_grader_gives_what_it_would_have_given_in_one_go(run, log):
    """Rows whose gold the built-in verifier could not read are asked now, and only those; back again nothing is."""
    ds = make_rows(30)
    built_in = collect_in_run(ds, rollouts(log), run)
    unreadable = {row["id"] for row in ds.to_list() if row["answer"] is None}
    before = len(lines(log))
    own = collect_in_run(ds, rollouts(log, verifier=Tens()), run)
    assert {line.split()[0] for line in lines(log)[before:]} == unreadable
    assert own.to_list() == collect_evidence(ds, rollouts(verifier=Tens())).to_list()
    after = lines(log)
    assert collect_in_run(ds, rollouts(log), run).to_list() == built_in.to_list()
    assert lines(log) == after


def test_other_versions_of_a_grader_are_other_grades(run, log):
    """As is what cut replies count as; the threshold is not: rewards stay, settings say it."""
    ds = make_rows(12)
    collect_in_run(ds, rollouts(log, verifier=Tens()), run)
    asked = lines(log)
    halved = collect_in_run(ds, rollouts(log, verifier=Tens("2", by=20), correct=0.25), run)
    assert halved.to_list() == collect_evidence(ds, rollouts(verifier=Tens("2", by=20), correct=0.25)).to_list()
    parts = len(list(Path(run).glob("*/*.parquet")))
    other = collect_in_run(ds, rollouts(log, verifier=Tens("2", by=20), correct=0.5), run)
    assert len(list(Path(run).glob("*/*.parquet"))) == parts
    assert {json.loads(text)["correct"] for text in other["rap_settings"]} == {0.5}
    assert lines(log) == asked


def test_more_attempts_top_up_what_another_grader_has_graded(run, log):
    """The old ones are graded, the new ones asked; then of one arm alone."""
    ds = make_rows(20)
    collect_in_run(ds, rollouts(attempts=2, verifier=Tens()), run)
    both = collect_in_run(ds, rollouts(log, attempts=5, verifier=Tens("2")), run)
    assert {line.split(" ", 2)[2] for line in lines(log)} == {"2 3"}
    assert both.to_list() == collect_evidence(ds, rollouts(attempts=5, verifier=Tens("2"))).to_list()


def test_adaptive_attempts_are_regraded_too(run, log):
    """What another grader saw is planned anew from the same replies; what counts as solved is the threshold's."""
    ds = make_rows(40)
    collect_in_run(ds, rollouts(attempts=5, verifier=Tens()), run)
    options = {"attempts": 5, "verifier": Tens("2"), "correct": 0.7}
    rule = Exact(min_cde=0.3, replace_easy=False)
    spared = collect_adaptive(ds, rollouts(log, **options), rule, run)
    assert lines(log) == []
    whole = collect_evidence(ds, rollouts(**options))
    scored = [add_scores(one, cde_score, difficulty_score) for one in (spared, whole)]
    decided = [select_cognitive(one, min_cde=0.3, replace_easy=False).selected["id"][:] for one in scored]
    assert decided[0] == decided[1]
    assert len(decided[0]) > 3


def test_rows_that_are_not_there_keep_their_old_grades(run, log):
    """Another dataset in the same run grades its own rows; the others are graded when they come back."""
    ds = make_rows(20)
    collect_in_run(ds, rollouts(log, verifier=Tens()), run)
    asked = lines(log)
    some = collect_in_run(ds.select(range(5, 9)), rollouts(log, verifier=Tens("2")), run)
    assert len(some) == 4
    assert len(collect_in_run(ds.shuffle(seed=1), rollouts(log, verifier=Tens("2")), run)) == 20
    assert lines(log) == asked


def test_a_kill_while_grading_loses_nothing(run, log):
    """What was graded again stays, the rest is graded the next time; no reply is asked."""
    ds = make_rows(20)
    collect_in_run(ds, rollouts(log, verifier=Tens()), run)
    asked, calls = lines(log), []

    @grader(version="9")
    def slow(reply, gold, question):
        calls.append(reply)
        if len(calls) == 60:
            raise KeyboardInterrupt
        return 1.0

    with pytest.raises(KeyboardInterrupt):
        collect_in_run(ds, rollouts(log, verifier=slow), run, rows_per_part=5)
    assert 59 < len(calls) < 100
    done = collect_in_run(ds, rollouts(log, verifier=slow), run, rows_per_part=5)
    assert len(calls) < 60 + 20 * 6 - 5 * 6
    assert {reward for row in done["rap_text_rewards"] for reward in row} == {1.0}
    assert lines(log) == asked


def test_a_grader_that_fails_on_most_rows_stops_the_run_and_keeps_the_replies(run, log):
    """With what it raised; the grades from before are still there."""
    ds = make_rows(100)
    first = collect_in_run(ds, rollouts(log, verifier=Tens()), run)
    asked = lines(log)

    def broken(reply, gold, question):
        raise ConnectionError("no judge at this address")

    with pytest.raises(RunError, match=r"rows failed, more than max_errors.*broken raised ConnectionError: no judge"):
        collect_in_run(ds, rollouts(log, verifier=broken), run, rows_per_part=40)
    assert collect_in_run(ds, rollouts(log, verifier=Tens()), run).to_list() == first.to_list()
    assert lines(log) == asked


def test_grades_that_failed_are_tried_again_without_the_model(run, log):
    """A judge that was out of reach for some replies: --retry-errors grades these rows again, and keeps the better try."""
    ds, down = make_rows(20), {"share": 5}

    @grader(version="1")
    def judge(reply, gold, question):
        if int(reply.partition("0.")[2][:1] or 0) < down["share"]:
            raise ConnectionError("no judge at this address")
        return 1.0

    def nulls(evidence):
        return sum(reward is None for row in evidence["rap_text_rewards"] for reward in row)

    first = collect_in_run(ds, rollouts(log, verifier=judge), run, max_errors=1)
    asked = lines(log)
    down["share"] = 2
    assert nulls(collect_in_run(ds, rollouts(log, verifier=judge), run, max_errors=1)) == nulls(first) > 10
    second = collect_in_run(ds, rollouts(log, verifier=judge), run, max_errors=1, retry_errors=True)
    assert 0 < nulls(second) < nulls(first)
    down["share"] = 9
    worse = collect_in_run(ds, rollouts(log, verifier=judge), run, max_errors=1, retry_errors=True)
    assert worse.to_list() == second.to_list()
    down["share"] = 0
    last = collect_in_run(ds, rollouts(log, verifier=judge), run, retry_errors=True)
    assert nulls(last) == 0
    assert {error and error.partition(":")[0] for error in last["rap_error"]} == {None, "no_image"}
    assert lines(log) == asked


def test_a_rank_grades_before_it_reads(run, log):
    """Stored replies are graded, and nobody is asked."""
    ds = make_rows(20)
    collect_in_run(ds, rollouts(log, verifier=Tens()), run)
    asked = lines(log)
    with Run(ds, rollouts(log, verifier=Tens("2")), run, rank=0, world=2) as one:
        with pytest.raises(RunError, match="rows are not in the run"):
            one.read()
        one.fill()
        one.finish()
        assert one.read().to_list() == collect_evidence(ds, rollouts(verifier=Tens("2"))).to_list()
    assert lines(log) == asked


def old_folder(run, settings):
    """Makes the only folder of a run one of an earlier hf_rap: named by all of these settings, without the later columns."""
    import pyarrow.parquet as pq

    folder = RunFolder(run)
    (name,) = folder.fingerprints()
    told = folder.manifest(name)
    parts = [
        pq.read_table(path).drop_columns(["run_grader", "run_limit"]) for path in Path(run, name).glob("*.parquet")
    ]
    for path in Path(run, name).iterdir():
        path.unlink()
    Path(run, name).rmdir()
    later = ("verifier_version", "cut", "correct")
    before = {key: value for key, value in told["settings"].items() if key not in later}
    folder.write_manifest("0" * 16, {**told, "settings": {**before, **settings}})
    for part in parts:
        folder.write_part("0" * 16, part, first=0, stop=3)


def test_runs_from_before_go_on(run, log):
    """Their verifier's version and token limit made the name of the folder; the settings in it are what counts now."""
    ds = make_rows(20)
    first = collect_in_run(ds, rollouts(log), run)
    asked = lines(log)
    old_folder(run, {"verifier": "1", "max_new_tokens": 512})
    (held,) = list_runs(run)
    assert (held.fingerprint, held.limits, held.graders) == ("0" * 16, (512,), ('["hf_rap", "1", "wrong"]',))
    again = collect_in_run(ds, rollouts(log), run)
    assert lines(log) == asked
    assert again.to_list() == first.to_list()
    more = collect_in_run(ds, rollouts(log, attempts=5), run)
    assert more["rap_image_responses"][:] == collect_evidence(ds, rollouts(attempts=5))["rap_image_responses"][:]
    (held,) = list_runs(run)
    assert (held.rows, held.fewest_attempts, held.most_attempts, held.limits) == (20, 5, 5, (512, 1024))
    assert held.fingerprint != "0" * 16


@pytest.mark.parametrize("collector", [Attention, Controls])
def test_what_belongs_to_replies_survives_their_new_grades(run, tmp_path, collector):
    """Attention and controls of rows that were graded anew are not made again; control replies are graded like the others."""
    ds = collect_evidence(make_rows(12), rollouts(verifier=Tens()))
    options = {} if collector is Attention else {"verifier": Tens()}
    whole = collect_in_run(ds, collector(Stub(), **options), run)
    graded = regrade(ds, Tens("2", by=20))
    fails = Stub(fails_on="How")  # the same settings; it is not to be asked
    options = {} if collector is Attention else {"verifier": Tens("2", by=20)}
    again = collect_in_run(graded, collector(fails, **options), run)
    if collector is Attention:
        assert again["rap_attention"][:] == whole["rap_attention"][:]
    else:
        assert again["rap_blank_responses"][:] == whole["rap_blank_responses"][:]
        halved = [row and [reward / 2 for reward in row] for row in whole["rap_blank_rewards"]]
        assert again["rap_blank_rewards"][:] == halved
        assert again.to_list() == collect_evidence(graded, collector(Stub(), **options)).to_list()


def test_attention_of_earlier_runs_is_found(run, log, monkeypatch):
    """They know a row by all of its settings, those of its grades included."""
    ds = collect_evidence(make_rows(6), rollouts())
    with monkeypatch.context() as before:
        before.setattr(Attention, "depends_on", lambda self, read: read)
        whole = collect_in_run(ds, Attention(Stub()), run)
    again = collect_in_run(ds, Attention(Stub(fails_on="How")), run)
    assert again["rap_attention"][:] == whole["rap_attention"][:]


def test_controls_by_another_grader_are_refused():
    """A control compares two pictures."""
    ds = collect_evidence(make_rows(3), rollouts(verifier=Tens()))
    with pytest.raises(
        SettingError,
        match=rf'graded by \["Tens", "1", "wrong"\].*and this is \["hf_rap", "{VERIFIER_VERSION}", "wrong"\]',
    ):
        collect_evidence(ds, Controls(Stub()))


def test_files_are_regraded_without_a_run():
    """All arms that are there; the same as asked again with that grader; scores of the old grades go."""
    ds = make_rows(14)
    evidence = collect_evidence(collect_evidence(ds, rollouts()), Controls(Stub(), ("blank",)))
    scored = select_cognitive(add_scores(evidence, cde_score, difficulty_score)).scored
    graded = regrade(scored, Tens(), correct=0.5)
    fresh = collect_evidence(
        collect_evidence(ds, rollouts(verifier=Tens(), correct=0.5)), Controls(Stub(), ("blank",), verifier=Tens())
    )
    assert graded.column_names == evidence.column_names
    readable = [index for index, answer in enumerate(ds["answer"]) if answer is not None]
    assert graded.select(readable).to_list() == fresh.select(readable).to_list()
    unasked = graded[6]
    assert unasked["rap_text_responses"] is None
    assert unasked["rap_error"].startswith("gold_unreadable: ")
    back = regrade(graded)
    assert back.to_list() == evidence.to_list()


def test_evidence_from_before_gets_its_format(monkeypatch):
    """Files without format columns get them, with the grades of now."""
    evidence = collect_evidence(make_rows(5), rollouts())
    old = evidence.remove_columns(["rap_image_formatted", "rap_text_formatted"])
    names = [*old.column_names, "rap_image_formatted", "rap_text_formatted"]
    assert regrade(old).to_list() == evidence.select_columns(names).to_list()


def test_regrading_says_what_it_needs():
    """Replies, a layout, a grader that can be called."""
    with pytest.raises(MissingColumnError, match=r"regrade reads column 'rap_image_responses'.*Collect replies first"):
        regrade(make_rows(2))
    evidence = collect_evidence(make_rows(2), rollouts())
    with pytest.raises(SettingError, match="of which this is the class"):
        regrade(evidence, Tens)
    with pytest.raises(SettingError, match="correct is 7"):
        count_as_solved(evidence, 7)


def test_another_threshold_grades_nothing_again():
    """Only the settings change; rewards without settings get some; what was scored goes."""
    evidence = collect_evidence(make_rows(12), rollouts(verifier=Tens()))
    scored = add_scores(evidence, cde_score, difficulty_score)
    half = count_as_solved(scored, 0.5)
    assert half.column_names == evidence.column_names
    assert half["rap_image_rewards"][:] == evidence["rap_image_rewards"][:]
    assert {json.loads(text)["correct"] for text in half["rap_settings"]} == {0.5}
    share = add_scores(half, difficulty_score)["rap_difficulty"][0]
    rewards = evidence["rap_image_rewards"][0]
    assert share == pytest.approx(sum(reward < 0.5 for reward in rewards) / 3)
    bare = evidence.select_columns(["rap_image_rewards", "rap_text_rewards"])
    told = count_as_solved(bare, 0.5)
    assert told.column_names == ["rap_image_rewards", "rap_text_rewards", "rap_settings"]
    assert add_scores(told, difficulty_score)["rap_difficulty"][0] == pytest.approx(share)


def test_a_frozen_grader_is_replaced_like_any_option():
    """`dataclasses.replace` finds name and version anew."""
    one = rollouts(verifier=Tens())
    assert replace(one, verifier=Tens("5")).verifier_version == "5"
    assert replace(one, verifier=None).settings()["verifier"] == "hf_rap"
