"""What parts hold, without what they hold it in: kept beside them, so that a start and a listing need not open them.

    RUN/<fingerprint>/index/parts-<hash>.arrow

A part is looked up by its name and by what its file system tells of it, size and time of change; where either differs, it
is read. Several processes each keep what they have written.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hf_rap.errors import RunError
from hf_rap.options import ForeignError, read_json

from .stored import FOLDER, keep_table, kept_names, read_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa

    from .folder import RunFolder

# Columns of a part before the evidence. The key knows the row by its id and all that its evidence depends on; the
# failure is what `Collector.failures` says.
KEY, ID, FAILURE, FIRST, ATTEMPTS = "run_key", "run_id", "run_failure", "run_first", "run_attempts"
ARM = "run_arm"  # whose attempts these are; null: of every arm
GRADER = "run_grader"  # `hf_rap.stats.settings.graded_by`; null where nothing is graded
LIMIT = "run_limit"  # tokens that the replies could have; null where none is kept
STOP, CUT, UNGRADED = "stop", "cut", "ungraded"
CONTENTS = (KEY, ID, FIRST, STOP, FAILURE, ARM, GRADER, LIMIT, CUT, UNGRADED)
_FORMAT = 1  # raise it when the same part is described in another way, or taken no more (`index.wrong_in`)
_PARTS = b"parts"
_MOST_TABLES = 16  # more become one


def contents_of(part: pa.Table) -> pa.Table:
    """A row for each row of a part: key, id, attempts, failure, and how many replies were cut off or have no grade."""
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = {name: part[name] for name in CONTENTS if name in part.column_names}
    columns[STOP] = pc.add(part[FIRST], part[ATTEMPTS])
    columns[CUT] = pa.array([any(entries) for entries in _entries(part, "_truncated")], pa.bool_())
    columns[UNGRADED] = pa.array([entries.count(None) for entries in _entries(part, "_rewards")], pa.int32())
    for name in (FAILURE, ARM, GRADER):  # a few texts, many times
        columns[name] = columns[name].cast(pa.dictionary(pa.int32(), pa.string()))
    return pa.table({name: columns[name] for name in CONTENTS}).combine_chunks()


def values_of(column: pa.ChunkedArray) -> list[Any]:
    """The values of a column of contents, ten times as fast as Arrow itself gives them."""
    import pyarrow as pa

    column = column.combine_chunks()
    if column.null_count and not pa.types.is_string(column.type):
        column = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    if not pa.types.is_dictionary(column.type):
        values: list[Any] = column.to_numpy(zero_copy_only=False).tolist()
        return values
    distinct = [*column.dictionary.to_pylist(), None]
    return [distinct[place] for place in column.indices.fill_null(len(distinct) - 1).to_numpy().tolist()]


def _entries(part: pa.Table, suffix: str) -> list[list[Any]]:
    """Of each row all entries of its columns with such a name, of lists with one entry per attempt."""
    columns = [part[name].to_pylist() for name in part.column_names if name.endswith(suffix)]
    rows = zip(*columns, strict=True) if columns else ((),) * len(part)
    return [[entry for attempts in row for entry in attempts or ()] for row in rows]


class Contents:
    """The contents of the parts of one fingerprint.

    Args:
        folder: the run.
        fingerprint: the folder of the parts.
        schema: what a part must have; contents of parts that were not looked at for all of it are not taken.
    """

    def __init__(self, folder: RunFolder, fingerprint: str, schema: pa.Schema) -> None:
        self._folder = folder
        self._fingerprint = fingerprint
        self._columns = [[field.name, str(field.type)] for field in schema]
        self._seen: set[str] = set()
        self._useless: list[str] = []  # torn, or of another release
        self._new: dict[str, tuple[str | None, pa.Table]] = {}

    def kept(self, there: Mapping[str, str]) -> Iterator[tuple[dict[str, int], pa.Table]]:
        """What is known of these parts, which are given with their stamps: tables, and the parts whose rows they have."""
        import pyarrow as pa

        taken: set[str] = set()
        names = [name for name in kept_names(self._folder, self._fingerprint, "parts-") if name not in self._seen]
        self._seen |= set(names)
        for name in names:
            table = read_table(self._folder, self._fingerprint, name)
            about = _about(table) if table is not None else None
            if table is None or about is None:
                self._useless.append(name)
                continue
            if any(column not in about["columns"] for column in self._columns):
                continue
            current: dict[str, int] = {}
            mask: list[bool] = []
            for part, stamp, rows in about["parts"]:
                is_current = there.get(part) == stamp and part not in taken
                mask += [is_current] * rows
                if is_current:
                    current[part] = rows
            taken |= set(current)
            yield current, table if all(mask) else table.filter(pa.array(mask, pa.bool_()))

    def add(self, part: str, stamp: str | None, contents: pa.Table) -> None:
        """A part that was read, with its stamp before that, or written (None)."""
        self._new[part] = (stamp, contents)

    def keep(self, least: int) -> None:
        """Write down what is new, if that is of at least so many parts; a disk without room is for the writer of parts to report."""
        if len(self._new) < least:
            return
        there = self._folder.listed(self._fingerprint) if any(stamp is None for stamp, _ in self._new.values()) else {}
        parts, tables = [], []
        for part, (stamp, contents) in self._new.items():
            now = there.get(part) if stamp is None else stamp
            if now is not None:
                parts.append([part, now, len(contents)])
                tables.append(contents)
        try:
            if tables:
                self._write(parts, tables)
        except RunError:
            return
        self._new = {}

    def forget(self) -> None:
        """A part is not what it was thought to be: all of them are read again by the next start."""
        for name in kept_names(self._folder, self._fingerprint, "parts-"):
            self._folder.remove(f"{self._fingerprint}/{FOLDER}/{name}")
        self._new = {}

    def _write(self, parts: list[list[Any]], tables: list[pa.Table]) -> None:
        import pyarrow as pa

        about = {"format": _FORMAT, "columns": self._columns, "parts": parts}
        table = pa.concat_tables(tables).unify_dictionaries()
        table = table.replace_schema_metadata({_PARTS: json.dumps(about).encode()})
        self._seen.add(keep_table(self._folder, self._fingerprint, "parts", table))

    def join(self) -> None:
        """Make one of many tables of the same columns, and remove those that tell nothing."""
        for name in self._useless:
            self._folder.remove(f"{self._fingerprint}/{FOLDER}/{name}")
        self._useless = []
        names = kept_names(self._folder, self._fingerprint, "parts-")
        if len(names) <= _MOST_TABLES:
            return
        parts: dict[str, list[Any]] = {}
        tables: dict[str, pa.Table] = {}
        joined = []
        for name in names:
            table = read_table(self._folder, self._fingerprint, name)
            about = None if table is None else _about(table)
            if table is None or about is None or about["columns"] != self._columns:
                continue
            joined.append(name)
            start = 0
            for part, stamp, rows in about["parts"]:
                parts[part], tables[part] = [part, stamp, rows], table.slice(start, rows)
                start += rows
        try:
            self._write(list(parts.values()), list(tables.values()))
        except RunError:
            return
        for name in joined:
            self._folder.remove(f"{self._fingerprint}/{FOLDER}/{name}")


def _about(table: pa.Table) -> dict[str, Any] | None:
    """What a table says of itself; None where another release has written it."""
    try:
        about: dict[str, Any] = read_json((table.schema.metadata or {}).get(_PARTS, b""))
    except ForeignError:
        return None
    parts = about.get("parts")
    if about.get("format") != _FORMAT or not isinstance(parts, list) or not isinstance(about.get("columns"), list):
        return None
    # Anybody who writes into the run could have made it; that the parts hold what it says is looked at when they are read.
    fine = all(
        isinstance(part, list) and [type(entry) for entry in part] == [str, str, int] and part[2] >= 0 for part in parts
    )
    is_whole = fine and sum(part[2] for part in parts) == len(table)
    return about if is_whole and set(CONTENTS) <= set(table.column_names) else None
