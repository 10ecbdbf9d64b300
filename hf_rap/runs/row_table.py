"""The rows of a dataset as a run knows them, a hundred bytes each: as objects they would take ten times as much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

_AT_ONCE = 4_096


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the dataset: its id, and the key that its parts know it by.

    The id names the row's random numbers and the content is what was asked, so both are in the key: a row
    whose content has changed under its old id is another row. So are stored replies that are read again. The id of a
    row that has none of its own says what its content is, however it is stored. `older` is the key that runs from before
    `Collector.depends_on` know the row by.
    """

    id: str
    key: str
    older: str = ""
    old_id: str | None = None
    """What a row without an id of its own was called when its files made the id; None for the others."""


class Rows(Sequence[Row]):
    """Rows in the columns of a table: id, key, older (null where that is the key), old_id."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table = table.combine_chunks()  # so that an entry is found at once
        self._ids, self._keys, self._olders, self._old_ids = (_whole(table[name]) for name in ROW_COLUMNS)

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Rows:
        """The same rows."""
        return rows if isinstance(rows, cls) else cls(table_of(rows))

    def __len__(self) -> int:
        return len(self.table)

    @overload
    def __getitem__(self, number: int) -> Row: ...
    @overload
    def __getitem__(self, number: slice) -> list[Row]: ...
    def __getitem__(self, number: int | slice) -> Row | list[Row]:
        if isinstance(number, slice):
            start, stop, step = number.indices(len(self))
            return [self[place] for place in range(start, stop, step)]
        key = self._keys[number].as_py()
        return Row(self._ids[number].as_py(), key, self._olders[number].as_py() or key, self._old_ids[number].as_py())

    def __iter__(self) -> Iterator[Row]:
        for batch in self.table.to_batches(max_chunksize=_AT_ONCE):
            columns = (batch[name].to_pylist() for name in ROW_COLUMNS)
            for identity, key, older, old_id in zip(*columns, strict=True):
                yield Row(identity, key, older or key, old_id)

    def key(self, number: int) -> str:
        """That of a row."""
        key: str = self._keys[number].as_py()
        return key

    def keys(self) -> Iterator[str]:
        """Those of all rows."""
        for batch in self.table.select(["key"]).to_batches(max_chunksize=_AT_ONCE):
            yield from batch["key"].to_pylist()

    def with_(self, column: str) -> Rows:
        """Those that have something in this column."""
        return Rows(self.table.filter(self.table[column].is_valid()))


ROW_COLUMNS = ("id", "key", "older", "old_id")


def table_of(rows: Sequence[Row]) -> pa.Table:
    """The table of these rows."""
    import pyarrow as pa

    columns = {
        "id": [row.id for row in rows],
        "key": [row.key for row in rows],
        "older": [None if row.older == row.key else row.older for row in rows],
        "old_id": [row.old_id for row in rows],
    }
    return pa.table(columns, schema=pa.schema([(name, pa.string()) for name in columns]))


def _whole(column: pa.ChunkedArray) -> Any:
    """One array, of which an entry is found at once; several where they are too large for one."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
