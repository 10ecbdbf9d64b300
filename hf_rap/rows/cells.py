"""Rows of an Arrow table as Python values: as `datasets` shows them, but with the files of images unopened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_rap.options import ForeignError, read_json

if TYPE_CHECKING:
    import pyarrow as pa


def columns_of(table: pa.Table) -> dict[str, list[Any]]:
    """The columns by name. A cell of mixed types, which `datasets` stores as JSON, is what the JSON says.

    >>> import pyarrow as pa
    >>> columns_of(pa.table({"answer": pa.array(['3', '"B"'], pa.json_()), "n": [1, 2]}))
    {'answer': [3, 'B'], 'n': [1, 2]}
    """
    return {name: values_of(column) for name, column in zip(table.column_names, table.columns, strict=True)}


def values_of(column: pa.Array | pa.ChunkedArray) -> list[Any]:
    """The same of one column."""
    values: list[Any] = column.to_pylist()
    return _decoded(values, column.type) if _holds_json(column.type) else values


def rows_of(table: pa.Table) -> list[dict[str, Any]]:
    """The same row by row."""
    columns = columns_of(table)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _holds_json(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return isinstance(kind, pa.JsonType) or any(_holds_json(kind.field(i).type) for i in range(kind.num_fields))


def _decoded(cells: list[Any], kind: pa.DataType) -> list[Any]:
    import pyarrow as pa

    def of_cell(value: Any, kind: pa.DataType) -> Any:
        if value is None or not _holds_json(kind):
            return value
        if isinstance(kind, pa.JsonType):
            try:
                return read_json(value, object, any_number=True)
            except ForeignError:  # the text itself, which is no question or answer
                return value
        if isinstance(value, list):
            return [of_cell(item, kind.value_type) for item in value]
        return {name: of_cell(item, kind.field(name).type) for name, item in value.items()}

    return [of_cell(cell, kind) for cell in cells]
