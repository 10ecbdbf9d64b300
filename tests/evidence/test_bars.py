"""The bars of `map` and of runs: they move with every answer, and are silent where bars are switched off."""

import re
from dataclasses import dataclass

import datasets
import pytest

from hf_rap import Rollouts, collect_evidence, collect_in_run, inspect_dataset
from hf_rap.engines.answers import answering, shown_by

from .scripted import Scripted, png, rows


@dataclass(frozen=True)
class OneByOne(Scripted):
    """Answers one request after the other, and notes what the bar shows by then."""

    def complete(self, requests, sampling):
        with answering(len(requests)) as answers:
            for place, request in enumerate(requests):
                answers.add([place], [self._answer(request)])
                self.seen.append(None if answers._bar is None else (answers._bar.n, answers._bar.total))
            return answers.all()


@pytest.fixture
def ds():
    return rows(*(([png()], "<image>How many?", str(number)) for number in range(6)))


@pytest.fixture
def bars_off():
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


@pytest.mark.parametrize("batch_size", [1, 4, 1000])
def test_it_moves_with_every_answer(ds, batch_size, capfd):
    """Whatever the size of the batches of `map`, whose own bar stands still for that long."""
    engine = OneByOne()
    ds.map(Rollouts(engine), batched=True, batch_size=batch_size)
    sizes = {1: [2] * 6, 4: [8, 4], 1000: [12]}[batch_size]
    assert engine.seen == [(place, size) for size in sizes for place in range(1, size + 1)]
    assert re.search(r"rollouts: +0%.* requests/s", capfd.readouterr().err)


def test_nothing_is_shown_where_bars_are_switched_off(ds, capfd, tmp_path, bars_off):
    """By datasets, for `map`, for a run and for looking at the rows."""
    rollouts = Rollouts(OneByOne())
    ds.map(rollouts, batched=True)
    collect_evidence(ds, rollouts)
    collect_in_run(ds, rollouts, str(tmp_path / "run"))
    inspect_dataset(ds)
    assert capfd.readouterr() == ("", "")


def test_a_run_shows_its_own_line_alone(ds, capfd, tmp_path):
    """And keeps logging where its lines are switched off."""
    engine = OneByOne()
    collect_in_run(ds, Rollouts(engine), str(tmp_path / "run"))
    assert engine.seen == [None] * 12
    told = capfd.readouterr().err
    assert "rollouts: 6 of 6 rows, 0 failed" in told
    assert "requests/s" not in told
    logged = []
    datasets.disable_progress_bars()
    try:
        collect_in_run(ds, Rollouts(engine), str(tmp_path / "other"), log=logged.append)
    finally:
        datasets.enable_progress_bars()
    assert [numbers["rows_done"] for numbers in logged] == [6]


def test_what_is_said_outermost_holds():
    """None inside, or outside, of a bar."""
    made = []

    class Bar:
        def __init__(self, total):
            made.append(total)

        def update(self, count):
            made.append(count)

        def close(self):
            made.append("closed")

    with shown_by(Bar), answering(3) as answers:
        answers.add([0, 2], ["a", "c"])
        assert answers.all() == ["a", None, "c"]
    assert made == [3, 2, "closed"]
    with shown_by(None), shown_by(Bar), answering(3) as answers:
        answers.add([0], ["a"])
    assert made == [3, 2, "closed"]
