"""Pictures for a page: small ones for the grid, larger ones for a row, as large as the file may get."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from PIL import Image

SMALL = 144  # pixels along the longer side, in the grid
SIDES = (1024, 768, 512, 384, 256, 192, SMALL)  # of a row's own pictures, the first that fits
_QUALITY = 70
_TINY = 96  # pixels; a page shows such a picture larger than it is, so that every fault is seen


def encoded(image: Image.Image, side: int) -> bytes:
    """The file of a picture of at most `side` pixels along its longer side; a smaller one keeps its size."""
    small = image.copy()
    small.thumbnail((side, side))
    file = BytesIO()
    tiny = max(small.size) <= _TINY
    small.save(
        file, _kind(), quality=95 if tiny else _QUALITY, **({"lossless": True} if tiny and _kind() == "WEBP" else {})
    )
    return file.getvalue()


def _kind() -> str:
    """WebP is smaller, above all of drawings; JPEG where Pillow was built without it."""
    from PIL import features

    return "WEBP" if features.check("webp") else "JPEG"


def media_type() -> str:
    """Of the files of `encoded`."""
    return f"image/{_kind().lower()}"


def side_within(sample: Iterable[Image.Image], pictures: int, most_bytes: int) -> int:
    """The largest of `SIDES` with which so many pictures like those of the sample take no more bytes; else the smallest."""
    sample = list(sample)
    if not sample:
        return SIDES[-1]
    for side in SIDES[:-1]:
        if pictures * sum(len(encoded(image, side)) for image in sample) / len(sample) <= most_bytes:
            return side
    return SIDES[-1]
