"""Which columns of a dataset hold the pictures of a row, and which hold pictures that nobody reads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from .batches import held_in_arrow

# In order of preference. MathVista has the picture in `decoded_image` and only its name in `image`.
IMAGE_COLUMNS = (
    *("images", "decoded_image", "image", "image_urls", "image_url", "image_paths", "image_path"),
    *(
        "image_list",
        "img",
        "imgs",
        "picture",
        "pictures",
        "pil_image",
        "image_file",
        "image_files",
        "img_path",
        "jpg",
        "png",
    ),
)
_LOOKED_AT = 64  # cells of a batch
# image_1, image2, img_3, image_a: one column per image
_NUMBERED = re.compile(
    r"(?P<stem>(?:decoded_)?(?:image|images|img|picture|pic|photo|figure))[ _-]?(?P<mark>\d{1,2}|(?<=[ _-])[a-h])"
)


def choose_images(columns: Mapping[str, Any], besides: Iterable[str] = ()) -> str | tuple[str, ...] | None:
    """The column of the images, or the columns in the order of their numbers; None where there is none.

    A column that holds pictures goes before one of the same kind that holds their names.

    Args:
        columns: `ds.features`, a batch, a row, or names with None.
        besides: columns that are something else.

    >>> choose_images(dict.fromkeys(["image_2", "question", "image_1"])), choose_images(dict.fromkeys(["image", "image2"]))
    (('image_1', 'image_2'), ('image', 'image2'))
    """
    besides = set(besides)
    numbered = _numbered(name for name in columns if name not in besides)
    groups: list[tuple[str, ...]] = [
        numbered if name in numbered else (name,) for name in IMAGE_COLUMNS if name in columns and name not in besides
    ]
    groups += [numbered] if numbered and numbered not in groups else []
    if not groups:
        groups = [(name,) for name in columns if name not in besides and holds_pictures(columns, name)]
        groups = groups if len(groups) == 1 else []
    with_pictures = [group for group in groups if any(holds_pictures(columns, name) for name in group)]
    chosen = next(iter(with_pictures or groups), ())
    return chosen if len(chosen) > 1 else next(iter(chosen), None)


def unread_images(columns: Mapping[str, Any], read: Iterable[str]) -> list[str]:
    """Columns beside those that are `read` that hold pictures, or belong to them by their numbers.

    A column with the names of files beside one with the pictures is no loss.
    """
    read = set(read)
    pictures = [name for name in columns if holds_pictures(columns, name)]
    numbered = _numbered(columns)
    family = numbered if read & set(numbered) else ()
    unread = [name for name in columns if name not in read and (name in family or name in pictures)]
    if not unread and not read & {*pictures, *IMAGE_COLUMNS, *numbered}:
        return [name for name in (*IMAGE_COLUMNS[:7], *numbered) if name in columns]
    return unread


def holds_pictures(columns: Mapping[str, Any], name: str) -> bool | None:
    """Whether a column holds pictures, and not their names or anything else; None where that cannot be seen."""
    stored = held_in_arrow(columns, name)
    return _in_arrow(stored.type) if stored is not None else _in(columns[name])


def holds_blocks(columns: Mapping[str, Any], name: str) -> bool:
    """Whether turns of a chat consist of blocks, of which some may be images; False where that cannot be seen."""
    stored = held_in_arrow(columns, name)
    value = columns[name] if stored is None else None
    if stored is not None:
        return "type: string" in str(stored.type)
    if isinstance(value, (list, tuple)) and not hasattr(value, "feature"):
        return any("'type': '" in str(cell) or '"type": "' in str(cell) for cell in value[:_LOOKED_AT])
    return value is not None and ("'type'" in str(value) or "Json" in str(value))


def _numbered(names: Iterable[str]) -> tuple[str, ...]:
    """image_1, image_2, ... in their order; `image` is the first of a family that begins with 2."""
    names = list(names)
    families: dict[str, dict[int, str]] = {}
    for name in names:
        match = _NUMBERED.fullmatch(name)
        if match:
            mark = match["mark"]
            place = int(mark) if mark.isdigit() else ord(mark) - ord("a") + 1
            families.setdefault(match["stem"], {})[place] = name
    for stem, places in families.items():
        bare = [stem] if stem in names and min(places) == 2 else []
        if bare or min(places) <= 1:
            return (*bare, *(places[place] for place in sorted(places)))
    return ()


def _in_arrow(arrow_type: Any) -> bool:
    """The {bytes, path} struct of an Image feature, or a list of them."""
    inside = [arrow_type.field(i) for i in range(arrow_type.num_fields)]
    if hasattr(arrow_type, "value_type"):
        return _in_arrow(arrow_type.value_type)
    return {"bytes", "path"} <= {field.name for field in inside}


def _in(value: Any) -> bool | None:
    """The same of a feature, a cell, or the cells of a batch."""
    if value is None:
        return None
    if type(value).__name__ == "Image" or hasattr(value, "getpalette") or isinstance(value, (bytes, bytearray)):
        return True
    if isinstance(value, Mapping):
        return {"bytes", "path"} <= set(value)
    if isinstance(value, (list, tuple)):
        inside = [shown for shown in map(_in, value[:_LOOKED_AT]) if shown is not None]
        return any(inside) if inside else None
    return _in(value.feature) if hasattr(value, "feature") else False
