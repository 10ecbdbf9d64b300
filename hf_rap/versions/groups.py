"""Where the row groups of a version begin: at rows that their ids choose, so that a change moves few of them.

Were a group as many rows, a row in front would move every row at an end into the next group. A group of `selected` holds
the kept rows of one group of `scored`: the rule decides which rows are in it, and never where it begins.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

from hf_rap.rows.parquet import pieces

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow as pa

# A group is what a reader has to hold at once; the viewer of the Hub refuses those above 300 MB. The next one begins at the
# first row that may begin one, of which there is one in 32, after as many bytes or rows, and after twice as many anyhow.
GROUP_BYTES = 64_000_000
GROUP_ROWS = 8_000
ROWS_PER_START = 32
# Within a group a page is what a reader of a few rows has to fetch. Where one ends, stored chunks end too.
PAGE_BYTES = 2_000_000
ROWS_PER_PAGE_START = 4


def cut_by_ids(tables: Iterable[pa.Table], ids: Sequence[Any]) -> Iterator[tuple[int, pa.Table]]:
    """The rows of all tables as row groups, each with the number of its first row; their chunks are pages.

    Args:
        tables: all rows, in their order.
        ids: what each row is known by.

    """
    group, start, number = _Group(), 0, 0

    def taken(stop: int) -> tuple[int, pa.Table]:
        return start, _in_pages(group.take(), ids[start:stop])

    for table in tables:
        for piece in pieces(table, GROUP_BYTES):
            first = 0
            for place in range(len(piece)):
                if _is_chosen(ids[number + place], ROWS_PER_START) and group.is_full_with(
                    piece.slice(first, place - first), 1
                ):
                    group.add(piece.slice(first, place - first))
                    yield taken(number + place)
                    start, first = number + place, place
            number += len(piece)
            rest = piece.slice(first)
            is_full = group.is_full_with(rest, 2)
            group.add(rest)
            if is_full:
                yield taken(number)
                start = number
    if group.rows:
        yield taken(number)


def cut_at(tables: Iterable[tuple[Sequence[int], pa.Table]], starts: Sequence[int]) -> Iterator[pa.Table]:
    """The rows of all tables as row groups that begin at the same rows as others.

    Args:
        tables: rows in their order, with their numbers.
        starts: the first row of each group.

    """
    import numpy as np
    import pyarrow as pa

    waiting: list[pa.Table] = []
    current = -1
    for rows, table in tables:
        groups = np.searchsorted(starts, rows, side="right")
        for group in np.unique(groups):
            if group != current and waiting:
                yield pa.concat_tables(waiting)
                waiting = []
            current = group
            first, last = np.searchsorted(groups, [group, group + 1])
            waiting.append(table.slice(first, last - first))
    if waiting:
        yield pa.concat_tables(waiting)


class _Group:
    """The tables of a row group so far."""

    def __init__(self) -> None:
        self.tables: list[pa.Table] = []
        self.rows = self.size = 0

    def is_full_with(self, table: pa.Table, share: int) -> bool:
        return self.size + table.nbytes >= share * GROUP_BYTES or self.rows + len(table) >= share * GROUP_ROWS

    def add(self, table: pa.Table) -> None:
        self.tables.append(table)
        self.rows += len(table)
        self.size += table.nbytes

    def take(self) -> pa.Table:
        """The tables joined, after which there are none."""
        import pyarrow as pa

        joined = pa.concat_tables(self.tables)
        self.tables, self.rows, self.size = [], 0, 0
        return joined


def _is_chosen(key: Any, one_in: int) -> bool:
    return zlib.crc32(str(key).encode()) % one_in == 0


def _in_pages(group: pa.Table, ids: Sequence[Any]) -> pa.Table:
    """The same rows in chunks, at the end of which a writer ends the page of a column of files."""
    import pyarrow as pa

    whole = group.combine_chunks()
    if whole.nbytes <= PAGE_BYTES:
        return whole
    starts = [0]
    for place, key in enumerate(ids):
        if _is_chosen(key, ROWS_PER_PAGE_START) and whole.slice(starts[-1], place - starts[-1]).nbytes >= PAGE_BYTES:
            starts.append(place)
    ends = [*starts[1:], len(whole)]
    return pa.concat_tables([whole.slice(start, end - start) for start, end in zip(starts, ends, strict=True)])
