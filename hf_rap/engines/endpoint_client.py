"""Many requests to one server: as many in flight as asked for, retried while there is hope."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from contextlib import AsyncExitStack
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Protocol

from hf_rap.errors import EngineError, RowError, visible
from hf_rap.options import ForeignError, read_json
from hf_rap.rows.compat import hub_http_error

from .base import Completion
from .endpoint_http import Answer, TooLargeError, chat_url, post

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

logger = logging.getLogger(__name__)

_FIRST_WAIT = 1.0  # seconds
_LONGEST_WAIT = 60.0
_LONGEST_RETRY_AFTER = 300.0  # a server that asks for more is as good as gone
_RETRIED = {408, 425, 429}
_REFUSED = {401: "refuses the token", 403: "refuses access", 404: "does not know this address or model"}
_HOPELESS = 8  # so many requests given up in a row, or refused before the first answer, end the run
_CONNECTIONS = 20  # that an httpx client keeps open; each further 20 requests in flight get a client of their own
_SHOWN = 500  # characters of what the server said


class Server(Protocol):
    """What has to be known of a server; an `EndpointEngine`."""

    @property
    def url(self) -> str: ...  # noqa: D102
    @property
    def concurrency(self) -> int: ...  # noqa: D102
    @property
    def timeout(self) -> float: ...  # noqa: D102
    @property
    def retries(self) -> int: ...  # noqa: D102
    @property
    def max_reply_bytes(self) -> int: ...  # noqa: D102


@dataclass(frozen=True)
class Ask:
    """One HTTP request. `messages` is called when it is sent: images in base64 are large.

    With a `prefix` the replies go on from this text; without one, white space around them is nothing.
    """

    messages: Callable[[], list[dict[str, Any]]]
    options: dict[str, Any]
    replies: int
    prefix: str = ""


class _TransientError(Exception):
    """Worth another try; `wait` is what the server asked for, in seconds."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class _RefusedError(ValueError):
    """The server has understood the request and will not answer it."""


@dataclass
class _State:
    """What the requests of one call have seen, together."""

    token: str | None
    answered: bool = False
    given_up: int = 0
    refused: int = 0

    def clean(self, text: str) -> str:
        """The text, shortened, on one line, without the token."""
        return visible(" ".join(self.masked(text).split()), _SHOWN)

    def masked(self, text: str) -> str:
        """The text without the token, which a server may repeat."""
        return text.replace(self.token, "***") if self.token else text


async def ask_all(
    server: Server,
    token: str | None,
    asks: Sequence[Ask],
    *,
    trial: bool = False,
    take: Callable[[int, list[Completion] | RowError], object] | None = None,
) -> list[list[Completion] | RowError]:
    """The answer to each request, in order; never more than `server.concurrency` at once.

    Args:
        server: where to ask.
        token: sent as a bearer token; None sends none.
        asks: what to ask.
        trial: refusals are an answer here, not a sign that something is wrong.
        take: called with the number of a request and its answer as soon as it is there.

    Raises:
        EngineError: asking on is pointless.
    """
    from huggingface_hub import get_async_session

    state = _State(token)
    answers: list[list[Completion] | RowError | None] = [None] * len(asks)
    waiting = iter(enumerate(asks))
    async with AsyncExitStack() as stack:
        width = min(server.concurrency, len(asks))
        # The client of the user's own making (`set_async_client_factory`), with proxies and certificates.
        clients = [await stack.enter_async_context(get_async_session()) for _ in range(-(-width // _CONNECTIONS))]
        for client in clients:
            client.event_hooks["response"] = []  # which would read the bodies of errors whatever their size

        async def work(client: Any) -> None:
            for place, ask in waiting:
                answer = answers[place] = await _answer(client, ask, server, state, trial=trial)
                if take is not None:
                    take(place, answer)

        workers = [asyncio.ensure_future(work(clients[number // _CONNECTIONS])) for number in range(width)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
    return [answer for answer in answers if answer is not None]


async def _answer(client: Any, ask: Ask, server: Server, state: _State, *, trial: bool) -> list[Completion] | RowError:
    tries = 0
    while True:
        try:
            replies = await _ask_once(client, ask, server, state)
        except _RefusedError as error:
            return _row_error(server, state, str(error), error, refused=not trial)
        except _TransientError as error:
            tries += 1
            if tries > server.retries:
                return _row_error(server, state, f"{error}, {tries} times", error, refused=False)
            # "Full jitter" would often wait next to nothing; between half and all of it spreads as well.
            wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** (tries - 1)) * random.uniform(0.5, 1.0)
            logger.debug("%s; try %d of %d", error, tries + 1, server.retries + 1)
            await asyncio.sleep(max(wait, error.wait or 0.0))
        else:
            state.answered = True
            state.given_up = 0
            return replies


def _row_error(server: Server, state: _State, message: str, cause: Exception, *, refused: bool) -> RowError:
    """The error of one row; raises when it is not that row's fault any more."""
    state.given_up += not isinstance(cause, _RefusedError)
    state.refused += refused
    if state.given_up >= _HOPELESS:
        raise EngineError(f"The server at {server.url} is gone: {message}, {state.given_up} requests in a row.")
    if state.refused >= _HOPELESS and not state.answered:
        raise EngineError(
            f"The server at {server.url} has refused all of its first {state.refused} requests; {message}"
        )
    error = RowError("engine_failed", message)
    error.__cause__ = cause
    return error


async def _ask_once(client: Any, ask: Ask, server: Server, state: _State) -> list[Completion]:
    from huggingface_hub.errors import OfflineModeIsEnabled

    headers = {"authorization": f"Bearer {state.token}"} if state.token else {}
    options = {name: value for name, value in ask.options.items() if name != "extra_body"}
    payload = {"messages": ask.messages(), **options, **(ask.options.get("extra_body") or {}), "stream": False}
    try:
        # The client's own time-out is for each read: a server that drips bytes would never meet it.
        answer = await asyncio.wait_for(
            post(client, chat_url(server.url), payload, headers, server.max_reply_bytes), timeout=server.timeout or None
        )
    except OfflineModeIsEnabled as error:
        raise EngineError(f"HF_HUB_OFFLINE is set, so no request is sent to {server.url}: unset it.") from error
    except TimeoutError as error:
        raise _TransientError(f"no answer within {server.timeout:g} s") from error
    except TooLargeError as error:
        raise _TransientError(f"{error} (--max-reply-bytes)") from error
    except (hub_http_error(), OSError, ValueError) as error:
        raise _TransientError(state.clean(f"the connection failed ({type(error).__name__}: {error})")) from error
    if answer.elsewhere is not None:
        raise _RefusedError(
            f"the server sends requests on to {visible(answer.elsewhere, _SHOWN)} ({answer.status}), which is not followed: "
            "give that address as --endpoint where it is meant"
        )
    if not 200 <= answer.status < 300:
        raise _refusal(answer, server, state)
    try:
        return _read(read_json(answer.body, most=server.max_reply_bytes), ask, state)
    except (ForeignError, _OddError) as error:
        raise _TransientError(f"the server's answer {error}") from error


def _refusal(answer: Answer, server: Server, state: _State) -> Exception:
    """An HTTP status as the error it stands for."""
    status = answer.status
    body = answer.body.decode("utf-8", "replace")
    message = f"the server answered {status}: {state.clean(body) or 'nothing else'}"
    if status in _REFUSED:
        return EngineError(f"The server at {server.url} {_REFUSED[status]}; {message}")
    if status in _RETRIED or status >= 500:
        return _TransientError(message, _retry_after(answer.headers.get("retry-after")))
    return _RefusedError(message)


def _retry_after(value: str | None) -> float | None:
    """Seconds to wait, from a number or an HTTP date; None when there is neither."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = parsedate_to_datetime(value)
        except ValueError:
            return None
        from datetime import UTC, datetime

        seconds = (date - datetime.now(UTC)).total_seconds()
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER)


class _OddError(ValueError):
    """A field of an answer is not what it should be; the message goes on behind "the server's answer"."""


_MOST_TOKENS = 1 << 31  # more would not fit into the columns


def _read(answer: Mapping[str, Any], ask: Ask, state: _State) -> list[Completion]:
    """The completions in an answer; tokens are null where several replies share one count.

    Raises:
        _OddError: it is no chat completion.
        _RefusedError: it has another number of replies.
    """
    usage = _field(answer, "usage", dict)
    tokens, prompt_tokens = (_count(usage or {}, name) for name in ("completion_tokens", "prompt_tokens"))
    choices = _field(answer, "choices", list)
    if not choices:
        raise _OddError("has no choices")
    if len(choices) != ask.replies:
        raise _RefusedError(f"the server sent {len(choices)} replies, asked for {ask.replies}")
    read = []
    for choice in choices:
        if not isinstance(choice, dict):
            raise _OddError("is not a chat completion (a choice is none)")
        message = _field(choice, "message", dict)
        if message is None:
            raise _OddError("is not a chat completion (no message)")
        cut = _field(choice, "finish_reason", str) == "length"
        text = state.masked(_text(message, ask.prefix, cut))
        read.append(Completion(text, tokens if ask.replies == 1 else None, cut, prompt_tokens, _token_ids(choice)))
    return read


def _field(values: Mapping[str, Any], name: str, kind: type) -> Any:
    """A field of this type, or None."""
    value = values.get(name)
    if value is not None and not isinstance(value, kind):
        raise _OddError(f"is not a chat completion ({name} is a {type(value).__name__})")
    return value


def _count(usage: Mapping[str, Any], name: str) -> int | None:
    """A number of tokens; some servers write 12.0."""
    value = usage.get(name)
    if value is None:
        return None
    fine = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not fine or value != int(value) or not 0 <= value < _MOST_TOKENS:
        raise _OddError(f"is not a chat completion ({name} is no number of tokens)")
    return int(value)


def _token_ids(choice: Mapping[str, Any]) -> tuple[int, ...] | None:
    """The tokens of the reply, from servers that tell them: vLLM, asked by `return_token_ids`."""
    ids = choice.get("token_ids")
    fine = isinstance(ids, list) and all(type(token) is int and 0 <= token < _MOST_TOKENS for token in ids)
    return tuple(ids) if fine and isinstance(ids, list) else None


def _text(message: Mapping[str, Any], prefix: str, cut: bool = False) -> str:
    """The reply; a chain of thought that the server has split off stands before it again.

    One that was cut off inside the thought has no end of it: it would look finished, and could not go on.
    """
    thought = _field(message, "reasoning_content", str) or _field(message, "reasoning", str)
    content = _field(message, "content", str) or ""
    if thought:
        begun = prefix.rfind("<think>") > prefix.rfind("</think>")
        end = "" if cut and not content.strip() else "</think>"
        content = f"{thought}{end}{content}" if begun else f"<think>{thought}{end}{content}"
    return content if prefix else content.strip()
