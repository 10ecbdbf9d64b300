"""Kills in the middle of a stream of requests."""

import glob
import os
import random
import signal
import time
from pathlib import Path


def kill_as_it_writes(work, run, kills, *, seconds):
    """Does `work` in a process of its own, so many times, and kills it up to so many seconds after two more parts are there."""
    for _ in range(kills):
        before = _parts(run)
        child = os.fork()
        if child == 0:
            try:
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
                work()
            finally:
                os._exit(0)
        give_up = time.monotonic() + 60
        while _parts(run) < before + 2 and time.monotonic() < give_up:
            time.sleep(0.01)
        time.sleep(random.uniform(0, seconds))
        os.kill(child, signal.SIGKILL)
        assert os.WIFSIGNALED(os.waitpid(child, 0)[1])


def _parts(run: Path) -> int:
    """Of all fingerprints; folders of claims come and go meanwhile."""
    return len(glob.glob(f"{run}/*/*.parquet"))  # noqa: PTH207 - Path.glob fails where a folder goes
