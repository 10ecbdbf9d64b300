"""A call of Python code that others have written, such as a chat template, and that may not take for ever, nor all memory.

Jinja keeps a template from the machine, not from computing: two loops over `range(100000)` inside each other take hours. A
thread cannot be stopped from outside, but an exception can be put into it, which ends any loop of Python. One thread
watches over all such calls; a call costs a microsecond or two.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Made = TypeVar("Made")

_LOOK = 0.1  # seconds between two looks at what runs
_GROWTH = 4 << 30  # bytes by which the process may grow while a call runs that takes longer than two looks


class _TimeUp(BaseException):
    """Ends a call in its thread."""


class _Watched:
    """A call that runs."""

    def __init__(self, seconds: float) -> None:
        self.thread = threading.get_ident()
        self.deadline = time.monotonic() + seconds
        self.is_stopped = False
        self.size: int | None = None  # of the process, at the first look
        self.is_large = False

    def grows(self) -> bool:
        """Whether the process has become too large since the first look."""
        size = _size()
        self.size = size if self.size is None else self.size
        self.is_large = size - self.size > _GROWTH
        return self.is_large


_running: dict[int, _Watched] = {}  # what is taken out of it with `pop` belongs to whoever gets it
_begun = threading.Event()
_starting = threading.Lock()
_watcher: threading.Thread | None = None


def within(seconds: float, call: Callable[[], Made], what: str) -> Made:
    """What a call gives.

    Args:
        seconds: that it may take.
        call: code that runs in Python; an operation of C that takes long is stopped behind it.
        what: begins the sentence of the error.

    Raises:
        TimeoutError: it takes longer.
        MemoryError: the process grows by gigabytes meanwhile.
    """
    _watch()
    watched = _Watched(seconds)
    key = id(watched)
    try:
        _running[key] = watched
        if not _begun.is_set():
            _begun.set()
        try:
            return call()
        finally:
            if _running.pop(key, None) is None:  # its time is up: the exception comes, or has come
                while not watched.is_stopped:
                    time.sleep(_LOOK / 100)
                # One that has not come could be taken back with NULL, but then Python before 3.13 looks for an exception
                # ever after, and hangs under a profiler or a debugger. So it comes here, in place of the one that waits.
                _put(watched.thread, _TimeUp)
                while True:
                    time.sleep(0)
    except _TimeUp:
        if watched.is_large:
            raise MemoryError(f"{what} takes more than {_GROWTH >> 30} GB of memory") from None
        raise TimeoutError(f"{what} takes more than {seconds:g} s") from None


def _watch() -> None:
    """See that the watching thread lives; a fork has none."""
    global _watcher  # noqa: PLW0603 - one thread for all
    if _watcher is not None and _watcher.is_alive():
        return
    with _starting:
        if _watcher is None or not _watcher.is_alive():
            _watcher = threading.Thread(target=_look, daemon=True, name="hf-rap time limits")
            _watcher.start()


def _look() -> None:
    while True:
        if not _running:
            _begun.clear()
            if not _running:
                _begun.wait()
        time.sleep(_LOOK)
        now = time.monotonic()
        for key, watched in list(_running.items()):
            if (now > watched.deadline or watched.grows()) and _running.pop(key, None) is not None:
                _put(watched.thread, _TimeUp)
                watched.is_stopped = True


def _size() -> int:
    """Bytes of this process in memory; 0 where the system does not say."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - ten times a second
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0


def _put(thread: int, error: type[BaseException]) -> None:
    """An exception into a thread, in place of one that has not come yet."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error))
