"""Adaptive collection: the same selection from fewer attempts, resumed and topped up like any run."""

import json
from dataclasses import dataclass
from zlib import crc32

import pytest
from stubs import Stub, evidence_rows, make_rows

from hf_rap import (
    Completion,
    Rollouts,
    add_scores,
    cde_score,
    collect_evidence,
    collect_in_run,
    difficulty_score,
    select_cognitive,
)
from hf_rap.adaptive.collect import collect_adaptive
from hf_rap.adaptive.stopping import Exact, Sequential
from hf_rap.errors import RowError, RunError, SettingError
from hf_rap.select import METHODS
from hf_rap.select.predicates import untrue_reasons
from hf_rap.select.rap import NOT_ABOVE

LISTS = ("rap_image_rewards", "rap_text_rewards", "rap_image_responses", "rap_text_responses", "rap_image_tokens")


@dataclass(frozen=True)
class Skilled(Stub):
    """A stub that is better with the image, on some rows always right; some of its replies are empty."""

    def _answer(self, request, sampling):
        answers = super()._answer(request, sampling)
        if isinstance(answers, RowError):
            return answers
        number = int(request.row_id.split("-")[1])
        right = f"\\boxed{{{number % 4 + 1}}}"
        share = {0: (5, 0), 1: (5, 5), 2: (0, 0)}.get(number % 5, (3, 1))[request.arm == "text"]
        return [
            Completion(right, one.tokens, False) if crc32(one.text.encode()) % 5 < share or share == 5 else one
            for one in answers
        ]


def skilled(**options):
    return Rollouts(Skilled(**options), attempts=5)


def chosen(evidence, rule):
    """Ids of the selected rows, and reasons of all rows, each of which is true."""
    scored = add_scores(evidence, cde_score, difficulty_score)
    selection = select_cognitive(
        scored,
        min_cde=rule.min_cde,
        replace_easy=rule.replace_easy,
        min_replacement_cde=rule.min_replacement_cde,
        seed=rule.seed,
    )
    assert untrue_reasons(selection, METHODS["rap"]) == []
    return selection.selected["id"][:], dict(zip(scored["id"], selection.scored["rap_reason"], strict=True))


def attempts_of(evidence):
    return sum(len(rewards or ()) for name in LISTS[:2] for rewards in evidence[name])


@pytest.mark.parametrize(
    "rule", [Exact(replace_easy=False), Exact(), Exact(min_cde=0.2, min_replacement_cde=0.0, seed=3)], ids=str
)
def test_exact_selects_what_all_attempts_select(rule, tmp_path):
    """Same rows in the same order, replies that are the first of all replies, and no reason that is not true."""
    ds = make_rows(90)
    full = collect_evidence(ds, skilled())
    spared = collect_adaptive(ds, skilled(), rule, str(tmp_path / "run"))
    rows, reasons = chosen(full, rule)
    rows_spared, reasons_spared = chosen(spared, rule)
    assert rows_spared == rows
    assert len(rows) > 5
    below = {one for one, why in reasons_spared.items() if why == "stopped_below"}
    assert {reasons[one] for one in below} <= set(NOT_ABOVE)
    different = {one for one, why in reasons_spared.items() if why not in ("stopped_early", reasons[one])}
    assert different == below
    assert attempts_of(spared) < 0.9 * attempts_of(full)
    everything = evidence_rows(full)
    for key, row in evidence_rows(spared).items():
        for name in LISTS:
            if row[name]:
                assert row[name] == everything[key][name][: len(row[name])]


def test_a_killed_collection_goes_on_to_the_same_end(tmp_path):
    """Killed in the middle of a round and started again: same evidence, and no attempt is made twice."""
    ds, rule, log = make_rows(60), Exact(), tmp_path / "log"
    whole = collect_adaptive(ds, skilled(), rule)

    @dataclass(frozen=True)
    class Dies(Skilled):
        def complete(self, requests, sampling):
            answers = super().complete(requests, sampling)
            if len(log.read_text().splitlines()) > 70:
                raise KeyboardInterrupt
            return answers

    with pytest.raises(KeyboardInterrupt):
        collect_adaptive(ds, Rollouts(Dies(log=str(log)), attempts=5), rule, str(tmp_path / "run"), rows_per_part=8)
    lost = len(log.read_text().splitlines())
    resumed = collect_adaptive(ds, skilled(log=str(log)), rule, str(tmp_path / "run"), rows_per_part=8)
    assert evidence_rows(resumed) == evidence_rows(whole)
    asked = [line.split() for line in log.read_text().splitlines()]
    again = len(asked) - len({(row, arm, number) for row, arm, first, n in asked for number in [first]})
    assert lost > 60
    assert again <= 8  # the part that was in flight


def test_what_was_spared_can_be_made_later_and_what_is_there_is_used(tmp_path):
    """Adaptive, then all attempts, then adaptive with another rule: each asks only for what is missing."""
    ds, log, url = make_rows(40), tmp_path / "log", str(tmp_path / "run")
    made = attempts_of(collect_adaptive(ds, skilled(log=str(log)), Exact(replace_easy=False), url))

    def told():
        return sum(int(line.split()[3]) for line in log.read_text().splitlines())

    assert told() == made
    full = collect_in_run(ds, skilled(log=str(log)), url)
    assert evidence_rows(full) == evidence_rows(collect_evidence(ds, skilled()))
    in_all = told()
    assert in_all == attempts_of(full)
    again = collect_adaptive(ds, skilled(log=str(log)), Exact(), url)
    assert told() == in_all
    assert chosen(again, Exact())[0] == chosen(full, Exact())[0]


def test_sequential_spends_its_budget_and_selects_on_the_posterior(tmp_path):
    """Attempts differ from row to row, their mean is the budget, and raw cde is refused."""
    ds = make_rows(80)
    rule = Sequential(budget=6.5, most=16)
    evidence = collect_adaptive(ds, skilled(), rule, str(tmp_path / "run"))
    usable = [row for row in evidence_rows(evidence).values() if row["rap_error"] is None]
    counts = [len(row[name]) for row in usable for name in LISTS[:2]]
    assert sum(counts) == 13 * len(usable)
    assert min(counts) < 5 < 8 < max(counts) <= 16
    assert json.loads(evidence[0]["rap_adaptive"])["mode"] == "sequential"
    assert evidence_rows(collect_adaptive(ds, skilled(), rule)) == evidence_rows(evidence)
    scored = add_scores(evidence, cde_score, difficulty_score)
    with pytest.raises(SettingError, match=r"p1 - p0 and the difficulty are biased. Select on the posterior"):
        select_cognitive(scored)
    assert len(select_cognitive(scored, min_probability=0.5, replace_easy=False).selected) > 5


def test_sequential_stops_at_the_agreement_that_was_asked_for():
    """A low agreement costs less than a high one."""
    ds = make_rows(80)
    low, high = (collect_adaptive(ds, skilled(), Sequential(budget=12, agreement=one)) for one in (0.3, 0.99))
    assert attempts_of(low) < attempts_of(high)


def test_rows_that_fail_are_not_asked_for_ever(tmp_path):
    """A row that the engine fails on gets its error, and the others their decision."""
    ds = make_rows(40)
    rollouts = skilled(fails_on="(3)")
    evidence = collect_adaptive(ds, rollouts, Exact(), str(tmp_path / "run"))
    assert evidence_rows(evidence)["row-00003"]["rap_error"].startswith("engine_failed")
    assert chosen(evidence, Exact())[1]["row-00003"] == "engine_failed"
    assert chosen(evidence, Exact())[0] == chosen(collect_evidence(ds, rollouts), Exact())[0]


def test_selections_that_need_all_attempts_are_refused():
    """Another threshold, a quantile, a budget, another method: each says what to do instead."""
    ds = make_rows(40)
    scored = add_scores(collect_adaptive(ds, skilled(), Exact(replace_easy=False)), cde_score, difficulty_score)
    for options, message in (
        ({"min_cde": -0.5}, r"stopped before it was certain .* spared for exact mode with min_cde=0.5"),
        ({"min_cde": "q0.9"}, "a quantile for min_cde needs all"),
        ({"budget": 5}, "budget needs all"),
        ({"method": "difficulty"}, "'difficulty' compares rows by all of their attempts"),
    ):
        with pytest.raises(SettingError, match=message):
            select_cognitive(scored, **{"replace_easy": False, **options})


def test_a_run_that_is_broken_as_a_whole_stops(tmp_path):
    """Most rows fail: the run says so, as any run does."""
    with pytest.raises(RunError, match="max_errors"):
        collect_adaptive(make_rows(90), skilled(fails_on="How"), Exact(), str(tmp_path / "run"))
