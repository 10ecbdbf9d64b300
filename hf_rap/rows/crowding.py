"""How many pixels are in memory together: of pictures that are being decoded, and of those that the rows of a batch hold.

A PNG of 20 KB may be 300 MB of pixels, and a batch has many. So pictures are decoded together only as far as they are no
more than the largest one that is allowed; and a batch whose pictures are more than `MAX_TOGETHER` stops before they are
decoded, to be done in two parts.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from .media import MAX_PIXELS, Barred

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_TOGETHER = 2 * MAX_PIXELS  # of a batch, or of a row: 600 MB as RGB


class CrowdedError(Exception):
    """The rows of a batch have more pixels than are opened together."""


class _Held:
    """The pixels that were opened within a block."""

    def __init__(self, *, one_row: bool) -> None:
        self.one_row = one_row
        self.pixels = 0
        self.lock = threading.Lock()

    def add(self, pixels: int) -> None:
        with self.lock:
            if self.pixels + pixels <= MAX_TOGETHER:
                self.pixels += pixels
                return
        if self.one_row:
            raise Barred(f"with it the pictures of the row have more than {MAX_TOGETHER:,} pixels")
        raise CrowdedError


_held: ContextVar[_Held | None] = ContextVar("held", default=None)


@contextmanager
def held_together(*, one_row: bool) -> Iterator[None]:
    """Within, pictures that are opened stay in memory, and have `MAX_TOGETHER` pixels at most.

    What is within another such block counts there.

    Raises:
        CrowdedError: they have more, and are of several rows. Of a single one `hold` raises `Barred`.
    """
    if _held.get() is not None:
        yield
        return
    token = _held.set(_Held(one_row=one_row))
    try:
        yield
    finally:
        _held.reset(token)


def hold(pixels: int) -> None:
    """A picture of this size is about to be decoded, and stays."""
    held = _held.get()
    if held is not None:
        held.add(pixels)


_room = threading.Condition()
_decoded = 0  # pixels of pictures that are being decoded in this process


@contextmanager
def decoding(pixels: int) -> Iterator[None]:
    """The time in which a picture is decoded, with copies of it on the way; waits for others as long as they are too many."""
    global _decoded  # noqa: PLW0603 - the memory of a process is one
    with _room:
        while _decoded and _decoded + pixels > MAX_PIXELS:
            _room.wait()
        _decoded += pixels
    try:
        yield
    finally:
        with _room:
            _decoded -= pixels
            _room.notify_all()
