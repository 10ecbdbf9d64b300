"""Ctrl-C while a server is asked: in a script, in `map`, in a notebook and in a run, whatever is waited for."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from server import FaultyServer

from hf_rap import list_runs

STOPS_WITHIN = 15.0  # seconds on a busy machine, where the work itself takes minutes; on a quiet one it is below three

START = """
import asyncio, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has it ignored for what runs in the background
sys.path += sys.argv[3:]
from stubs import make_rows
import datasets
datasets.disable_caching()
from hf_rap import EndpointEngine, Rollouts, Sequential, collect_evidence, collect_in_run
engine = EndpointEngine(sys.argv[1], model="m", concurrency=4, retries=8)
rollouts, ds = Rollouts(engine, attempts=2), make_rows(60)
async def cell(): rollouts(ds[:])
print("ready", flush=True)
"""
WAYS = {
    "script": "rollouts(ds[:])",
    "map": "ds.map(rollouts, batched=True)",
    "map in two processes": "ds.map(rollouts, batched=True, num_proc=2)",
    "stream": "list(ds.to_iterable_dataset().map(rollouts, batched=True))",
    "collect_evidence": "collect_evidence(ds, rollouts)",
    "notebook": "asyncio.new_event_loop().run_until_complete(cell())",
    "run": "collect_in_run(ds, rollouts, sys.argv[2])",
}
ALWAYS = ("map in two processes", "run")
# A reply that does not come, a server that asks to wait, and one that is not there.
WAITS = {"hang": {"always": "hang"}, "retry-after": {"always": "429 200"}, "gone": {"always": "drop"}}


def start(server, folder, code):
    stubs = [str(Path(__file__).parents[1] / "runs")]
    return subprocess.Popen(
        [sys.executable, "-c", START + code, server.url, str(folder), *stubs],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def interrupted(child):
    """Seconds from Ctrl-C, which a terminal sends to the whole group, to the end; and what was said."""
    sent = time.monotonic()
    os.killpg(child.pid, signal.SIGINT)
    try:
        _, told = child.communicate(timeout=60)
    finally:
        child.kill()
    return time.monotonic() - sent, told


def wait_until(holds, child):
    while not holds():
        assert child.poll() is None, child.stderr.read()
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("way", "waits"),
    [
        *(pytest.param(way, "hang", marks=() if way in ALWAYS else pytest.mark.exhaustive) for way in WAYS),
        ("script", "retry-after"),
        pytest.param("map", "gone", marks=pytest.mark.exhaustive),
    ],
)
def test_it_ends_within_three_seconds(tmp_path, way, waits):
    """And sends nothing more."""
    with FaultyServer(**WAITS[waits]) as server:
        child = start(server, tmp_path / "run", WAYS[way])
        wait_until(lambda: server.bodies, child)
        time.sleep(0.3)
        seconds, told = interrupted(child)
        sent = len(server.bodies)
        assert seconds < STOPS_WITHIN, told
        assert child.returncode != 0
        assert ("Stopped as asked" if way == "run" else "KeyboardInterrupt") in told
        time.sleep(0.5)
        assert len(server.bodies) == sent


def test_what_is_answered_is_kept_in_a_run(tmp_path):
    """A server that takes a tenth of a second per reply; the second start asks for what is missing."""
    with FaultyServer(delay=0.1, draws_n="knows") as server:
        child = start(server, tmp_path / "run", WAYS["run"])
        wait_until(lambda: len(server.bodies) > 30, child)
        seconds, told = interrupted(child)
        assert seconds < STOPS_WITHIN
        (held,) = list_runs(str(tmp_path / "run"))
        assert 5 < held.rows < 60
        assert f"Stopped as asked: {held.rows} of 60 rows of this call are in the run" in told
        server.delay = 0.0
        before = len(server.bodies)
        child = start(server, tmp_path / "run", WAYS["run"])
        assert child.wait(60) == 0, child.stderr.read()
        # Two arms of each of the other rows, of which some are not asked, and whether the server draws together.
        assert len(server.bodies) - before <= 2 * (60 - held.rows) + 1


def test_a_model_of_this_machine_ends_as_soon(tmp_path):
    """The rule is one for all engines."""
    code = (
        "from hf_rap.demo import demo_engine, make_planted\n"
        "demo_engine().load()\n"
        "collect_in_run(make_planted(2000), Rollouts(demo_engine(), attempts=5, max_new_tokens=64), sys.argv[2])"
    )
    with FaultyServer() as server:
        child = start(server, tmp_path / "run", code)
        wait_until(lambda: list((tmp_path / "run").glob("*/*.parquet")), child)
        time.sleep(0.5)
        sent = time.monotonic()
        os.killpg(child.pid, signal.SIGINT)
        told = next((line for line in child.stderr if "Stopped as asked" in line), None)
        seconds = time.monotonic() - sent  # a process that has loaded a model takes its time to end
        child.communicate(timeout=60)
        assert told is not None
        assert seconds < STOPS_WITHIN
        (held,) = list_runs(str(tmp_path / "run"))
        assert 0 < held.rows < 2000


# Writes of parts that take a minute: what is kept at the first Ctrl-C is waited for, and at the second one no more.
SLOW_DISK = """
import fsspec
from fsspec.implementations.memory import MemoryFileSystem
class SlowDisk(MemoryFileSystem):
    protocol = "slowdisk"
    store, pseudo_dirs = {}, [""]
    def pipe_file(self, path, value, mode="overwrite", **options):
        if path.endswith(".parquet"):
            print("writing", flush=True)
            time.sleep(60)
        super().pipe_file(path, value, mode=mode, **options)
fsspec.register_implementation("slowdisk", SlowDisk)
import time
collect_in_run(ds, rollouts, "slowdisk://run", rows_per_part=1000)
"""


def test_a_second_ctrl_c_ends_it_at_once(tmp_path):
    """Whatever the first one is still about: here a disk that takes a minute for a part."""
    with FaultyServer(delay=0.1, draws_n="knows") as server:
        child = start(server, tmp_path / "run", SLOW_DISK)
        wait_until(lambda: len(server.bodies) > 20, child)
        os.killpg(child.pid, signal.SIGINT)
        while child.stdout.readline() != "writing\n":  # what is answered
            assert child.poll() is None
        seconds, told = interrupted(child)
    assert seconds < STOPS_WITHIN
    assert "Stopping. What is answered is kept" in told
    assert child.returncode != 0
