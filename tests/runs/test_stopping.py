"""Ctrl-C in the middle of a part: what is answered is kept, and nothing of it is asked again."""

import json
import signal
from dataclasses import dataclass

import pytest
from stubs import OneByOne, Stub, evidence_rows, lines, make_rows, stub_rollouts

from hf_rap import Attention, Controls, Rollouts, StepRewards, collect_evidence, collect_in_run, list_runs
from hf_rap.errors import RunError
from hf_rap.evidence.grading import grader
from hf_rap.process import one_row_per_response
from hf_rap.runs.stopping import notes_signals


@pytest.fixture(autouse=True)
def sigint():
    """Where tests run in the background, the shell has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def plain_rows():
    return make_rows(30)


def replied_rows():
    return collect_evidence(make_rows(30), stub_rollouts(2))


def responses():
    return one_row_per_response(collect_evidence(make_rows(12), stub_rollouts(2)))


KINDS = {
    "rollouts": (plain_rows, lambda engine: Rollouts(engine, attempts=3)),
    "rollouts with attention": (plain_rows, lambda engine: Rollouts(engine, attempts=3, attention=True)),
    "attention": (replied_rows, Attention),
    "controls": (replied_rows, lambda engine: Controls(engine, donors_per_row=1)),
    "steps": (responses, lambda engine: StepRewards(engine, continuations=2, split=str.split)),
    "steps, one after the other": (
        responses,
        lambda engine: StepRewards(engine, continuations=2, split=str.split, early_stop=True),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("at", [0, 11])
def test_what_is_answered_is_kept_and_the_rest_is_asked(run, tmp_path, kind, at):
    """Every collector, stopped at the first and at a later request of a call; the end is as if nothing had been."""
    rows, collector = KINDS[kind]
    ds, log = rows(), str(tmp_path / "asked")
    with pytest.raises(RunError, match=r"Stopped as asked: \d+ of \d+ rows of this call are in the run"):
        collect_in_run(ds, collector(OneByOne(log=log, interrupted_at=at)), run, rows_per_part=20)
    asked = lines(log)
    held = sum(each.rows for each in list_runs(run))
    done = collect_in_run(ds, collector(Stub(log=log)), run, rows_per_part=20)
    assert done.remove_columns("images").to_list() == (
        collect_evidence(ds, collector(Stub())).remove_columns("images").to_list()
    )
    if at and kind == "rollouts":
        assert held
        # Of the rows that were kept nothing is asked again; a row whose two arms were not both answered is asked anew.
        again = [line for line in lines(log)[len(asked) :] if line in asked]
        assert len(again) <= 1
        assert len(lines(log)) <= len(set(lines(log))) + 1


def test_replies_that_were_kept_are_graded_when_the_run_goes_on(run, tmp_path):
    """Stopping waits for no grader; grades are made once, of all replies, and no reply is asked again."""
    log, calls = str(tmp_path / "asked"), []

    @grader(version="1")
    def judge(reply, gold, question):
        calls.append(reply)
        return 1.0

    ds = make_rows(20)
    with pytest.raises(RunError, match="Stopped as asked"):
        collect_in_run(
            ds, Rollouts(OneByOne(log=log, interrupted_at=21), attempts=3, verifier=judge), run, rows_per_part=20
        )
    assert calls == []
    (held,) = list_runs(run)
    assert (held.rows, held.failed) == (11, 0)
    done = collect_in_run(ds, Rollouts(Stub(log=log), attempts=3, verifier=judge), run)
    asked = [line.rsplit(" ", 2)[0] for line in lines(log)]
    assert len(asked) == len(set(asked))
    assert {reward for row in done["rap_text_rewards"] for reward in row} == {1.0}
    assert all(json.loads(text)["verifier"] == "judge" for text in done["rap_settings"])
    assert done.to_list() == collect_evidence(ds, Rollouts(Stub(), attempts=3, verifier=judge)).to_list()


def test_a_signal_while_grades_are_made_keeps_all_replies(run, tmp_path):
    """Nothing is asked again; the rows get their grades when the run goes on."""
    stopped, log = [], str(tmp_path / "asked")

    @grader(version="1")
    def judge(reply, gold, question):
        if not stopped:
            stopped.append(True)
            signal.raise_signal(signal.SIGINT)
        return 1.0

    ds = make_rows(4)
    rollouts = Rollouts(Stub(log=log), attempts=3, verifier=judge)
    with pytest.raises(RunError, match="Stopped as asked: 4 of 4 rows of this call are in the run"):
        collect_in_run(ds, rollouts, run, rows_per_part=4)
    asked = lines(log)
    assert (
        collect_in_run(ds, rollouts, run).to_list()
        == collect_evidence(ds, Rollouts(Stub(), attempts=3, verifier=judge)).to_list()
    )
    assert lines(log) == asked


def test_an_engine_that_keeps_nothing_loses_its_part_alone(run):
    """A plain KeyboardInterrupt from inside an engine of a user's, which is no signal to us, goes on to the caller."""

    @dataclass(frozen=True)
    class Raises(Stub):
        def complete(self, requests, sampling):
            if any("(9)" in part.get("text", "") for request in requests for part in request.messages[0]["content"]):
                raise KeyboardInterrupt
            return super().complete(requests, sampling)

    ds = make_rows(12)
    with pytest.raises(KeyboardInterrupt):
        collect_in_run(ds, Rollouts(Raises(), attempts=3), run, rows_per_part=4)
    (held,) = list_runs(run)
    assert held.rows == 8
    assert evidence_rows(collect_in_run(ds, stub_rollouts(), run)) == evidence_rows(
        collect_evidence(ds, stub_rollouts())
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_does_what_it_did_before(number):
    """The first is noted, and interrupts where that is asked for."""
    seen, before = [], signal.signal(number, lambda *_: seen.append("before"))
    try:
        with notes_signals("once more") as stopped:
            signal.raise_signal(number)
            signal.raise_signal(number)
        assert (stopped, seen) == ([number], ["before"])
        with pytest.raises(KeyboardInterrupt), notes_signals("once more", interrupts=True) as stopped:
            signal.raise_signal(number)
        assert stopped == [number]
        signal.raise_signal(number)
        assert seen == ["before", "before"]
    finally:
        signal.signal(number, before)
