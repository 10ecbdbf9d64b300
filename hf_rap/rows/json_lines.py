"""Lines of JSON at which Arrow ends the process, found before they are read, since nothing can be caught then.

Seen with pyarrow 25, in `datasets.load_dataset` as well: its parser calls itself for each level of nesting, so that some 20,000
brackets, 40 KB, overflow the stack; and where the first line begins with `null`, it follows a pointer to nowhere. A line is counted in
no time, and looked at only where it has that many brackets.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os

MAX_DEPTH = 2_000
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_OPENERS: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_NULL = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*null")  # whatever comes behind it
_LONGEST_PIECE = 1 << 26  # bytes of a line that are looked at together


def fault_of(line: bytes) -> str | None:
    """What is wrong with a line, behind its name; None for any that Arrow can read, or refuse. Brackets in texts are none."""
    if line.count(b"[") + line.count(b"{") <= MAX_DEPTH:
        return "is null, and no row" if _NULL.match(line) else None
    import numpy as np

    letters = np.frombuffer(_TEXT.sub(b"", line), dtype=np.uint8)
    opens = (letters == ord("[")) | (letters == ord("{"))
    closes = (letters == ord("]")) | (letters == ord("}"))
    depth = np.cumsum(opens.astype(np.int64) - closes)
    is_deep = depth.max(initial=0) > MAX_DEPTH
    return f"has more than {MAX_DEPTH:,} lists or objects inside each other" if is_deep else None


def faulty_line(path: str | os.PathLike[str]) -> str | None:
    """The first line of a file with a fault, and which; None where there is none, or the file cannot be read at all."""
    place = Path(path)
    number = 1
    try:
        with _OPENERS.get(place.suffix.lower(), Path.open)(place, "rb") as file:
            while piece := file.readline(_LONGEST_PIECE):
                fault = fault_of(piece)
                if fault is not None:
                    return f"line {number:,} {fault}"
                number += piece.endswith(b"\n")
    except (OSError, EOFError, lzma.LZMAError):
        return None
    return None
