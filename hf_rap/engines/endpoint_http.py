"""One request to a server, whose answer is bounded before and after it is unpacked, and comes from that server alone."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_REPLY_BYTES = 1 << 26  # of an answer; five replies of 32,000 tokens with their token ids are under 2 MB
MAX_ERROR_BYTES = 1 << 16  # of the body of an error, of which a line is shown
_HOPS = 3
_SAME_METHOD = (307, 308)


class TooLargeError(ValueError):
    """An answer is larger than it may be, or packed in a way that was not asked for."""


@dataclass(frozen=True)
class Answer:
    """A status, the headers in small letters, and a body of bounded size."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    elsewhere: str | None = None
    """Where another address than the one that was asked is named: its origin, never its path."""


def chat_url(url: str) -> str:
    """Where chat completions are asked for, of a server's URL with or without its version path.

    >>> chat_url("http://host:8000/v1"), chat_url("http://host:8000/")
    ('http://host:8000/v1/chat/completions', 'http://host:8000/v1/chat/completions')
    """
    url = url.rstrip("/")
    if url.endswith("/chat/completions"):
        return url
    return f"{url}/chat/completions" if url.endswith("/v1") else f"{url}/v1/chat/completions"


def origin_of(url: str) -> str:
    """Scheme, host and port: what may be shown of a URL, which may hold a password.

    >>> origin_of("https://me:secret@host:8443/v1?key=1")
    'https://host:8443'
    """
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an address that is none"
    return f"{parts.scheme}://{parts.hostname or ''}{port}"


async def post(client: Any, url: str, content: bytes, headers: Mapping[str, str], most: int) -> Answer:
    """Sends JSON. An answer that sends on is followed within the same origin only, where nobody else gets the request.

    Raises:
        TooLargeError: the answer is larger than `most`.
    """
    headers = {
        **headers,
        "accept-encoding": "gzip, identity",
        "accept": "application/json",
        "content-type": "application/json",
    }
    for _ in range(_HOPS):
        stream = client.stream("POST", url, content=content, headers=headers, follow_redirects=False)
        async with stream as response:
            status = response.status_code
            target = response.headers.get("location") if 300 <= status < 400 else None
            if target is None:
                limit = most if status < 400 else MAX_ERROR_BYTES
                body = await _body(response, limit, cut=status >= 400)
                return Answer(status, {name.lower(): value for name, value in response.headers.items()}, body)
        target = urljoin(url, target)
        if status not in _SAME_METHOD or origin_of(target) != origin_of(url):
            return Answer(status, {}, b"", origin_of(target))
        url = target
    return Answer(status, {}, b"", f"{origin_of(url)} again and again")


async def _body(response: Any, most: int, *, cut: bool) -> bytes:
    """The body, unpacked; of an error its beginning, where it is longer."""
    packed = response.headers.get("content-encoding", "identity").strip().lower()
    if packed not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise TooLargeError("the server's answer is packed in a way that was not asked for")
    unpack = None if packed in ("", "identity") else zlib.decompressobj(47)  # gzip and zlib, as the header says
    body = bytearray()
    async for chunk in response.aiter_raw():
        try:
            body += chunk if unpack is None else unpack.decompress(chunk, most + 1 - len(body))
        except zlib.error as error:
            raise TooLargeError("the server's answer is packed, and broken") from error
        if len(body) > most:
            if cut:
                break
            raise TooLargeError(f"the server's answer has more than {most:,} bytes")
    return bytes(body[:most])
