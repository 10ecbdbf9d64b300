"""The next batch is made ready in a thread while this one runs."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Item = TypeVar("Item")
Made = TypeVar("Made")


class Ahead(Generic[Item, Made]):
    """`with Ahead(make) as ahead: ahead.begin(batch); ...; ahead.take(batch)`.

    What another batch wants is made when it is asked for. An error of `make` comes out of `take`.
    """

    def __init__(self, make: Callable[[list[Item]], Made]) -> None:
        self.make = make
        self._begun: list[tuple[list[Item], Future[Made]]] = []

    def __enter__(self) -> Self:
        self._thread = ThreadPoolExecutor(1)
        return self

    def __exit__(self, *error: object) -> None:
        self._begun.clear()
        self._thread.shutdown(cancel_futures=True)

    def begin(self, batch: list[Item]) -> None:
        """Start with this batch."""
        self._begun = [*self._begun[-1:], (batch, self._thread.submit(self.make, batch))]

    def take(self, batch: list[Item]) -> Made:
        """What was made of this batch, or is made of it now."""
        for place, (begun, future) in enumerate(self._begun):
            if _same(begun, batch):
                del self._begun[place]
                return future.result()
        return self.make(batch)


def _same(batch: list[Any], other: list[Any]) -> bool:
    return len(batch) == len(other) and all(a is b for a, b in zip(batch, other, strict=True))
