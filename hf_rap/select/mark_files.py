"""The marks of a person by `rap_id`, in all the forms in which they come back.

    rap_id,mark
    geo-0007,drop
    geo-0012,wrong_gold

A file is read as text: an id such as 0007 or 12e5 is no number.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_rap.columns import ID
from hf_rap.errors import SettingError, SourceError, visible
from hf_rap.options import ForeignError, check, read_json, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

MARK = "mark"
_COLUMNS = (ID.name, MARK)
_DELIMITERS = (",", ";", "\t")
_MOST_BYTES = 1 << 28
TAKES = "a file (.csv, .tsv, .json, .jsonl, .parquet), {rap_id: mark}, dictionaries, or a Dataset, with rap_id and mark"

# Where a mark stands, its id and the mark: as they came, not checked.
Given = tuple[str, Any, Any]


def marks_given(given: Any) -> Iterator[Given]:
    """Every entry of a file, a mapping, a list of dictionaries or a dataset, in its order.

    Raises:
        SourceError: the file is not there or cannot be read.
        SettingError: it has no `rap_id` or no `mark`, or is none of these.

    """
    if isinstance(given, (str, os.PathLike)):
        return _in_file(Path(given))
    if isinstance(given, Mapping):
        return (("overrides", name, mark) for name, mark in given.items())
    check(isinstance(given, (list, tuple)), "overrides", given, TAKES)
    return _in_rows("overrides", ((f"entry {place}", row) for place, row in enumerate(given)))


def marks_in_table(where: str, table: Any) -> Iterator[Given]:
    """Every entry of an Arrow table."""
    _require(where, table.column_names)
    ids, marks = (table[name].to_pylist() for name in _COLUMNS)
    return ((f"{where}, row {place}", name, mark) for place, (name, mark) in enumerate(zip(ids, marks, strict=True)))


def _in_file(path: Path) -> Iterator[Given]:
    name = visible(path.name)
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise SourceError(f"{name}: marks are read from {', '.join(_READERS)}.")
    try:
        if not path.is_file():
            raise SourceError(f"There is no file {visible(str(path))} with marks.")
        if path.stat().st_size > _MOST_BYTES:
            raise SourceError(
                f"{name} has {path.stat().st_size:,} bytes, and at most {_MOST_BYTES:,} of marks are read."
            )
        return read(name, path)
    except (OSError, UnicodeDecodeError, csv.Error, ForeignError) as error:
        what = str(error)
        if isinstance(error, UnicodeDecodeError):
            what = "is no text in UTF-8"
        elif isinstance(error, csv.Error):
            what = f"is no table of separated values ({error})"
        raise SourceError(f"{name} cannot be read as marks: it {what}.") from error


def _in_csv(name: str, path: Path) -> Iterator[Given]:
    """Separated by commas, or by semicolons or tabs, as spreadsheets write it; a byte order mark is none of the header."""
    text = path.read_bytes().decode("utf-8-sig")
    head = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=head.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    names = [cell.strip() for cell in next(lines, [])]
    _require(name, names)
    of_id, of_mark = (names.index(column) for column in _COLUMNS)
    entries = []
    for line in lines:
        cells = [*line, *[None] * (len(names) - len(line))]
        entries.append((f"{name}, line {lines.line_num}", cells[of_id], cells[of_mark]))
    return iter(entries)


def _in_json(name: str, path: Path) -> Iterator[Given]:
    """A list of objects, or one object {rap_id: mark}."""
    value = read_json(path.read_bytes(), object, most=_MOST_BYTES, any_number=True)
    if isinstance(value, dict) and not set(value) >= set(_COLUMNS):
        return ((name, row_id, mark) for row_id, mark in value.items())
    rows = value if isinstance(value, list) else [value]
    return _in_rows(name, ((f"entry {place}", row) for place, row in enumerate(rows)))


def _in_json_lines(name: str, path: Path) -> Iterator[Given]:
    lines = path.read_bytes().decode("utf-8-sig").split("\n")
    rows = (
        (f"line {place}", read_json(line, object, any_number=True))
        for place, line in enumerate(lines, 1)
        if line.strip()
    )
    return _in_rows(name, list(rows))


def _in_parquet(name: str, path: Path) -> Iterator[Given]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            _require(name, file.schema_arrow.names)
            table = file.read(columns=list(_COLUMNS))
    except pa.ArrowException as error:
        raise ForeignError("is no Parquet file") from error
    return marks_in_table(name, table)


_READERS: dict[str, Callable[[str, Path], Iterator[Given]]] = {
    ".csv": _in_csv,
    ".tsv": _in_csv,
    ".json": _in_json,
    ".jsonl": _in_json_lines,
    ".ndjson": _in_json_lines,
    ".parquet": _in_parquet,
}


def _in_rows(name: str, rows: Iterable[tuple[str, Any]]) -> Iterator[Given]:
    for place, row in rows:
        if not isinstance(row, Mapping):
            raise SettingError(f"{name}, {place}, is {shown(row)}: it takes a dictionary with rap_id and mark.")
        _require(f"{name}, {place},", row)
        yield f"{name}, {place}", row[ID.name], row[MARK]


def _require(where: str, names: Iterable[Any]) -> None:
    names = list(names)
    missing = [name for name in _COLUMNS if name not in names]
    if missing:
        has = ", ".join(visible(str(name), 40) for name in names[:10]) or "nothing"
        raise SettingError(f"{where} has no {missing[0]!r} (it has: {has}): marks are rows with rap_id and mark.")
