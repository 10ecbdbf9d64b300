"""What the operating system is asked for: renames that last, and memory of mapped files that is given back."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path
from typing import Any

_MAPS = Path("/proc/self/maps")
_ARROW = ".arrow"
_DONTNEED = 4  # MADV_DONTNEED on Linux


def sync_folder(folder: Path) -> None:
    """The names in a folder reach the disk and survive a power cut; Windows neither can nor needs to."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def release_mapped_files() -> None:
    """Give back the pages of Arrow files that this process has read; does nothing but on Linux.

    Datasets maps its files, and every page that was looked at counts as memory of the process until the system
    is short of it: a scheduler that goes by that number kills a job over its images. Nothing is lost:
    the pages of a mapping that cannot be written are read again when they are needed, mostly from the
    system's cache.
    """
    advise = _madvise()
    if advise is None:
        return
    for line in _MAPS.read_text().splitlines():
        if not line.endswith(_ARROW):
            continue
        addresses, rights = line.split(maxsplit=2)[:2]
        if "w" not in rights:
            start, end = (int(address, 16) for address in addresses.split("-"))
            advise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _DONTNEED)


@cache
def _madvise() -> Any:
    """The system's call, or None where there is no such thing."""
    return getattr(ctypes.CDLL(None), "madvise", None) if _MAPS.exists() else None
