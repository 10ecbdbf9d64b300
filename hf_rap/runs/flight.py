"""Work that is under way at the same time, taken in the order in which it was begun."""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Future, wait
from contextvars import copy_context
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

About = TypeVar("About")
Made = TypeVar("Made")


class _Begun(NamedTuple, Generic[About, Made]):
    about: About
    result: Callable[[], Made]
    future: Future[Made] | None


class Flight(Generic[About, Made]):
    """Up to `most` pieces of work in threads of their own; with 1 it is done when it is waited for, by who waits.

    The threads end with the process: one that was interrupted does not wait for what nobody takes.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._begun: deque[_Begun[About, Made]] = deque()

    def __len__(self) -> int:
        return len(self._begun)

    def __iter__(self) -> Iterator[About]:
        """What is under way, oldest first."""
        return iter([begun.about for begun in self._begun])

    @property
    def is_full(self) -> bool:
        """Something has to be taken out before more is begun."""
        return len(self) >= self.most

    def begin(self, about: About, work: Callable[[], Made]) -> None:
        """Start with it."""
        if self.most == 1:
            self._begun.append(_Begun(about, work, None))
            return
        made: Future[Made] = Future()
        context = copy_context()  # whether there are bars, say

        def run() -> None:
            try:
                made.set_result(context.run(work))
            except BaseException as error:  # noqa: BLE001 - comes out of `oldest`
                made.set_exception(error)

        threading.Thread(target=run, daemon=True).start()
        self._begun.append(_Begun(about, made.result, made))

    def oldest(self) -> tuple[About, Made]:
        """The oldest and what was made of it, or the error that it ended with. It stays until it is dropped."""
        begun = self._begun[0]
        return begun.about, begun.result()

    def drop(self) -> None:
        """Takes out the oldest."""
        self._begun.popleft()

    def settle(self, seconds: float) -> None:
        """Waits until all threads have ended, however, but no longer than so many seconds."""
        futures = [begun.future for begun in self._begun if begun.future is not None]
        deadline = time.monotonic() + seconds
        wait(futures, timeout=max(0.0, deadline - time.monotonic()))
