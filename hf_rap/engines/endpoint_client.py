"""Many requests to one server: as many in flight as asked for, retried while there is hope."""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import AsyncExitStack
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Protocol

from hf_rap.errors import EngineError, RowError
from hf_rap.rows.compat import hub_http_error

from .base import Completion

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from huggingface_hub import AsyncInferenceClient

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
        text = " ".join(text.split())
        if self.token:
            text = text.replace(self.token, "***")
        return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


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
    from huggingface_hub import AsyncInferenceClient

    state = _State(token)
    answers: list[list[Completion] | RowError | None] = [None] * len(asks)
    waiting = iter(enumerate(asks))
    async with AsyncExitStack() as stack:
        width = min(server.concurrency, len(asks))
        # None takes away the header that the client makes up from the token of `hf auth login`.
        headers = {"authorization": f"Bearer {token}" if token else None}
        clients = [
            await stack.enter_async_context(
                AsyncInferenceClient(base_url=server.url, timeout=server.timeout, headers=headers)  # type: ignore[arg-type]
            )
            for _ in range(-(-width // _CONNECTIONS))
        ]

        async def work(client: AsyncInferenceClient) -> None:
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


async def _answer(
    client: AsyncInferenceClient, ask: Ask, server: Server, state: _State, *, trial: bool
) -> list[Completion] | RowError:
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


async def _ask_once(client: AsyncInferenceClient, ask: Ask, server: Server, state: _State) -> list[Completion]:
    from huggingface_hub.errors import HfHubHTTPError, InferenceTimeoutError, OfflineModeIsEnabled

    try:
        # The client's own time-out is for each read: a server that drips bytes would never meet it.
        answer = await asyncio.wait_for(
            client.chat_completion(ask.messages(), **ask.options), timeout=server.timeout or None
        )
    except HfHubHTTPError as error:
        raise _refusal(error, server, state) from error
    except OfflineModeIsEnabled as error:
        raise EngineError(f"HF_HUB_OFFLINE is set, so no request is sent to {server.url}: unset it.") from error
    except (TimeoutError, InferenceTimeoutError) as error:
        raise _TransientError(f"no answer within {server.timeout:g} s") from error
    except (hub_http_error(), OSError) as error:
        raise _TransientError(state.clean(f"the connection failed ({type(error).__name__}: {error})")) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _TransientError(f"the server's answer is not a chat completion ({type(error).__name__})") from error
    return _read(answer, ask)


def _refusal(error: Any, server: Server, state: _State) -> Exception:
    """An HTTP status as the error it stands for."""
    status = error.response.status_code
    answer = f"the server answered {status}: {state.clean(_body(error)) or 'nothing else'}"
    if status in _REFUSED:
        return EngineError(f"The server at {server.url} {_REFUSED[status]}; {answer}")
    if status in _RETRIED or status >= 500:
        return _TransientError(answer, _retry_after(error.response.headers.get("retry-after")))
    return _RefusedError(answer)


def _body(error: Any) -> str:
    try:
        return str(error.response.text)
    except RuntimeError:  # httpx: the body was not read
        return str(error)


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


def _read(answer: Any, ask: Ask) -> list[Completion]:
    """The completions in an answer; tokens are null where several replies share one count."""
    try:
        usage = answer.usage
        tokens = usage.completion_tokens if usage is not None and ask.replies == 1 else None
        prompt_tokens = usage.prompt_tokens if usage is not None else None
        read = [
            Completion(
                _text(choice.message, ask.prefix, cut),
                tokens,
                cut,
                prompt_tokens,
                _token_ids(choice),
            )
            for choice in answer.choices
            for cut in [choice.finish_reason == "length"]
        ]
    except (TypeError, AttributeError, KeyError) as error:
        raise _TransientError(f"the server's answer is not a chat completion ({type(error).__name__})") from error
    if not read:
        raise _TransientError("the server's answer has no choices")
    if len(read) != ask.replies:
        raise _RefusedError(f"the server sent {len(read)} replies, asked for {ask.replies}")
    return read


def _token_ids(choice: Any) -> tuple[int, ...] | None:
    """The tokens of the reply, from servers that tell them: vLLM, asked by `return_token_ids`."""
    ids = choice.get("token_ids")
    return tuple(ids) if isinstance(ids, list) and all(isinstance(token, int) for token in ids) else None


def _text(message: Any, prefix: str, cut: bool = False) -> str:
    """The reply; a chain of thought that the server has split off stands before it again.

    One that was cut off inside the thought has no end of it: it would look finished, and could not go on.
    """
    thought = message.get("reasoning_content") or message.get("reasoning")
    content = message.content or ""
    if not isinstance(content, str):
        raise TypeError(f"content is a {type(content).__name__}")
    if thought:
        begun = prefix.rfind("<think>") > prefix.rfind("</think>")
        end = "" if cut and not content.strip() else "</think>"
        content = f"{thought}{end}{content}" if begun else f"<think>{thought}{end}{content}"
    return content if prefix else content.strip()
