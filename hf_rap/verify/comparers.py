"""The child processes that compare mathematics, and who may use which.

A process that judges has at most `HF_RAP_COMPARERS` of them (2), started when they are first needed.
They serve the main thread, other threads and event loops alike. A forked process starts its own.

`subprocess` and not `multiprocessing`: the latter is refused in the workers of DataLoader and
`Dataset.map(num_proc=...)`, and its spawned children run the user's script again.
"""

from __future__ import annotations

import atexit
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from hf_rap.errors import SettingError

from .comparer import NO_MATH_VERIFY

DEFAULT_SIZE = 2
TOO_SLOW = "too_slow_to_compare"
CRASHED = "comparison_crashed"

# Somebody else may have killed it, or it was to make way for a new one; the third time it was the request.
_ATTEMPTS = 3


class _DiedError(Exception):
    """The child is gone; `slow` when it ran out of time."""

    def __init__(self, *, slow: bool) -> None:
        self.slow = slow
        super().__init__()


def ask(*request: str) -> bool | str:
    """What a child answers to a request of `hf_rap.verify.comparer`: true, false, or why there is no answer.

    Raises:
        SettingError: no child can be started, or math-verify is not installed.

    """
    pool = _pool()
    for _ in range(_ATTEMPTS):
        try:
            return pool.ask(request)
        except _DiedError as error:
            if error.slow:
                return TOO_SLOW
    return CRASHED


class _Comparer:
    """One child. It serves one caller at a time."""

    def __init__(self) -> None:
        self.command = [sys.executable, "-W", "ignore", "-m", f"{__package__}.comparer"]
        # The path of this process, wherever it has hf_rap and math-verify from. The hash seed decides the order of
        # sets inside sympy.
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path),
            "PYTHONHASHSEED": "0",
        }
        try:
            self.process = subprocess.Popen(  # noqa: S603 - this interpreter and this package
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
                cwd=Path(os.sep).resolve(),
                bufsize=0,
            )
        except OSError as error:
            raise SettingError(
                f"No process can be started to compare mathematics ({' '.join(self.command)}): {error}"
            ) from error

    def start(self) -> None:
        """Wait until it is ready."""
        try:
            ready = self._read()
        except _DiedError:
            ready = "it ended at once"
        if ready != "ready":
            missing = str(ready).startswith(NO_MATH_VERIFY)
            command = " ".join(self.command)
            hint = 'Install "math-verify[antlr4_13_2]".' if missing else f"Run `{command}` to see why."
            raise SettingError(f"The process that compares mathematics did not start: {ready}. {hint}")

    def ask(self, request: tuple[str, ...]) -> bool | str:
        assert self.process.stdin is not None
        rest = memoryview(json.dumps(request).encode() + b"\n")
        try:
            while rest:
                rest = rest[self.process.stdin.write(rest) :]
        except OSError:  # the pipe is broken
            pass
        answer: bool | str = self._read()
        return answer

    def stop(self) -> None:
        with suppress(OSError):
            self.process.kill()
        self.process.wait()
        self._close()

    def abandon(self) -> None:
        """In a forked process: it is the parent's child, and nothing here may keep its pipes open."""
        self.process.returncode = 0
        self._close()

    def _close(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def _read(self) -> Any:
        assert self.process.stdout is not None
        text = b""
        while not text.endswith(b"\n"):
            part = self.process.stdout.read(4096)
            if not part:
                self.stop()
                raise _DiedError(slow=self.process.returncode == -getattr(signal, "SIGPROF", 0))
            text += part
        return json.loads(text)


class _Pool:
    def __init__(self) -> None:
        self.pid = os.getpid()
        self.closed = False
        self.all: set[_Comparer] = set()
        self.idle: queue.LifoQueue[_Comparer | None] = queue.LifoQueue()
        for _ in range(_size()):
            self.idle.put(None)

    def ask(self, request: tuple[str, ...]) -> bool | str:
        comparer = self.idle.get()
        try:
            if self.closed:  # a daemon thread that outlives the interpreter
                sys.exit()
            if comparer is None:
                comparer = _Comparer()
                self.all.add(comparer)  # before it is ready: a process that is forked meanwhile closes its pipes
                comparer.start()
            return comparer.ask(request)
        except BaseException:  # also KeyboardInterrupt: an answer is still on its way
            if comparer is not None:
                comparer.stop()
                self.all.discard(comparer)
                comparer = None
            raise
        finally:
            self.idle.put(comparer)

    def close(self) -> None:
        self.closed = True
        for comparer in tuple(self.all):
            comparer.stop()


_current: _Pool | None = None
_lock = threading.Lock()


def _pool() -> _Pool:
    global _current  # noqa: PLW0603 - one per process is the point
    with _lock:
        if _current is None or _current.pid != os.getpid():
            _current = _Pool()
        return _current


def _size() -> int:
    text = os.environ.get("HF_RAP_COMPARERS") or str(DEFAULT_SIZE)
    if not (text.isdecimal() and int(text) > 0):
        raise SettingError(f"HF_RAP_COMPARERS is {text!r}: it takes a number of processes, 1 or more.")
    return int(text)


def _close() -> None:
    if _current is not None and _current.pid == os.getpid():
        _current.close()


def _forget() -> None:
    global _current, _lock
    inherited, _current, _lock = _current, None, threading.Lock()
    for comparer in inherited.all if inherited else ():
        comparer.abandon()


atexit.register(_close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
