"""Replies that were cut off go on, and no others: same beginnings, nothing asked twice, nothing in silence."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
from server import FaultyServer
from stubs import Stub, lines, make_rows

from hf_rap import Attention, Completion, EndpointEngine, Rollouts, collect_evidence, collect_in_run, list_runs
from hf_rap.demo import demo_engine, make_planted
from hf_rap.errors import EngineError, RowError, SettingError
from hf_rap.runs.fill import Run


@dataclass(frozen=True)
class Words(Stub):
    """Replies of 1 to 12 words and a box, one token each, cut at the limit.

    `rounds`: the share of replies that come out otherwise when they are asked under another limit, as with bfloat16.
    """

    continues: bool = False
    repeats: bool = True
    rounds: float = 0.0
    context: int = 1000

    def _answer(self, request, sampling):
        if self._fails(request):
            return RowError("engine_failed", "ValueError: scripted")
        if sampling.max_new_tokens > self.context and int(request.row_id[-1]) == 2:
            return RowError("too_long", "the prompt has 20 tokens")
        return [self._words(key, request.prefix, sampling.max_new_tokens) for key in request.stream_keys(sampling.seed)]

    def _words(self, key, prefix, limit):
        rng = Random(f"{key} {limit if Random(key).random() < self.rounds else ''}")
        begun = prefix.split()
        words = [f"w{rng.randint(0, 99)}" for _ in range(rng.randint(1, 12))] + [f"\\boxed{{{rng.randint(1, 4)}}}"]
        words = words[len(begun) :] or ["so", "\\boxed{4}"]
        return Completion((" " if begun else "") + " ".join(words[:limit]), min(len(words), limit), len(words) > limit)


def rollouts(limit, log=None, attempts=4, **options):
    return Rollouts(Words(log=log, **options), attempts=attempts, max_new_tokens=limit)


def cut_attempts(evidence):
    """Row, arm and number of each reply that was cut off."""
    return {
        f"{row['id']} {arm} {number} 1"
        for row in evidence.remove_columns("images").to_list()
        for arm in ("image", "text")
        for number, flag in enumerate(row[f"rap_{arm}_truncated"] or ())
        if flag
    }


def test_only_cut_replies_are_asked_and_the_end_is_that_of_one_go(run, log, caplog):
    """Each by itself, with its own number; rows that were whole keep their limit in the settings."""
    ds = make_rows(30)
    short = collect_in_run(ds, rollouts(6, log, attempts=1), run)
    asked = lines(log)
    assert "of the replies with the image and" in caplog.text.replace("\n", " ")
    whole = collect_in_run(ds, rollouts(40, log, attempts=1), run, continue_cut=True)
    assert set(lines(log)[len(asked) :]) == cut_attempts(short)
    assert len(lines(log)) == len(asked) + len(cut_attempts(short))
    once = collect_evidence(ds, rollouts(40, attempts=1))
    drop = ["rap_settings"]
    assert whole.remove_columns(drop).to_list() == once.remove_columns(drop).to_list()
    limits = [text and json.loads(text)["max_new_tokens"] for text in whole["rap_settings"]]
    cut_rows = {one.split()[0] for one in cut_attempts(short)}
    assert {limit for limit in limits if limit} == {6, 40}
    for name, limit in zip(ds["id"], limits, strict=True):
        assert limit in (None, 40 if name in cut_rows else 6)
    asked = lines(log)
    again = collect_in_run(ds, rollouts(40, log, attempts=1), run, continue_cut=True)
    assert lines(log) == asked
    assert again.to_list() == whole.to_list()
    (held,) = list_runs(run)
    assert held.limits == (6, 40)


def test_who_comes_late_has_the_same_rows_in_the_same_order(run):
    """Blocks of rows are claimed in this order, which replies that have gone on meanwhile, and new rows, do not change."""
    collect_in_run(make_rows(20), rollouts(6, attempts=1), run, rows_per_part=4)
    with Run(make_rows(30), rollouts(40, attempts=1), run, continue_cut=True, rows_per_part=4) as early:
        before = early._in_order_of_parts(range(30), early._was_cut)
        early.fill()
        with Run(make_rows(30), rollouts(40, attempts=1), run, continue_cut=True, rows_per_part=4) as late:
            assert late._in_order_of_parts(range(30), late._was_cut) == before
    assert 0 < len(before) < 20


def test_it_goes_on_twice_and_stops_half_way(run, log):
    """From 4 to 8 tokens, where some are cut again, and on to 40; a kill in between loses the part in flight."""
    ds = make_rows(30)
    collect_in_run(ds, rollouts(4), run)
    half = collect_in_run(ds, rollouts(8, log), run, continue_cut=True)
    assert half.remove_columns("rap_settings").to_list() == (
        collect_evidence(ds, rollouts(8)).remove_columns("rap_settings").to_list()
    )
    before = len(lines(log))

    @dataclass(frozen=True)
    class Dies(Words):
        def complete(self, requests, sampling):
            answers = super().complete(requests, sampling)
            if len(lines(log)) > before + 20:
                raise KeyboardInterrupt
            return answers

    with pytest.raises(KeyboardInterrupt):
        collect_in_run(
            ds, Rollouts(Dies(log=log), attempts=4, max_new_tokens=40), run, continue_cut=True, rows_per_part=4
        )
    whole = collect_in_run(ds, rollouts(40, log), run, continue_cut=True, rows_per_part=4)
    assert whole["rap_text_responses"][:] == collect_evidence(ds, rollouts(40))["rap_text_responses"][:]
    assert set(lines(log)[before:]) == cut_attempts(half)
    assert len(lines(log)) - before - len(cut_attempts(half)) <= 16


def test_another_limit_leaves_what_is_there_and_says_so(run, log, caplog):
    """A larger one: cut replies stay cut; a smaller one: replies stay longer than it. New rows get the limit of now."""
    ds = make_rows(20)
    short = collect_in_run(ds.select(range(10)), rollouts(6), run)
    with caplog.at_level(logging.WARNING):
        mixed = collect_in_run(ds, rollouts(40, log), run)
    assert {line.split()[0] for line in lines(log)} <= set(ds["id"][10:])
    assert mixed["rap_text_responses"][:10] == short["rap_text_responses"][:]
    rows = len({one.split()[0] for one in cut_attempts(short)})
    assert (
        f"{rows} rows have replies that were cut off at 6 tokens, while max_new_tokens is 40: they stay" in caplog.text
    )
    assert "--continue-cut (continue_cut=True) goes on with them" in caplog.text
    caplog.clear()
    asked = lines(log)
    less = collect_in_run(ds, rollouts(3, log), run)
    assert lines(log) == asked
    assert less["rap_text_responses"][:] == mixed["rap_text_responses"][:]
    assert " rows have replies from a larger limit than max_new_tokens=3: they stay as they are." in caplog.text


def test_more_attempts_of_another_limit_say_the_smaller_one(run):
    """Of a row whose attempts had two limits."""
    ds = make_rows(6)
    collect_in_run(ds, rollouts(6, attempts=2), run)
    more = collect_in_run(ds, rollouts(40, attempts=4), run)
    assert {json.loads(text)["max_new_tokens"] for text in more["rap_settings"]} == {6}


def test_what_rounding_has_changed_goes_on_from_its_text(run, log):
    """A reply that came out another one is not taken: its beginning would have been drawn a second time."""
    ds = make_rows(20)
    options = {"rounds": 0.5, "continues": True}
    short = collect_in_run(ds, rollouts(6, **options), run)
    whole = collect_in_run(ds, rollouts(40, **options), run, continue_cut=True)
    pairs = [
        (begun, reply)
        for arm in ("image", "text")
        for old, new in zip(short[f"rap_{arm}_responses"], whole[f"rap_{arm}_responses"], strict=True)
        for begun, reply in zip(old or (), new or (), strict=True)
    ]
    assert all(reply.startswith(begun) for begun, reply in pairs)
    assert cut_attempts(whole) == set()
    tokens = [count for row in whole["rap_text_tokens"] for count in row or ()]
    assert tokens == [len(reply.split()) for row in whole["rap_text_responses"] for reply in row or ()]


def test_an_engine_that_comes_out_otherwise_and_takes_no_beginning_leaves_the_row(run, caplog):
    """Such rows stay cut, and are counted; the others go on."""
    ds = make_rows(20)
    short = collect_in_run(ds, rollouts(6, rounds=0.2), run)
    whole = collect_in_run(ds, rollouts(40, rounds=0.2), run, continue_cut=True)
    assert (
        "rows have replies that were cut off at 6 tokens, while max_new_tokens is 40: they could not go on"
        in caplog.text
    )
    assert set() < cut_attempts(whole) < cut_attempts(short)
    for old, new in zip(short["rap_text_responses"], whole["rap_text_responses"], strict=True):
        assert all(reply.startswith(begun) for begun, reply in zip(old or (), new or (), strict=True))


def test_an_engine_that_can_only_draw_anew_is_refused(run):
    """Before a folder is made: new draws of the cut ones alone would favour short replies."""
    collector = rollouts(40, repeats=False)
    with pytest.raises(
        SettingError, match=r"Words can go on with no reply that was cut off: .* would favour short ones"
    ):
        collect_in_run(make_rows(3), collector, run, continue_cut=True)
    assert not Path(run).exists()
    evidence = collect_evidence(make_rows(3), rollouts(40))
    with pytest.raises(SettingError, match="continue_cut goes on with the replies of rollouts, not with attention"):
        collect_in_run(evidence, Attention(Stub()), run, continue_cut=True)


def test_rows_that_do_not_fit_stay_as_they_were(run, log):
    """Too long for the context under the larger limit: cut as before, without a loop; a smaller limit may fit later."""
    ds = make_rows(20)
    short = collect_in_run(ds, rollouts(6), run)
    whole = collect_in_run(ds, rollouts(40, log, context=30), run, continue_cut=True)
    stay = [place for place, name in enumerate(ds["id"]) if name.endswith("2")]
    assert [whole[place]["rap_text_responses"] for place in stay] == [
        short[place]["rap_text_responses"] for place in stay
    ]
    assert [whole[place]["rap_error"] for place in stay] == [short[place]["rap_error"] for place in stay]
    assert {one.split()[0][-1] for one in cut_attempts(whole)} == {"2"}


def test_too_long_under_a_larger_limit_says_nothing_about_a_smaller(run, log):
    """The row failed under 40 tokens and is asked under 20; under 60 it is not asked again."""
    ds = make_rows(10)
    failed = collect_in_run(ds, rollouts(40, context=30), run)
    assert failed[2]["rap_error"].startswith("too_long")
    collect_in_run(ds, rollouts(60, log, context=30), run)
    assert lines(log) == []
    fits = collect_in_run(ds, rollouts(20, log, context=30), run)
    assert {line.split()[0] for line in lines(log)} == {"row-00002"}
    assert fits[2]["rap_error"] is None


def test_ranks_go_on_with_the_rows_that_nobody_else_has(run, log):
    """Each cut reply goes on once; the second rank finds what the first has left."""
    ds = make_rows(20)
    short = collect_in_run(ds, rollouts(6), run)
    with Run(ds, rollouts(40, log), run, rank=1, world=2, continue_cut=True, rows_per_part=5) as second:
        second.fill(range(10))
        done = len(lines(log))
    with Run(ds, rollouts(40, log), run, rank=0, world=2, continue_cut=True, rows_per_part=5) as first:
        first.fill()
        first.finish()
        assert first.read()["rap_text_responses"][:] == collect_evidence(ds, rollouts(40))["rap_text_responses"][:]
    assert 0 < done < len(cut_attempts(short))
    assert sorted(lines(log)) == sorted(cut_attempts(short))


def test_another_grader_and_a_larger_limit_at_once(run, log):
    """Stored replies are graded, cut ones go on, and the whole is that of one go."""
    ds = make_rows(20)
    short = collect_in_run(ds, rollouts(6), run)

    def length(reply, gold, question):
        return min(len(reply) / 100, 1.0)

    options = {"attempts": 4, "max_new_tokens": 40, "verifier": length, "cut": "unknown"}
    whole = collect_in_run(ds, Rollouts(Words(log=log), **options), run, continue_cut=True)
    once = collect_evidence(ds, Rollouts(Words(), **options))
    readable = [place for place, answer in enumerate(ds["answer"]) if answer is not None]
    drop = ["rap_settings"]
    assert whole.select(readable).remove_columns(drop).to_list() == once.select(readable).remove_columns(drop).to_list()
    asked = [line for line in lines(log) if line.split()[0] in {ds[place]["id"] for place in readable}]
    assert set(asked) == cut_attempts(short)


def test_a_local_model_goes_on_as_if_it_had_never_stopped(run):
    """The small model, 6 tokens and then 48: token for token what 48 at once give, attention included."""
    planted = make_planted(16)

    def collector(limit):
        return Rollouts(demo_engine(), attempts=2, max_new_tokens=limit, attention=True)

    short = collect_in_run(planted, collector(6), run)
    whole = collect_in_run(planted, collector(48), run, continue_cut=True)
    once = collect_evidence(planted, collector(48))
    names = [
        f"rap_{arm}_{what}" for arm in ("image", "text") for what in ("responses", "tokens", "truncated", "rewards")
    ]
    assert any(flag for row in short["rap_image_truncated"] for flag in row or ())
    assert whole.select_columns([*names, "rap_error"]).to_list() == once.select_columns([*names, "rap_error"]).to_list()
    tokens = [[[entry["tokens"] for entry in row or ()] for row in ds["rap_attention"]] for ds in (whole, once)]
    assert tokens[0] == tokens[1]


class Unfinished(FaultyServer):
    """Says "one two three " until the limit; a reply that was begun is ended."""

    def reply(self, request, body, n):
        from server import completion_of, send

        begun = body["messages"][-1]["role"] == "assistant"
        text = " four \\boxed{1}" if begun else "one two three "
        answer = completion_of(body, [text] * n)
        for choice in answer["choices"]:
            choice["finish_reason"] = "stop" if begun else "length"
        answer["usage"]["prompt_tokens"] = self.prompt_tokens(body)
        send(request, 200, answer)


def served(server, limit):
    return Rollouts(EndpointEngine(server.url, model="m"), attempts=1, max_new_tokens=limit)


def test_a_server_goes_on_from_the_text_that_is_there(run):
    """As the last message, with what is left of the larger limit and another seed; tokens are counted together."""
    ds = make_rows(3)
    with Unfinished() as server:
        short = collect_in_run(ds, served(server, 7), run)
        asked = len(server.bodies)
        whole = collect_in_run(ds, served(server, 20), run, continue_cut=True)
        bodies = [body for body in server.bodies[asked:] if body["max_tokens"] > 1]  # two of 1 ask whether it continues
    assert short["rap_text_responses"][0] == ["one two three"]
    assert short["rap_text_truncated"][0] == [True]
    assert whole["rap_text_responses"][:] == [["one two three four \\boxed{1}"]] * 3
    assert whole["rap_text_tokens"][:] == [[14]] * 3
    assert len(bodies) == 6
    assert {body["max_tokens"] for body in bodies} == {13}
    assert {body["messages"][-1]["content"] for body in bodies} == {"one two three"}
    first = {body["seed"] for body in server.bodies[:asked]}
    assert first.isdisjoint(body["seed"] for body in bodies)


def test_a_server_that_would_start_anew_is_refused(run):
    """The replies stay as they are."""
    ds = make_rows(3)
    with Unfinished(continues="ignores") as server:
        short = collect_in_run(ds, served(server, 7), run)
        with pytest.raises(EngineError, match=r"cannot continue a reply that was started: .*it ignores that"):
            collect_in_run(ds, served(server, 20), run, continue_cut=True)
        again = collect_in_run(ds, served(server, 7), run)
    assert again.to_list() == short.to_list()


def test_the_command_goes_on(tmp_path):
    """--continue-cut with a run; the share of cut replies is in the closing table, and a warning above 5 %."""
    from click.testing import CliRunner

    from hf_rap.cli import cli

    make_planted(8).to_parquet(tmp_path / "rows.parquet")
    words = ["rollouts", str(tmp_path / "rows.parquet"), "--model", "demo", "--attempts", "1"]
    told = {}
    for limit, more in ((4, []), (48, ["--continue-cut"])):
        run = ["--run", str(tmp_path / "run"), "--max-new-tokens", str(limit), *more]
        done = CliRunner().invoke(
            cli, [*words, *run, "--json", "--out", str(tmp_path / f"{limit}.parquet")], catch_exceptions=False
        )
        told[limit] = json.loads(done.stdout)
    assert told[4]["cut replies with the image"] == 1.0
    assert told[48]["cut replies with the image"] == told[48]["cut replies on the text alone"] == 0.0
    shown = CliRunner().invoke(cli, ["runs", str(tmp_path / "run")], catch_exceptions=False).stdout
    assert "max_new_tokens 4 and 48, " in shown
    assert "graded by hf_rap " in shown
    table = CliRunner().invoke(cli, [*words, "--max-new-tokens", "4", "--out", str(tmp_path / "f.parquet")]).stdout
    assert "cut replies with the image     100.0%" in table
    for wrong in (["--continue-cut"], ["--continue-cut", "--run", "r", "--ray", "auto"]):
        done = CliRunner().invoke(cli, [*words, "--out", str(tmp_path / "g.parquet"), *wrong])
        assert (done.exit_code, "--continue-cut goes on with the replies of a --run" in done.output) == (2, True)
