"""One HTTP request to a server: sent by a client of our own, which follows no redirection and takes no token from elsewhere."""

from __future__ import annotations

import asyncio
import json
import math
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hf_rap.errors import EngineError
from hf_rap.rows.compat import http_library, hub_http_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Self

    from .endpoint_ask import Server

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


class RefusedError(ValueError):
    """The server has understood the request and will not answer it."""


class Client:
    """Connections to one server; `async with Client(server, token) as client: await client.post(...)`."""

    def __init__(self, server: Server, token: str | None, connections: int) -> None:
        self.server = server
        self.token = token
        self._http = http_library()
        self._client = self._http.AsyncClient(
            headers={"content-type": "application/json", **({"authorization": f"Bearer {token}"} if token else {})},
            # How long a whole answer may take is counted here: a server that drips bytes would meet no time-out of reads.
            timeout=self._http.Timeout(None, connect=_CONNECT_TIMEOUT),
            limits=self._http.Limits(max_connections=connections, max_keepalive_connections=connections),
            follow_redirects=False,
        )
        self._url = address(server.url)

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._client.__aexit__(*error)

    async def post(
        self, make_body: Callable[[], Mapping[str, Any]], *, seconds: float, in_thread: bool = False
    ) -> dict[str, Any]:
        """The JSON object that the server gives.

        Args:
            make_body: makes what is sent.
            seconds: for the whole of it; 0 is no limit.
            in_thread: the body takes a while to make.

        Raises:
            TransientError, RefusedError: for this request.
            EngineError: for any.
        """
        body = await asyncio.to_thread(_encoded, make_body) if in_thread else _encoded(make_body)
        try:
            async with asyncio.timeout(seconds or None):
                answer = await self._client.post(self._url, content=body)
        except TimeoutError as error:
            raise TransientError(f"no answer within {seconds:g} s", late=True) from error
        except (self._http.ConnectError, self._http.ConnectTimeout) as error:
            raise TransientError(self._failed(error), away=True) from error
        except (hub_http_error(), OSError) as error:
            raise TransientError(self._failed(error)) from error
        except (self._http.InvalidURL, UnicodeError) as error:
            raise EngineError(f"Nothing can be sent to {self.server.url}: {error}") from error
        if answer.status_code != 200:
            raise self._refusal(answer.status_code, answer.text, answer.headers)
        try:
            content = answer.json()
        except ValueError as error:
            raise TransientError(self.clean(f"the server's answer is not JSON: {answer.text}")) from error
        if not isinstance(content, dict):
            raise TransientError(self.clean(f"the server's answer is not a chat completion: {answer.text}"))
        if content.get("error") and not content.get("choices"):
            raise self._told_error(content["error"])
        return content

    def clean(self, text: str) -> str:
        """The text, shortened, on one line, without the token."""
        text = well_formed(" ".join(text.split()))
        if self.token:
            text = text.replace(self.token, "***")
        return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."

    def _failed(self, error: BaseException) -> str:
        return self.clean(f"the connection failed ({type(error).__name__}: {error})")

    def _refusal(self, status: int, text: str, headers: Mapping[str, str]) -> Exception:
        """An HTTP status as the error it stands for."""
        answer = f"the server answered {status}: {self.clean(text) or 'nothing else'}"
        if status in _REFUSED:
            return EngineError(f"The server at {self.server.url} {_REFUSED[status]}; {answer}")
        if 300 <= status < 400:
            where = self.clean(headers.get("location", "elsewhere"))
            return EngineError(
                f"The server at {self.server.url} sends requests on to {where} ({status}), where neither the token nor the "
                "rows go: give the address that answers itself."
            )
        if status in _RETRIED or status >= 500:
            return TransientError(answer, retry_after(headers.get("retry-after")), away=status in _AWAY)
        return RefusedError(answer)

    def _told_error(self, error: Any) -> Exception:
        """An error that came with status 200, as routers in front of several servers send it."""
        code = error.get("code") if isinstance(error, dict) else None
        said = error.get("message", error) if isinstance(error, dict) else error
        text = said if isinstance(said, str) else json.dumps(said)
        if isinstance(code, int) and 400 <= code < 600:
            return self._refusal(code, text, {})
        return TransientError(f"the server answered with an error: {self.clean(text)}")


def well_formed(text: str) -> str:
    r"""The text with U+FFFD for halves of characters, which JSON can hold and no file.

    >>> well_formed("\ud83d\ude00 \ud800.") == "\U0001f600 \ufffd."
    True
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _encoded(make_body: Callable[[], Mapping[str, Any]]) -> bytes:
    return json.dumps(make_body()).encode()


def address(url: str) -> str:
    """Where completions are asked for, under the URL of a server with its version path or without.

    >>> address("http://host:8000/v1"), address("http://host:8000"), address("https://host/v1/chat/completions")
    ('http://host:8000/v1/chat/completions', 'http://host:8000/v1/chat/completions', 'https://host/v1/chat/completions')
    """
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    if not path.endswith("/chat/completions"):
        path += "/chat/completions" if path.endswith("/v1") else "/v1/chat/completions"
    return parts._replace(path=path).geturl()


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
