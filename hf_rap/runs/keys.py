"""The ids and keys of a dataset's rows, kept beside the parts: to find them out, every picture has to be read.

    RUN/<fingerprint>/index/rows-<stamp>-<hash>.arrow
    RUN/claims/<work>/rows-<number>.arrow               some of them, for processes that start together

The stamp says of what: the fingerprint of the dataset, the sizes of its files, the layout. Another one is another file. Of
pictures that rows name, and that are files of their own, size and time of change are kept; where one differs, its rows are
read anew. Processes that start together read each picture once, a few thousand rows each at a time.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_rap.errors import RunError
from hf_rap.options import ForeignError, is_ours, read_json
from hf_rap.rows.compat import fingerprint_after
from hf_rap.rows.media import given_roots, noting_files

from .claims import FOLDER as CLAIMS
from .claims import Claims, work_id
from .index import read_rows
from .row_table import Rows, table_of
from .stored import as_file, from_file, keep_table, kept_tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import datasets
    import pyarrow as pa

    from hf_rap.evidence.collector import Collector
    from hf_rap.rows.layouts import Layout

    from .folder import RunFolder
    from .lease import Lease

_FORMAT = 1  # raise it when a row gets another id or another key
LEAST_ROWS = 100  # fewer are soon read
_ROWS_AT_ONCE = 2_048
_KEPT = 8  # datasets, or parts of one, of which a run remembers the rows
_FILES = b"files"
_A_MOMENT = 0.2  # seconds


def rows_of_run(
    folder: RunFolder,
    fingerprint: str,
    ds: datasets.Dataset,
    collector: Collector,
    layout: Layout,
    *,
    lease: Lease | None = None,
) -> Rows:
    """What `read_rows` gives, read only where the run does not know it.

    `lease`: of this process, where others may start at the same time and rows can be claimed.
    """
    stamp = _stamp(ds, collector, layout) if len(ds) >= LEAST_ROWS else None
    if stamp is None:
        return Rows.of(read_rows(ds, collector, layout, range(len(ds))))
    roots = (*layout.media_roots, *given_roots())
    kept = next(iter(kept_tables(folder, fingerprint, f"rows-{stamp}")), None)
    unchanged = _unchanged(kept, len(ds), roots) if kept is not None else {}
    if kept is not None and len(unchanged) * _ROWS_AT_ONCE >= len(ds):
        return Rows(kept.replace_schema_metadata(None))
    missing = [start for start in range(0, len(ds), _ROWS_AT_ONCE) if start not in unchanged]

    def read(start: int) -> _Stretch:
        with noting_files() as named:
            rows = read_rows(ds, collector, layout, range(start, min(start + _ROWS_AT_ONCE, len(ds))))
        return _Stretch(table_of(rows), _below(roots, named))

    if lease is not None and len(missing) > 1:
        shared = _Shared(folder, work_id((fingerprint, "rows", stamp)), lease, roots)
        stretches = unchanged | shared.read(missing, read)
    else:
        stretches = unchanged | {start: read(start) for start in missing}
    in_order = [stretches[start] for start in sorted(stretches)]
    files = [stretch.files for stretch in in_order if stretch.files is not None]
    if missing and len(files) == len(in_order):  # else nothing would tell whether a picture is still the same
        _keep(folder, fingerprint, stamp, [stretch.table for stretch in in_order], files)
    import pyarrow as pa

    return Rows(pa.concat_tables([stretch.table for stretch in in_order]))


class _Stretch(NamedTuple):
    """Some rows that follow each other, and the files that they name; None where one of these lies elsewhere."""

    table: pa.Table
    files: list[Any] | None


class _Shared:
    """Stretches of rows that several processes read, each of them once, and hand to each other as files beside their claims.

    The files go with the claims, at the latest when the run is next opened by one process alone.
    """

    def __init__(self, folder: RunFolder, work: str, lease: Lease, roots: Sequence[str]) -> None:
        self._folder = folder
        self._claims = Claims(folder, work, lease)
        self._place = f"{CLAIMS}/{work}"
        self._roots = roots

    def read(self, starts: Sequence[int], read: Callable[[int], _Stretch]) -> dict[int, _Stretch]:
        """All of these: those that this process claims by `read`, and the others when they are there."""
        stretches: dict[int, _Stretch] = {}
        waiting = list(starts)
        while waiting:
            for start in waiting:
                stretch = self._told(start)
                if stretch is None and self._claims.take(start) is not None:
                    stretch = self._tell(start, read(start))
                if stretch is not None:
                    stretches[start] = stretch
            waiting = [start for start in waiting if start not in stretches]
            if waiting:
                time.sleep(_A_MOMENT)
        return stretches

    def _tell(self, start: int, stretch: _Stretch) -> _Stretch:
        table = stretch.table.replace_schema_metadata({_FILES: json.dumps(stretch.files).encode()})
        with suppress(RunError):  # a full disk is for the writer of parts to report; others read it themselves then
            self._folder.write(f"{self._place}/{_name(start)}", as_file(table))
        return stretch

    def _told(self, start: int) -> _Stretch | None:
        """What another process has read, if no file has changed since."""
        try:
            table = from_file(self._folder.read(f"{self._place}/{_name(start)}"))
            files = read_json((table.schema.metadata or {})[_FILES], object)
        except (OSError, ValueError, KeyError):
            return None
        if any(not _is_same(self._roots, *file) for file in files or ()):
            return None
        return _Stretch(table.replace_schema_metadata(None), files)


def _name(start: int) -> str:
    return f"rows-{start}.arrow"


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


def _unchanged(kept: pa.Table, count: int, roots: Sequence[str]) -> dict[int, _Stretch]:
    """The stored rows by where they start, as far as no file that they name has changed."""
    try:
        files = read_json((kept.schema.metadata or {}).get(_FILES, b""), list)
    except ForeignError:
        return {}
    if len(kept) != count or len(files) != -(-count // _ROWS_AT_ONCE):
        return {}
    starts = range(0, count, _ROWS_AT_ONCE)
    return {
        start: _Stretch(kept.slice(start, _ROWS_AT_ONCE).replace_schema_metadata(None), seen)
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
