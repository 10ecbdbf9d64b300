"""What the rows of a dataset name outside of its own folder, said before a model runs."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Any

from .media import Named
from .paths import taken_apart

if TYPE_CHECKING:
    from collections.abc import Iterator

    import datasets
    import pyarrow as pa

    from .layouts import Layout

_ROWS_AT_ONCE = 1_000
_FOLDERS_SHOWN = 3


def outside_remark(ds: datasets.Dataset, layout: Layout) -> str | None:
    """A sentence on pictures that will not be opened, with the option that lets them through; None where there are none.

    It is for the user's own screen: unlike what a row says of it, it names folders of this machine.

    Args:
        ds: the rows.
        layout: settled, so with the folders that they may name.

    """
    import datasets

    if isinstance(ds, datasets.IterableDataset) or not layout.image_columns:
        return None
    columns = [taken_apart(ds.column_names, name)[0] for name in layout.image_columns]
    names = 0
    folders: dict[str, None] = {}
    plain = ds.select_columns(columns).with_format("arrow")
    for table in plain.iter(batch_size=_ROWS_AT_ONCE):
        for column in table.columns:
            for name in _names_in(column):
                place = Named(name, name, layout.media_roots).lies_outside()
                if place is not None:
                    names += 1
                    folders[os.path.dirname(os.path.realpath(place))] = None  # noqa: PTH120 - a text of a row may be no path
    if not names:
        return None
    shown = _few(list(folders))
    flags = " ".join(f"--media-root {shlex.quote(folder)}" for folder in shown)
    return (
        f"{names:,} pictures lie outside of the dataset's own folder: they are not opened, their rows are not asked, and "
        f"nothing of them is written. Where they are yours: {flags} (media_roots={shown!r})."
    )


def _few(folders: list[str]) -> list[str]:
    """The folders, or the folder that holds them all where they are many and it is not everything."""
    if len(folders) <= _FOLDERS_SHOWN:
        return folders
    try:
        top = os.path.commonpath(folders)
    except ValueError:  # on several drives
        return folders[:_FOLDERS_SHOWN]
    return [top] if top.count(os.sep) > 1 else folders[:_FOLDERS_SHOWN]


def _names_in(column: pa.ChunkedArray) -> Iterator[str]:
    for chunk in column.chunks:
        yield from _names(chunk)


def _names(array: Any) -> Iterator[str]:
    """What the cells call by a name instead of holding it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = array.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        yield from _names(array.flatten())
    elif pa.types.is_struct(kind) and {"bytes", "path"} <= {part.name for part in kind}:
        named = pc.and_(array.field("bytes").is_null(), array.field("path").is_valid())
        yield from array.field("path").filter(named).to_pylist()
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        short = array.filter(pc.less(pc.utf8_length(array), 4096).fill_null(False))
        yield from (
            text for text in short.to_pylist() if text.startswith(("/", ".", "~", "file:")) or "/" in text[:200]
        )
