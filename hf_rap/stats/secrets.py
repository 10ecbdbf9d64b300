"""Secrets in settings: they stand as a digest in whatever is written, which tells two of them apart and gives none away."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from hf_rap.options import ForeignError, read_json

_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")  # where a name in whatever spelling has its words apart
_SECRET_WORDS = {
    *(
        "authorization",
        "auth",
        "bearer",
        "cookie",
        "credential",
        "credentials",
        "passphrase",
        "passwd",
        "password",
        "pwd",
    ),
    *("secret", "secrets", "apikey", "jwt"),
}
_BEFORE_KEY = {"access", "account", "api", "master", "private", "secret", "service", "subscription"}
# Tokens of a model, which are none of a person.
_BEFORE_TOKEN = {
    *("bos", "cls", "eos", "image", "mask", "pad", "sep", "special", "stop", "think", "thinking", "unk", "video"),
    *("audio", "assistant", "begin", "end", "start", "next", "prompt", "user"),
}
# What is a secret under whatever name.
_SECRET_VALUE = re.compile(
    r"(?i:bearer|basic)\s+\S+"
    r"|hf_\w{8,}|sk-[\w-]{8,}|gh[opsu]_\w{8,}|github_pat_\w{8,}|AKIA[0-9A-Z]{12,}|xox[abp]-[\w-]{8,}|AIza[\w-]{20,}"
    r"|eyJ[\w-]+\.[\w-]+\.[\w-]+"
    r"|[a-z][a-z0-9+.-]*://[^/\s@]+:[^/\s@]+@\S+"
)
_MASKED = re.compile(r"\*\*\* \([0-9a-f]{8}\)")


def masked(value: Any, name: str = "") -> Any:
    """A value as it may be written: secrets in it, by the name that they have or by how they look, as a digest.

    >>> masked({"headers": {"Authorization": "Bearer abc"}, "max_tokens": 5})
    {'headers': {'Authorization': '*** (7f30da56)'}, 'max_tokens': 5}
    """
    if isinstance(value, Mapping):
        return {key: masked(part, str(key)) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)([masked(part, name) for part in value]) if type(value) in (list, tuple) else value
    return _digest(value) if _is_secret(value, name) else value


@lru_cache(maxsize=1024)
def masked_settings(text: str | None) -> str | None:
    """A cell of settings as it may be written; the same where it has no secret."""
    try:
        settings = read_json(text or "{}")
    except ForeignError:
        return text
    without = masked(settings)
    return text if without == settings else json.dumps(without, sort_keys=True)


def secrets_in(value: Any, name: str = "") -> Iterator[str]:
    """The secrets in a value, for whoever has to take them out of a text."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from secrets_in(part, str(key))
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from secrets_in(part, name)
    elif _is_secret(value, name):
        yield value


def _is_secret(value: Any, name: str) -> bool:
    if not isinstance(value, str) or not value.strip() or _MASKED.fullmatch(value):
        return False
    return _names_secret(name) or _SECRET_VALUE.fullmatch(value.strip()) is not None


def _names_secret(name: str) -> bool:
    words = [word.lower() for word in _WORDS.split(name) if word]
    if not _SECRET_WORDS.isdisjoint(words):
        return True
    *before, last = words or [""]
    if last in ("key", "keys"):
        return not _BEFORE_KEY.isdisjoint(before)
    return last == "token" and _BEFORE_TOKEN.isdisjoint(before)


def _digest(value: str) -> str:
    """32 bits tell the few secrets of one person apart, and leave whoever guesses with a million answers."""
    return f"*** ({blake2b(value.encode('utf-8', 'surrogatepass'), digest_size=4, person=b'hf_rap').hexdigest()})"
