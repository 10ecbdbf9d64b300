"""Many requests to one server: as many in flight as asked for, retried while there is hope."""

from __future__ import annotations

import asyncio
import math
import random
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from hf_rap.errors import EngineError, RowError, logger_of

from .endpoint_answer import RefusedError
from .endpoint_facts import why_unreachable
from .endpoint_request import CONNECTIONS, Client, TransientError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence
    from typing import Self

    from .endpoint_ask import Ask, Server

logger = logger_of(__name__)

Answer: TypeAlias = list[Any] | RowError  # completions, or the one `LogLikelihood` of a text that was given
Item = TypeVar("Item")

_FIRST_WAIT = 1.0  # seconds
_LONGEST_WAIT = 60.0
_LONGEST_LOOK = 15.0  # seconds between two looks whether a server is back
_IDLE_LOOK = 0.5  # seconds
_IDLE_LOOKS = 4  # one after the other at which nothing is under way
_GROWTH = 8  # a request that was late gets up to so many times `timeout`
_HOPELESS = 8  # rows given up one after the other: the server is gone
# What is said of a run whose server is gone.
KEPT = "What was answered before is kept; start the same command again when the server is back."


class Pool:
    """What is in flight to a server: `async with Pool(server, token) as pool: await pool.run(asks, take)`.

    Attributes:
        waiting: what is waited for, for people; None while the server answers.
        was_away: a connection was lost or not to be had, so that it may be another server by now.

    Args:
        server: where to ask.
        token: sent as a bearer token; None sends none.
        width: requests in flight at most; None: `server.concurrency`.
        trial: refusals are an answer here, and so is silence: not a sign that something is wrong.
    """

    def __init__(self, server: Server, token: str | None, *, width: int | None = None, trial: bool = False) -> None:
        self.server = server
        self.width = width or server.concurrency
        self.trial = trial
        self.waiting: str | None = None
        self.was_away = False
        clients = -(-self.width // CONNECTIONS)
        self._clients = [Client(server, token, -(-self.width // clients)) for _ in range(clients)]
        self._stack = AsyncExitStack()
        # With the time; whether it is the fault of their rows an answer to what was sent later will tell.
        self._given_up: list[tuple[float, int, RowError]] = []
        self._rows_in_a_row: set[str] = set()  # given up since the last answer
        self._away_since: float | None = None
        self._back: asyncio.Future[None] | None = None
        self._looks = 0
        self._under_way = 0

    async def __aenter__(self) -> Self:
        for client in self._clients:
            await self._stack.enter_async_context(client)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def run(self, asks: AsyncIterator[tuple[int, Ask]], take: Callable[[int, Answer], object]) -> None:
        """Sends what comes, and gives each answer with its number as soon as it is there.

        Raises:
            EngineError: asking on is pointless. Requests that were given up since the last answer have none then.
        """
        lock = asyncio.Lock()

        async def work(client: Client) -> None:
            while True:
                try:
                    async with lock:  # an iterator takes one question at a time
                        number, ask = await anext(asks)
                except StopAsyncIteration:
                    return
                self._under_way += 1
                answer, sent = await self._answer(client, ask)
                self._under_way -= 1
                self._settle(number, ask, answer, sent, take)

        workers = [
            asyncio.ensure_future(work(self._clients[place % len(self._clients)])) for place in range(self.width)
        ]
        watcher = asyncio.ensure_future(self._watch(take))
        both: list[asyncio.Future[Any]] = [watcher, asyncio.gather(*workers)]
        try:
            ended, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for future in ended:
                future.result()
        finally:
            for worker in (*workers, watcher):
                worker.cancel()
            await asyncio.gather(*both, *workers, return_exceptions=True)
        self._settle_given_up(take)

    async def _watch(self, take: Callable[[int, Answer], object]) -> None:
        """Settles what was given up where nothing else is under way and nothing comes: whoever asks waits for that."""
        idle = 0
        while True:
            await asyncio.sleep(_IDLE_LOOK)
            idle = 0 if self._under_way else idle + 1
            if idle >= _IDLE_LOOKS and self._given_up:
                self._settle_given_up(take)

    def _settle_given_up(self, take: Callable[[int, Answer], object]) -> None:
        if self._given_up and all(_cause(error).away for _, _, error in self._given_up):
            raise self._gone()
        self._hand_over(math.inf, take)

    def _settle(
        self, number: int, ask: Ask, answer: Answer, sent: float, take: Callable[[int, Answer], object]
    ) -> None:
        if not self.trial and isinstance(answer, RowError) and isinstance(answer.__cause__, TransientError):
            self._given_up.append((asyncio.get_running_loop().time(), number, answer))
            self._rows_in_a_row.add(ask.row)
            if len(self._rows_in_a_row) >= _HOPELESS:
                raise self._gone()
            return
        if not isinstance(answer, RowError):
            self._rows_in_a_row.clear()
            self._hand_over(sent, take)
        take(number, answer)

    def _hand_over(self, before: float, take: Callable[[int, Answer], object]) -> None:
        """Requests that were given up before are errors of their rows: the server lives."""
        for time, number, error in self._given_up:
            if time < before:
                take(number, error)
        self._given_up = [given_up for given_up in self._given_up if given_up[0] >= before]

    def _gone(self) -> EngineError:
        _, _, error = self._given_up[-1]
        return EngineError(
            f"The server at {self.server.url} is gone: {error.message}, {len(self._rows_in_a_row)} rows one after the other. {KEPT}"
        )

    async def _answer(self, client: Client, ask: Ask) -> tuple[Answer, float]:
        """The answer, and when it was asked for the last time."""
        loop = asyncio.get_running_loop()
        tries = 0
        timeout = self.server.timeout
        while True:
            sent = loop.time()
            try:
                replies = await client.ask(ask, seconds=timeout)
            except RefusedError as error:
                self._is_back()
                return _row_error(str(error), error), sent
            except RowError as error:
                self._is_back()
                return error, sent
            except TransientError as error:
                self.was_away |= error.away
                if error.away and self.server.wait_for_server:
                    await self._until_back(str(error))
                    continue
                tries += 1
                if tries > self.server.retries:
                    return _row_error(f"{error}, {tries} times", error), sent
                if error.late:
                    timeout = min(2 * timeout, _GROWTH * self.server.timeout)
                # "Full jitter" would often wait next to nothing; between half and all of it spreads as well.
                wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** (tries - 1)) * random.uniform(0.5, 1.0)
                logger.debug("%s; try %d of %d", error, tries + 1, self.server.retries + 1)
                await asyncio.sleep(max(wait, error.wait or 0.0))
            else:
                self._is_back()
                return replies, sent

    async def _until_back(self, why: str) -> None:
        """Waits until the server can be reached; one looks, the others wait for it."""
        if self._back is not None:
            await asyncio.shield(self._back)
            return
        loop = asyncio.get_running_loop()
        back = self._back = loop.create_future()
        back.add_done_callback(lambda future: future.cancelled() or future.exception())  # told to whoever waits, if any
        try:
            await self._look(why, loop)
        except BaseException as error:
            back.set_exception(error) if isinstance(error, EngineError) else back.cancel()
            raise
        else:
            back.set_result(None)
        finally:
            self._back = None

    async def _look(self, why: str, loop: asyncio.AbstractEventLoop) -> None:
        patience = self.server.wait_for_server
        if self._away_since is None:
            self._away_since = loop.time()
            self._looks = 0
            self.waiting = f"waiting for the server at {self.server.url}"
            logger.warning(
                "The server at %s is away (%s). It is waited for, %g s at most.", self.server.url, why, patience
            )
        since = self._away_since  # an answer that was under way may take it back meanwhile
        while True:
            left = since + patience - loop.time()
            if left <= 0:
                raise EngineError(f"The server at {self.server.url} has been away for {patience:g} s: {why}. {KEPT}")
            await asyncio.sleep(min(left, _LONGEST_LOOK, _FIRST_WAIT * 2**self._looks))
            self._looks = min(self._looks + 1, 10)
            if await why_unreachable(self.server.url) is None:
                return  # something listens; whether it answers, the next request will tell

    def _is_back(self) -> None:
        if self._away_since is not None:
            seconds = asyncio.get_running_loop().time() - self._away_since
            logger.warning("The server at %s is back after %.0f s.", self.server.url, seconds)
            self._away_since = self.waiting = None


async def ask_all(server: Server, token: str | None, asks: Sequence[Ask], *, trial: bool = False) -> list[Answer]:
    """The answer to each request, in order; never more than `server.concurrency` at once. For the rest see `Pool`."""
    answers: dict[int, Answer] = {}
    async with Pool(server, token, width=min(server.concurrency, len(asks)) or 1, trial=trial) as pool:
        await pool.run(numbered(asks), answers.__setitem__)
    return [answers[number] for number in range(len(asks))]


async def numbered(items: Iterable[Item]) -> AsyncIterator[tuple[int, Item]]:
    """`enumerate`, for a coroutine."""
    for pair in enumerate(items):
        yield pair


def is_refusal(error: RowError) -> bool:
    """The server has understood the request and will not answer it."""
    return isinstance(error.__cause__, RefusedError)


def _row_error(message: str, cause: Exception) -> RowError:
    error = RowError("engine_failed", message)
    error.__cause__ = cause
    return error


def _cause(error: RowError) -> Any:
    return error.__cause__
