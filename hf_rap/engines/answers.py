"""Answers as they come: a bar can follow them, and an interruption takes those along that are there."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from .base import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

# What makes a bar of so many requests; None shows none.
_bar: ContextVar[Callable[[int], Any] | None] = ContextVar("bar", default=None)


class Answers:
    """Answers to `count` requests by the place of each, in whatever order they come."""

    def __init__(self, count: int, bar: Any) -> None:
        self.there: dict[int, Any] = {}
        self._count = count
        self._bar = bar

    def add(self, places: Sequence[int], answers: Sequence[Any]) -> None:
        """Take the answers to the requests in these places."""
        self.there.update(zip(places, answers, strict=True))
        if self._bar is not None:
            self._bar.update(len(places))

    def all(self) -> list[Any]:
        """One per request; None where there is none yet."""
        return [self.there.get(place) for place in range(self._count)]


@contextmanager
def answering(count: int) -> Iterator[Answers]:
    """For the time of a call of an engine; raises `Interrupted` with the answers that are there, when it is interrupted."""
    make = _bar.get()
    bar = make(count) if make is not None and count else None
    answers = Answers(count, bar)
    try:
        yield answers
    except KeyboardInterrupt as error:
        raise Interrupted(answers.all()) from error
    finally:
        if bar is not None:
            bar.close()


@contextmanager
def shown_by(make: Callable[[int], Any] | None) -> Iterator[None]:
    """Within, every call of an engine has a bar that `make` makes of its number of requests; None: it has none.

    What is said outermost holds: a run tells of its progress itself.
    """
    if _quiet.get():
        yield
        return
    shown, quiet = _bar.set(make), _quiet.set(make is None)
    try:
        yield
    finally:
        _bar.reset(shown)
        _quiet.reset(quiet)


_quiet: ContextVar[bool] = ContextVar("quiet", default=False)
_judged: ContextVar[bool] = ContextVar("judged", default=False)


@contextmanager
def judged_by_caller() -> Iterator[None]:
    """Within, no call of an engine is judged by how many of its requests fail: who calls sees more of them."""
    token = _judged.set(True)
    try:
        yield
    finally:
        _judged.reset(token)


def is_judged_by_caller() -> bool:
    """Whether failures of a call are counted elsewhere."""
    return _judged.get()
