"""Work that is under way at the same time, taken in the order in which it was begun."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Made = TypeVar("Made")


class Flight(Generic[Made]):
    """Up to `most` pieces of work in threads of their own; with 1 it is done when it is taken, by who takes it.

    The threads end with the process: one that was interrupted does not wait for what nobody takes.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._begun: deque[Callable[[], Made]] = deque()

    def __len__(self) -> int:
        return len(self._begun)

    @property
    def is_full(self) -> bool:
        """Something has to be taken before more is begun."""
        return len(self) >= self.most

    def begin(self, work: Callable[[], Made]) -> None:
        """Start with it."""
        if self.most == 1:
            self._begun.append(work)
            return
        made: Future[Made] = Future()

        def run() -> None:
            try:
                made.set_result(work())
            except BaseException as error:  # noqa: BLE001 - comes out of `take`
                made.set_exception(error)

        threading.Thread(target=run, daemon=True).start()
        self._begun.append(made.result)

    def take(self) -> Made:
        """What was made of the oldest; its error, if it ended with one."""
        return self._begun.popleft()()
