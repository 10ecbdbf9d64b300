"""The rows to look at (`hf_rap.select.looking`) as a card has them, with small pictures in files."""

from __future__ import annotations

import math
from collections import Counter
from io import BytesIO
from typing import TYPE_CHECKING, Any

from hf_rap.select.looking import rows_to_look_at

if TYPE_CHECKING:
    from PIL import Image

    from hf_rap.rows.layouts import Layout
    from hf_rap.select import Selection

PER_SIDE = 10
# What is shown of a text or a list of an example row.
MOST_CHARS = 100
MOST_ITEMS = 3
# Pixels along the longer side; the widest column of a card still shows a picture of this size whole.
THUMBNAIL_SIDE = 160


def sample_rows(
    selection: Selection, layout: Layout, per_side: int = PER_SIDE
) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    """Up to `per_side` kept and `per_side` dropped rows for facts, and the picture files that they name."""
    samples: list[dict[str, Any]] = []
    files: dict[str, bytes] = {}
    places: Counter[bool] = Counter()
    for row, picture in rows_to_look_at(selection, layout, per_side):
        name = f"samples/{'kept' if row['kept'] else 'dropped'}-{places[row['kept']]:02d}.png"
        places[row["kept"]] += 1
        if picture is not None:
            files[name] = _png(picture)
        samples.append({**row, "image": None if picture is None else name})
    return samples, files


def shortened(value: Any) -> Any:
    """A value of a row for JSON: long texts and lists cut, files by their size."""
    if isinstance(value, dict):
        return {str(name): shortened(part) for name, part in value.items()}
    if isinstance(value, list):
        rest = len(value) - MOST_ITEMS
        return [*map(shortened, value[:MOST_ITEMS]), *([f"... {rest:,} more"] if rest > 0 else [])]
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    if value is None or isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    text = str(value)
    return text if len(text) <= MOST_CHARS else f"{text[:MOST_CHARS]}..."


def _png(image: Image.Image) -> bytes:
    small = image.copy()
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    file = BytesIO()
    small.save(file, "PNG", optimize=True)
    return file.getvalue()
