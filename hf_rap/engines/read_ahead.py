"""Items of a slow iterator, read ahead by a thread, for a coroutine."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from contextvars import copy_context
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

Item = TypeVar("Item")

_END = object()
_LOOK = 0.2  # seconds between two looks whether it is closed


class ReadAhead(Generic[Item]):
    """`async for number, item in ReadAhead(items, 32)`: up to 32 lie ready. An error of the iterator comes out in its place."""

    def __init__(self, items: Iterator[Item], most: int) -> None:
        self._items = items
        self._ready: Queue[Any] = Queue(most)
        self._closed = Event()
        self._number = 0
        # What holds where it is made, such as the folders that pictures may lie in, holds in the thread.
        Thread(target=copy_context().run, args=(self._read,), daemon=True, name="hf-rap reading").start()

    def close(self) -> None:
        """Read no more."""
        self._closed.set()
        with suppress(Full):
            self._ready.put_nowait(_END)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> tuple[int, Item]:
        try:
            item = self._ready.get_nowait()
        except Empty:
            item = await asyncio.to_thread(self._ready.get)
        if item is _END:
            self.close()  # for whoever asks once more
            raise StopAsyncIteration
        if isinstance(item, _Raised):
            raise item.error
        self._number += 1
        return self._number - 1, item

    def _read(self) -> None:
        try:
            for item in self._items:
                self._put(item)
                if self._closed.is_set():
                    return
            self._put(_END)
        except BaseException as error:  # noqa: BLE001 - told to whoever takes the items
            self._put(_Raised(error))

    def _put(self, item: Any) -> None:
        while not self._closed.is_set():
            with suppress(Full):
                self._ready.put(item, timeout=_LOOK)
                return


class _Raised:
    def __init__(self, error: BaseException) -> None:
        self.error = error
