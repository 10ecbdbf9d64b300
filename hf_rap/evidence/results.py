"""What a scorer or collector from outside gives for a batch: one value per row, or a sentence about the row that is wrong."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

from hf_rap.columns import ID, Column, arrow_type
from hf_rap.errors import RapError, SettingError, first_line
from hf_rap.options import check, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def check_columns(name: str, columns: Any) -> None:
    """Raise `SettingError` for anything but some columns, no name twice."""
    takes = "a list of hf_rap.Column(name, type, meaning), each name once"
    fine = isinstance(columns, (list, tuple)) and columns and all(isinstance(column, Column) for column in columns)
    check(fine and len({column.name for column in columns}) == len(columns), name, columns, takes)


@dataclass(frozen=True)
class Results:
    """What a function gives for a batch.

    Args:
        name: begins a sentence about it.
        function: of the batch.
        batch: some rows.
        rows: how many.
        alone: the batch of one of them, by its place.
        row_id: what people know it by, or None.

    """

    name: str
    function: Callable[[Mapping[str, Any]], Any]
    batch: Mapping[str, Any]
    rows: int
    alone: Callable[[int], Mapping[str, Any]]
    row_id: Callable[[int], Any]

    @classmethod
    def of_columns(
        cls, name: str, function: Callable[[Mapping[str, Any]], Any], batch: Mapping[str, Any], names: Sequence[str]
    ) -> Results:
        """Of a function that reads these columns alone."""
        ids = batch.get(ID.name)
        return cls(
            name,
            function,
            batch,
            len(batch[names[0]]) if names else 0,
            lambda row: {column: batch[column][row : row + 1] for column in names},
            lambda row: None if ids is None else ids[row],
        )

    def read(self, writes: Sequence[Column]) -> dict[Column, list[Any]]:
        """The columns that were declared, one value per row of the batch; NaN is null.

        Raises:
            SettingError: the function raised, other columns came, as many values as there are not rows, or a value of
                another type. The row is named.

        """
        scores = self._given()
        declared = {column.name for column in writes}
        if not isinstance(scores, Mapping) or set(scores) != declared:
            given = sorted(map(str, scores)) if isinstance(scores, Mapping) else shown(scores)
            raise SettingError(f"{self.name} gives {given}, but writes={sorted(declared)} was declared.")
        return {column: self._values(column, scores[column.name]) for column in writes}

    def _given(self) -> Any:
        try:
            return self.function(self.batch)
        except RapError:
            raise
        except Exception as error:  # noqa: BLE001 - told again, with its row
            cause, where = error, f"a batch of {self.rows} rows"
            for row in range(self.rows):
                try:
                    self.function(self.alone(row))
                except Exception as own:  # noqa: BLE001 - what it raises on a row alone is what is told
                    cause, where = own, self._place(row)
                    break
            raise SettingError(
                f"{self.name} raised {type(cause).__name__} ({first_line(cause)}) on {where}."
            ) from cause

    def _values(self, column: Column, values: Any) -> list[Any]:
        if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
            raise self._error(shown(values), column, ": it takes one value per row, in a list.")
        cells = [_plain(value, column.dtype) for value in values]
        if len(cells) != self.rows:
            takes = f" for a batch of {self.rows} rows: it takes one value per row, null where it is unknown."
            raise self._error(f"{len(cells)} values", column, takes)
        if not _fits(cells, column.dtype):
            row = next((row for row, cell in enumerate(cells) if not _fits([cell], column.dtype)), 0)
            takes = f" on {self._place(row)}: that column is {column.dtype}, and null where it is unknown."
            raise self._error(shown(cells[row]), column, takes)
        return cells

    def _error(self, what: str, column: Column, takes: str) -> SettingError:
        return SettingError(f"{self.name} gives {what} as {column.name!r}{takes}")

    def _place(self, row: int) -> str:
        row_id = self.row_id(row)
        return f"row {row} of a batch{'' if row_id is None else f' (id {row_id!r})'}"


def _plain(value: Any, dtype: str) -> Any:
    """Numbers of numpy, torch and Arrow as those of Python; NaN as null; a flag is 0 or 1 where numbers are asked for."""
    if hasattr(value, "item") and not getattr(value, "ndim", 0):
        value = value.item()
    elif hasattr(value, "as_py"):
        value = value.as_py()
    elif hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, Real) and dtype.startswith("float"):
        return float(value)
    return int(value) if isinstance(value, bool) and dtype.startswith(("int", "uint")) else value


def _fits(cells: list[Any], dtype: str) -> bool:
    import pyarrow as pa

    try:
        stored = pa.array(cells, arrow_type(dtype)).to_pylist()
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return False
    if "int" in dtype and stored != cells:  # Arrow cuts 0.5 to 0
        return False
    return not any(isinstance(cell, float) and math.isinf(cell) for cell in cells)
