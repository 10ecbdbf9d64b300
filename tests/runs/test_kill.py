"""SIGKILL at random moments: a run that goes on ends as if nothing had happened."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from stubs import Logged, make_rows, stub_rollouts

from hf_rap import Attention, ReplyLikelihood, Rollouts, StepRewards, collect_evidence, collect_in_run, list_runs
from hf_rap.demo import demo_engine, make_planted
from hf_rap.demo.chains import split_chain
from hf_rap.process import one_row_per_response

ROWS_PER_PART = 4


def rollouts(log):
    """Two attempts of the built-in model, written down and slowed to five parts a second at most."""
    return Rollouts(Logged(demo_engine(), str(log), seconds=0.2), attempts=2, max_new_tokens=24)


def attention(log):
    """The built-in model reads stored replies."""
    return Attention(Logged(demo_engine(), str(log), seconds=0.2))


def reply_likelihood(log):
    """The built-in model tells how likely the tokens of stored replies are, in every arm."""
    return ReplyLikelihood(Logged(demo_engine(), str(log), seconds=0.05), arms=("text", "blank", "shuffled"))


def step_rewards(log):
    """The built-in model continues responses."""
    engine = Logged(demo_engine(), str(log), seconds=0.2)
    return StepRewards(engine, continuations=2, max_new_tokens=24, split=split_chain)


# Rows that a run does not get through between so many kills.
def asked_rows(kills):
    return make_planted(24 + 12 * kills)


def read_rows(kills):
    planted = make_planted(24 + 12 * kills)
    return collect_evidence(planted, Rollouts(demo_engine(), attempts=2, max_new_tokens=24))


def responses(kills):
    return one_row_per_response(read_rows(kills).select(range(12 + 8 * kills)))


KINDS = {
    "rollouts": (rollouts, asked_rows),
    "attention": (attention, read_rows),
    "reply likelihood": (reply_likelihood, read_rows),
    "step scores": (step_rewards, responses),
}
SHORT = {"rollouts": 3}
LONG = {"rollouts": 100, "attention": 20, "reply likelihood": 20, "step scores": 20}


@pytest.mark.parametrize(
    ("kind", "kills"), [*SHORT.items(), *(pytest.param(*each, marks=pytest.mark.exhaustive) for each in LONG.items())]
)
def test_kills_change_nothing(tmp_path, kind, kills):
    """Evidence is that of one go; each kill repeats at most the part in flight."""
    collector, rows = KINDS[kind]
    ds = rows(kills)
    run, log, other = tmp_path / "run", tmp_path / "asked", tmp_path / "other"
    demo_engine().load()  # importing a model class takes longer than most children live
    rng = random.Random(os.urandom(8))

    def parts():
        try:
            return len(list(run.glob("*/*.parquet")))
        except FileNotFoundError:  # a folder that was cleared away meanwhile
            return parts()

    for kill in range(kills):
        before = parts()
        child = os.fork()
        if child == 0:  # no pytest in here: leaves without cleaning up, whatever happens
            try:
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
                collect_in_run(ds, collector(log), str(run), rows_per_part=ROWS_PER_PART)
            finally:
                os._exit(0)
        give_up = time.monotonic() + 60
        while kill % 3 == 0 and parts() == before and time.monotonic() < give_up:  # not always before the first part
            time.sleep(0.01)
        time.sleep(rng.uniform(0.05, 0.9))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), f"child {kill} ended before it could be killed: the run is too short"
    (held,) = list_runs(str(run))
    assert held.rows < len(ds)
    assert held.unusable == ()
    through_run = collect_in_run(ds, collector(log), str(run), rows_per_part=ROWS_PER_PART)
    # The same parts: in other batches the numbers of attention move by rounding.
    in_one_go = collect_evidence(ds, collector(other), rows_per_step=ROWS_PER_PART)
    assert through_run.features == in_one_go.features
    assert through_run.remove_columns("images").to_list() == in_one_go.remove_columns("images").to_list()
    asked, needed = (path.read_text().splitlines() for path in (log, other))
    a_row = max(Counter(line.partition(" ")[0] for line in needed).values())
    assert len(asked) - len(needed) <= kills * ROWS_PER_PART * a_row


@pytest.mark.exhaustive
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_it_stops_at_once_and_keeps_what_is_answered(tmp_path, number):
    """Ctrl-C and SIGTERM end the run in the middle of a part of ten rows, with a sentence that says how to go on."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from stubs import *; from hf_rap import collect_in_run;"
        "collect_in_run(make_rows(400), Rollouts(OneByOne(seconds=0.05), attempts=3), sys.argv[2], rows_per_part=100)"
    )
    run = tmp_path / "run"
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(Path(__file__).parent), str(run)], stderr=subprocess.PIPE, text=True
    )
    while not list(run.glob("*/*.parquet")):
        time.sleep(0.05)
    time.sleep(1)
    child.send_signal(number)
    sent = time.monotonic()
    _, told = child.communicate(timeout=60)
    assert time.monotonic() - sent < 3
    assert child.returncode == 1
    assert "Stopping. What is answered is kept" in told
    assert "rows of this call are in the run" in told
    assert "Start the same command again to go on." in told
    (held,) = list_runs(str(run))
    assert 100 < held.rows < 400
    assert held.rows % 100 != 0
    ds = make_rows(400)
    assert collect_in_run(ds, stub_rollouts(), str(run)).to_list() == collect_evidence(ds, stub_rollouts()).to_list()
