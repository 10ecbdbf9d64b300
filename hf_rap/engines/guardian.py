"""A process that ends the processes of a library when the one that has started them is gone, even by kill -9.

vLLM's engine waits for requests on a socket and does not see that nobody is left to send any: it would hold the GPU for ever.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Self

# Runs alone, without this package. It reads "begin" and "end" lines; new children of its parent between them, and theirs, are
# those it is about. The end of the pipe is the end of the parent; but a child that the parent has forked holds the pipe
# open, as vLLM's does on a GPU, so it also looks whose child it is. Between the lines it also kills who has been sent a SIGTERM
# and does not hear it: what starts vLLM blocks that, and a process of vLLM whose start fails sends it to its own, for which it waits.
_SCRIPT = """
import os, select, signal, sys, psutil
parent = psutil.Process(int(sys.argv[1]))
before, watched, looking = set(), {}, False

def below():
    try:
        return [p for p in parent.children(recursive=True) if p.pid != os.getpid()]
    except psutil.Error:
        return []

def ends_by_itself(process):
    try:
        line = " ".join(process.cmdline())
    except psutil.Error:
        return True
    return "resource_tracker" in line or "hf_rap.verify" in line

def is_deaf(process):
    try:
        with open(f"/proc/{process.pid}/status") as file:
            words = dict(line.split(":", 1) for line in file)
        waiting = int(words["SigPnd"], 16) | int(words["ShdPnd"], 16)
        return bool(waiting & int(words["SigBlk"], 16) & 1 << signal.SIGTERM - 1)
    except (OSError, KeyError, ValueError):
        return False

def note():
    for process in below():
        if process.pid not in before:
            watched[process.pid] = process
    for process in list(watched.values()):
        try:
            watched.update((child.pid, child) for child in process.children(recursive=True))
        except psutil.Error:
            pass

sys.stdout.write("ready\\n"); sys.stdout.flush()
while True:
    ready, _, _ = select.select([0], [], [], 0.2 if looking else 1.0)
    if os.getppid() != parent.pid:
        break
    if not ready:
        if looking:
            note()
            for process in watched.values():
                if is_deaf(process):
                    process.kill()
        continue
    line = os.read(0, 100)
    if not line:
        break
    if b"begin" in line:
        before, looking = {p.pid for p in below()}, True
        sys.stdout.write("began\\n"); sys.stdout.flush()
    if b"end" in line:
        note()
        looking = False
note()
for process in watched.values():
    try:
        if process.is_running() and not ends_by_itself(process):
            process.kill()
    except psutil.Error:
        pass
"""


class Guardian:
    """`guardian = Guardian(); with guardian: start(...)`; then `guardian.end()`, or the end of this process, ends what was started."""

    def __init__(self) -> None:
        import os

        self._process = subprocess.Popen(  # noqa: S603 - our own script
            [sys.executable, "-c", _SCRIPT, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C of a terminal is not for it
            text=True,
        )
        self._read()

    def __enter__(self) -> Self:
        self._say("begin")
        self._read()
        return self

    def __exit__(self, *error: object) -> None:
        self._say("end")

    def end(self) -> None:
        """Ends what is left of the processes, and itself."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _say(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        self._process.stdout.readline()
