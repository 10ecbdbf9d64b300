"""One request to a server: sent by a client of our own, and read or given up."""

from __future__ import annotations

import asyncio
import json
import math
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from hf_rap.errors import EngineError, spellings, visible, whole_text
from hf_rap.options import ForeignError, read_json
from hf_rap.rows.compat import http_library, hub_http_error
from hf_rap.stats.secrets import secrets_in

from .endpoint_answer import OddError, RefusedError, UntoldError, read_answer, read_likelihood
from .endpoint_http import Answer, TooLargeError, chat_url, post
from .endpoint_tls import tls_context

if TYPE_CHECKING:
    from typing import Self

    from .endpoint_ask import Ask, Server

CONNECTIONS = 32  # of one client: with hundreds it spends more time on choosing one than on sending
_CONNECT_TIMEOUT = 20.0  # seconds
_LONGEST_RETRY_AFTER = 300.0  # a server that asks for more is as good as gone
_RETRIED = {408, 425, 429}
_AWAY = {502, 503, 504}  # what stands before a server, or the server itself while it loads, says that it is not there
_REFUSED = {401: "refuses the token", 403: "refuses access", 404: "does not know this address or model"}
_SHOWN = 500  # characters of what the server said


class TransientError(Exception):
    """Worth another try; `wait` is what the server asked for, in seconds.

    `away`: the server was not there at all, so that the request is not at fault; `late`: it took longer than `timeout`.
    """

    def __init__(self, message: str, wait: float | None = None, *, away: bool = False, late: bool = False) -> None:
        super().__init__(message)
        self.wait = wait
        self.away = away
        self.late = late


class Client:
    """Connections to one server; `async with Client(server, token, 32) as client: await client.ask(...)`."""

    def __init__(self, server: Server, token: str | None, connections: int) -> None:
        self.server = server
        # The longest first: one may be a part of another.
        secrets = sorted({*([token] if token else ()), *secrets_in(server.extra_body)}, key=len, reverse=True)
        self._secrets = tuple(map(spellings, secrets))
        self._http = http_library()
        self._headers = {"authorization": f"Bearer {token}"} if token else {}
        self._client = self._http.AsyncClient(
            verify=tls_context(),
            # How long a whole answer may take is counted here: a server that drips bytes would meet no time-out of reads.
            timeout=self._http.Timeout(None, connect=_CONNECT_TIMEOUT),
            limits=self._http.Limits(max_connections=connections, max_keepalive_connections=connections),
        )
        self._url = chat_url(server.url)

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._client.__aexit__(*error)

    async def ask(self, ask: Ask, *, seconds: float) -> list[Any]:
        """The replies as `Completion`s, or the `LogLikelihood` of the text that is given; `seconds` is for the whole of it, 0 is no limit.

        Raises:
            TransientError, RefusedError, RowError: for this request.
            EngineError: for any.
        """
        body = await asyncio.to_thread(_encoded, ask) if ask.is_large else _encoded(ask)
        try:
            async with asyncio.timeout(seconds or None):
                answer = await post(self._client, self._url, body, self._headers, self.server.max_reply_bytes)
        except TimeoutError as error:
            raise TransientError(f"no answer within {seconds:g} s", late=True) from error
        except TooLargeError as error:
            raise TransientError(f"{error} (--max-reply-bytes)") from error
        except (hub_http_error(), OSError, ValueError) as error:
            away = isinstance(error, (self._http.ConnectError, self._http.ConnectTimeout))
            why = self.clean(f"the connection failed ({type(error).__name__}: {error})")
            raise TransientError(why, away=away) from error
        return self._read(answer, ask)

    def _read(self, answer: Answer, ask: Ask) -> list[Any]:
        if answer.elsewhere is not None:
            raise RefusedError(
                f"the server sends requests on to {visible(answer.elsewhere, _SHOWN)} ({answer.status}), which is not "
                "followed: give that address as --endpoint where it is meant"
            )
        if not 200 <= answer.status < 300:
            text = answer.body.decode("utf-8", "replace")
            raise self._refusal(answer.status, text, answer.headers.get("retry-after"))
        try:
            content = read_json(answer.body, most=self.server.max_reply_bytes, halves=True)
            if content.get("error") and not content.get("choices"):
                raise self._told_error(content["error"])
            if ask.given is not None:
                return [read_likelihood(content, ask.given)]
            return read_answer(content, ask, self.masked)
        except UntoldError as error:
            raise EngineError(
                f"The server at {self.server.url} does not tell the log-probabilities of a prompt's tokens (prompt_logprobs): "
                "vLLM does. Or run the model here: TransformersEngine, VLLMEngine."
            ) from error
        except (ForeignError, OddError) as error:
            raise TransientError(f"the server's answer {error}") from error

    def clean(self, text: str) -> str:
        """The text, shortened, on one line, without the token."""
        return visible(" ".join(self.masked(text).split()), _SHOWN)

    def masked(self, text: str) -> str:
        """The text without the token and other secrets, which a server may repeat, and without half characters."""
        for secret in self._secrets:
            text = secret.sub("***", text)
        return whole_text(text)

    def _refusal(self, status: int, text: str, wait: str | None = None) -> Exception:
        """An HTTP status as the error it stands for."""
        answer = f"the server answered {status}: {self.clean(text) or 'nothing else'}"
        if status in _REFUSED:
            return EngineError(f"The server at {self.server.url} {_REFUSED[status]}; {answer}")
        if status in _RETRIED or status >= 500:
            return TransientError(answer, retry_after(wait), away=status in _AWAY)
        return RefusedError(answer)

    def _told_error(self, error: Any) -> Exception:
        """An error that came with status 200, as routers in front of several servers send it."""
        code = error.get("code") if isinstance(error, dict) else None
        said = error.get("message", error) if isinstance(error, dict) else error
        text = said if isinstance(said, str) else json.dumps(said)
        if isinstance(code, int) and 400 <= code < 600:
            return self._refusal(code, text)
        return TransientError(f"the server answered with an error: {self.clean(text)}")


def _encoded(ask: Ask) -> bytes:
    return json.dumps(ask.body()).encode()


def retry_after(value: str | None) -> float | None:
    """Seconds to wait, from a number or an HTTP date; None when there is neither.

    >>> retry_after("7"), retry_after("-1"), retry_after("soon"), retry_after("nan")
    (7.0, 0.0, None, None)
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        from datetime import UTC, datetime

        try:
            date = parsedate_to_datetime(value)
        except (ValueError, OverflowError):
            return None
        # HTTP dates are of GMT, also where the zone is left out.
        seconds = (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return None if math.isnan(seconds) else min(max(seconds, 0.0), _LONGEST_RETRY_AFTER)
