"""The ids and keys of a dataset's rows, kept beside the parts: to find them out, every picture has to be read.

    RUN/<fingerprint>/index/rows-<stamp>-<hash>.arrow

The stamp says of what: the fingerprint of the dataset, the sizes of its files, the layout. Another one is another file. Of
pictures that rows name, and that are files of their own, size and time of change are kept; where one differs, its rows are
read anew.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_rap.errors import RunError
from hf_rap.options import is_ours
from hf_rap.rows.compat import fingerprint_after
from hf_rap.rows.media import given_roots, noting_files

from .index import Row, read_rows
from .stored import keep_table, kept_tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import datasets
    import pyarrow as pa

    from hf_rap.evidence.collector import Collector
    from hf_rap.rows.layouts import Layout

    from .folder import RunFolder

_FORMAT = 1  # raise it when a row gets another id or another key
LEAST_ROWS = 100  # fewer are soon read
_ROWS_AT_ONCE = 2_048
_KEPT = 8  # datasets, or parts of one, of which a run remembers the rows
_FILES = b"files"


def rows_of_run(
    folder: RunFolder, fingerprint: str, ds: datasets.Dataset, collector: Collector, layout: Layout
) -> list[Row]:
    """What `read_rows` gives, read only where the run does not know it."""
    stamp = _stamp(ds, collector, layout) if len(ds) >= LEAST_ROWS else None
    if stamp is None:
        return read_rows(ds, collector, layout, range(len(ds)))
    roots = (*layout.media_roots, *given_roots())
    kept = next(iter(kept_tables(folder, fingerprint, f"rows-{stamp}")), None)
    unchanged = _unchanged(kept, len(ds), roots) if kept is not None else {}
    rows: list[Row] = []
    tables: list[pa.Table] | None = []
    files: list[list[Any]] = []
    seen: list[Any] | None
    is_changed = False
    for start in range(0, len(ds), _ROWS_AT_ONCE):
        if start in unchanged:
            table, seen = unchanged[start]
            rows += _rows_in(table)
        else:
            is_changed = True
            with noting_files() as named:
                new = read_rows(ds, collector, layout, range(start, min(start + _ROWS_AT_ONCE, len(ds))))
            rows += new
            table, seen = _table(new), _below(roots, named)
        if seen is None:  # nothing would tell whether the picture is still the same
            tables = None
        elif tables is not None:
            tables.append(table)
            files.append(seen)
    if tables and is_changed:
        _keep(folder, fingerprint, stamp, tables, files)
    return rows


def _stamp(ds: datasets.Dataset, collector: Collector, layout: Layout) -> str | None:
    """What the ids and keys follow from; None where that cannot be told, or somebody else's code makes them."""
    import PIL

    if not is_ours(collector):
        return None
    try:
        sizes = [Path(file["filename"]).stat().st_size for file in ds.cache_files]
    except OSError:
        return None
    about = [_FORMAT, PIL.__version__, type(collector).__name__, ds.column_names, len(ds), sizes]
    text = json.dumps([*about, layout.as_dict(), layout.media_roots, given_roots()], sort_keys=True, default=str)
    stamp = fingerprint_after(ds, text)
    return None if stamp is None else stamp[:16]


def _keep(folder: RunFolder, fingerprint: str, stamp: str, tables: list[pa.Table], files: list[list[Any]]) -> None:
    import pyarrow as pa

    table = pa.concat_tables(tables).replace_schema_metadata({_FILES: json.dumps(files).encode()})
    try:
        keep_table(folder, fingerprint, f"rows-{stamp}", table, most=_KEPT, kind="rows-")
    except RunError:  # a full disk is for the writer of parts to report
        return


def _unchanged(kept: pa.Table, count: int, roots: Sequence[str]) -> dict[int, tuple[pa.Table, list[Any]]]:
    """The stored rows by where they start, as far as no file that they name has changed."""
    files = json.loads(kept.schema.metadata[_FILES])
    if len(kept) != count or len(files) != -(-count // _ROWS_AT_ONCE):
        return {}
    starts = range(0, count, _ROWS_AT_ONCE)
    return {
        start: (kept.slice(start, _ROWS_AT_ONCE).replace_schema_metadata(None), seen)
        for start, seen in zip(starts, files, strict=True)
        if all(_is_same(roots, *file) for file in seen)
    }


def _is_same(roots: Sequence[str], root: int, path: str, size: int | None, changed: int | None) -> bool:
    if root >= len(roots):
        return False
    try:
        status = os.stat(os.path.join(roots[root], path))  # noqa: PTH116, PTH118 - of each picture of a dataset
    except OSError:
        return size is None
    return (status.st_size, status.st_mtime_ns) == (size, changed)


def _below(roots: Sequence[str], named: Iterable[tuple[str, int | None, int | None]]) -> list[Any] | None:
    """Each file by the number of its root, and its place below; None where one lies in none: whole paths stay on the machine."""
    real = [os.path.realpath(root) + os.sep for root in roots]
    seen: dict[str, list[Any]] = {}
    for path, size, changed in named:
        number = next((number for number, root in enumerate(real) if path.startswith(root)), None)
        if number is None:
            return None
        seen[path] = [number, path.removeprefix(real[number]), size, changed]
    return list(seen.values())


def _table(rows: Sequence[Row]) -> pa.Table:
    import pyarrow as pa

    columns = {
        "id": [row.id for row in rows],
        "key": [row.key for row in rows],
        "older": [None if row.older == row.key else row.older for row in rows],
        "old_id": [row.old_id for row in rows],
    }
    return pa.table(columns, schema=pa.schema([(name, pa.string()) for name in columns]))


def _rows_in(table: pa.Table) -> list[Row]:
    columns = (table[name].to_pylist() for name in ("id", "key", "older", "old_id"))
    return [Row(identity, key, older or key, old) for identity, key, older, old in zip(*columns, strict=True)]
