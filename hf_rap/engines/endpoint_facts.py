"""What a server tells of itself and of a model, as told: nothing is made of it, and no request depends on it."""

from __future__ import annotations

import asyncio
import math
import time
from http.client import HTTPException
from typing import Any
from urllib.parse import quote, urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener, getproxies, proxy_bypass

from hf_rap.errors import last_line, spellings, visible
from hf_rap.options import ForeignError, read_json

from .endpoint_tls import tls_context

_TIMEOUT = 5.0  # seconds
_LONGEST = 1 << 20  # bytes of an answer that are read
_SHOWN = 200  # characters of a text
_FIELDS = 40  # of an entry
# Of an entry of /v1/models: what is asked for, and what vLLM makes up anew for every request.
_UNTOLD = ("id", "object", "created", "permission")


async def why_unreachable(url: str) -> str | None:
    """Why nothing can be asked at a URL, found out by one connection of at most five seconds; None where something listens.

    Behind a proxy only that could say, so nothing is tried.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme in getproxies() and not proxy_bypass(host):
        return None
    port = parts.port or {"https": 443}.get(parts.scheme, 80)
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), _TIMEOUT)
    except (OSError, TimeoutError) as error:
        return f"no connection within {_TIMEOUT:g} s" if isinstance(error, TimeoutError) else last_line(error)
    writer.close()
    return None


async def server_facts(url: str, model: str, token: str | None) -> dict[str, Any]:
    """The entry of the model in `/v1/models` and the version of the server, or why there is none.

    vLLM and SGLang tell `root`, the repository or folder that they have loaded, and `max_model_len`; the version is
    told by vLLM. Of a folder only the last part is kept: settings are published.
    """
    return await asyncio.to_thread(_facts, url.rstrip("/"), model, token)


def _facts(url: str, model: str, token: str | None) -> dict[str, Any]:
    models = _get(f"{url}/models", token)
    listed = models.get("data") if isinstance(models, dict) else None
    entries = [entry for entry in listed or () if isinstance(entry, dict) and entry.get("id") == model]
    facts: dict[str, Any] = {"models": models if isinstance(models, str) else "does not list this model"}
    if entries:
        facts = {
            _short(name): _short(value)
            for name, value in list(entries[0].items())[:_FIELDS]
            if name not in _UNTOLD and _is_plain(value)
        }
    parts = urlsplit(url)
    version = _get(f"{parts.scheme}://{parts.netloc}/version", token)
    if isinstance(version, dict) and isinstance(version.get("version"), str):
        facts["version"] = _short(version["version"])
    return {
        name: spellings(token).sub("***", value) if token and isinstance(value, str) else value
        for name, value in facts.items()
    }


def _is_plain(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, (int, float)) and math.isfinite(value))


def _short(value: Any) -> Any:
    """A value as told, without the folder of a path, and not longer than a line."""
    if not isinstance(value, str):
        return value
    return visible(value.rstrip("/").rpartition("/")[2] if value.startswith(("/", "~", ".")) else value, _SHOWN)


class _NoRedirect(HTTPRedirectHandler):
    """Another address must not get the token."""

    def redirect_request(self, *_args: Any) -> None:
        """Nothing is asked there: the redirection becomes an error."""


def _get(url: str, token: str | None) -> Any:
    """The JSON at a URL, or a text that says why there is none."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = Request(quote(url, safe=":/?=&%@[]"), headers=headers)  # noqa: S310 - EndpointEngine takes http and https only
    try:
        with build_opener(_NoRedirect, HTTPSHandler(context=tls_context())).open(request, timeout=_TIMEOUT) as answer:
            return read_json(_read(answer), object, most=_LONGEST)
    except ForeignError as error:
        return f"an answer that {error}"
    except (OSError, HTTPException, ValueError) as error:
        code = getattr(error, "code", None)
        return f"the server answered {code}" if code else f"no answer that can be read ({type(error).__name__})"


def _read(answer: Any) -> bytes:
    """At most what is read of an answer, and no longer than it may take as a whole, though it come byte by byte."""
    content, until = bytearray(), time.monotonic() + _TIMEOUT
    while len(content) <= _LONGEST and time.monotonic() < until:
        part = answer.read1(1 << 16)
        if not part:
            break
        content += part
    return bytes(content)
