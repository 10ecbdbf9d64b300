"""Kills in the middle of a stream of requests."""

import os
import random
import signal
import time


def kill_as_it_writes(work, run, kills, *, seconds):
    """Does `work` in a process of its own, so many times, and kills it up to so many seconds after two more parts are there."""
    for _ in range(kills):
        before = len(list(run.glob("*/*.parquet")))
        child = os.fork()
        if child == 0:
            try:
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
                work()
            finally:
                os._exit(0)
        give_up = time.monotonic() + 60
        while len(list(run.glob("*/*.parquet"))) < before + 2 and time.monotonic() < give_up:
            time.sleep(0.01)
        time.sleep(random.uniform(0, seconds))
        os.kill(child, signal.SIGKILL)
        assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
