"""Whose certificates are trusted: those that the system has, as curl and git have it."""

from __future__ import annotations

import os
import ssl
from functools import cache
from pathlib import Path

from hf_rap.errors import EngineError

_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")  # in the place of the system's, as OpenSSL reads them


def tls_context() -> ssl.SSLContext:
    """For connections to a server: certificates of the system's store, or of `SSL_CERT_FILE` and `SSL_CERT_DIR`.

    HTTP libraries for Python differ in this: httpx trusts the list of certifi alone, httpx2 the system. Where there is no
    store, as in a small container, it is that list.

    Raises:
        EngineError: a variable names a file or folder that is not there, which OpenSSL would pass over without a word.
    """
    return _context(*map(os.environ.get, _VARIABLES))


@cache
def _context(*places: str | None) -> ssl.SSLContext:
    for name, place in zip(_VARIABLES, places, strict=True):
        if place and not Path(place).exists():
            raise EngineError(f"{name} names {place!r}, which is not there: correct it, or unset it.")
    context = ssl.create_default_context()
    if not context.cert_store_stats()["x509_ca"] and not _reads_folder():
        try:
            import certifi
        except ImportError:
            return context  # which trusts nobody
        context.load_verify_locations(certifi.where())
    return context


def _reads_folder() -> bool:
    """OpenSSL looks certificates up in a folder when it needs them, and counts none."""
    folder = ssl.get_default_verify_paths().capath
    return folder is not None and any(Path(folder).iterdir())
