"""SIGKILL at random moments: a run that goes on ends as if nothing had happened."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from stubs import Logged, make_rows, stub_rollouts

from hf_rap import Rollouts, collect_evidence, collect_in_run, list_runs
from hf_rap.demo import demo_engine, make_planted

KILLS = 20
ROWS_PER_PART = 4


def rollouts(log):
    """Two attempts of the built-in model, written down and slowed to five parts a second at most."""
    return Rollouts(Logged(demo_engine(), str(log), seconds=0.2), attempts=2, max_new_tokens=24)


@pytest.mark.slow
def test_twenty_kills_change_nothing(tmp_path):
    """Replies, rewards and token counts are those of one go; each kill repeats at most the part in flight."""
    ds = make_planted(240)
    run, log = tmp_path / "run", tmp_path / "asked"
    demo_engine().load()  # importing a model class takes longer than most children live
    rng = random.Random(os.urandom(8))
    for kill in range(KILLS):
        child = os.fork()
        if child == 0:  # no pytest in here: leaves without cleaning up, whatever happens
            try:
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
                collect_in_run(ds, rollouts(log), str(run), rows_per_part=ROWS_PER_PART)
            finally:
                os._exit(0)
        time.sleep(rng.uniform(0.05, 0.9))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), f"child {kill} ended before it could be killed: the run is too short"
    (held,) = list_runs(str(run))
    assert 0 < held.rows < len(ds)
    assert held.unusable == ()
    through_run = collect_in_run(ds, rollouts(log), str(run), rows_per_part=ROWS_PER_PART)
    in_one_go = collect_evidence(ds, rollouts(tmp_path / "other"))
    assert through_run.remove_columns("images").to_list() == in_one_go.remove_columns("images").to_list()
    asked = log.read_text().splitlines()
    arms = len((tmp_path / "other").read_text().splitlines())
    assert len(asked) - arms <= KILLS * ROWS_PER_PART * 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_it_finishes_the_part_in_flight(tmp_path, number):
    """Ctrl-C and SIGTERM end the run after the part, with a sentence that says how to go on."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from stubs import *; from hf_rap import collect_in_run;"
        "collect_in_run(make_rows(400), stub_rollouts(seconds=0.05), sys.argv[2], rows_per_part=10)"
    )
    run = tmp_path / "run"
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(Path(__file__).parent), str(run)], stderr=subprocess.PIPE, text=True
    )
    while not list(run.glob("*/*.parquet")):
        time.sleep(0.05)
    child.send_signal(number)
    _, told = child.communicate(timeout=60)
    assert child.returncode == 1
    assert "Finishing the part in flight" in told
    assert "rows of this call are in the run" in told
    assert "Start the same command again to go on." in told
    (held,) = list_runs(str(run))
    assert held.rows % 10 == 0
    assert held.rows < 400
    ds = make_rows(400)
    assert collect_in_run(ds, stub_rollouts(), str(run)).to_list() == collect_evidence(ds, stub_rollouts()).to_list()
