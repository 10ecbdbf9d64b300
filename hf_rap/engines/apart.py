"""A coroutine in a thread of its own, which ends when its caller is interrupted."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

_GRACE = 2.0  # seconds for what is in flight to be cancelled


def run_apart(main: Coroutine[Any, Any, Any]) -> Any:
    """What the coroutine gives. `asyncio.run` itself refuses to run in a notebook, whose loop is running already.

    Ctrl-C cancels it, whatever it waits for, and goes on to the caller. Its threads are daemons: neither a name that is
    being looked up nor anything else keeps the process from ending.
    """
    apart = Apart(main)
    try:
        return apart.result()
    except BaseException:
        apart.stop()
        raise


class Apart:
    """A coroutine under way in a thread of its own."""

    def __init__(self, main: Coroutine[Any, Any, Any]) -> None:
        self._result: Future[Any] = Future()
        self._begun: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = []

        async def watched() -> Any:
            loop, task = asyncio.get_running_loop(), asyncio.current_task()
            assert task is not None
            loop.set_default_executor(_Daemons())
            self._begun.append((loop, task))
            return await main

        Thread(target=_settle, args=(self._result, asyncio.run, watched()), daemon=True, name="hf-rap requests").start()

    def when_ended(self, call: Callable[[], object]) -> None:
        """Called in whatever thread it ends in; at once, where it has ended."""
        self._result.add_done_callback(lambda _: call())

    def result(self) -> Any:
        """What the coroutine gives, once it has ended; its error, if it ended with one."""
        return self._result.result()

    def stop(self) -> None:
        """Cancels it, and waits a little for that."""
        if not self._result.done():
            for loop, task in self._begun:
                with suppress(RuntimeError):  # it has just ended
                    loop.call_soon_threadsafe(task.cancel)
            wait([self._result], timeout=_GRACE)


class _Daemons(ThreadPoolExecutor):
    """A thread for every call, for which nobody waits; those of its base class are waited for at the end of the process."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        result: Future[Any] = Future()
        call = (result, function, *args)
        Thread(target=_settle, args=call, kwargs=options, daemon=True).start()
        return result

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Nothing to wait for."""


def _settle(result: Future[Any], function: Callable[..., Any], *args: Any, **options: Any) -> None:
    if not result.set_running_or_notify_cancel():  # whoever wanted it is gone
        return
    try:
        value = function(*args, **options)
    except BaseException as error:  # noqa: BLE001 - told to whoever waits for the result
        result.set_exception(error)
    else:
        result.set_result(value)
