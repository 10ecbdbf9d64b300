"""Files of a row group stored in another order than its rows: those with the highest score first.

Rows that come in with a lower threshold stand between others, and a store of chunks takes a chunk of each neighbour anew
with every one of them. As the dictionary of their column, files may stand in any order, and those that come in or go out
stand together at its end. Rows keep their order: they name the place of their file. The same file is stored once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def rank_files(table: pa.Table, score: str) -> pa.Table:
    """The same rows, in which columns of files, or with files in them, are dictionaries in the order of a score.

    Args:
        table: a row group.
        score: a column of numbers; rows without one come last.

    """
    import numpy as np
    import pyarrow.compute as pc

    order = pc.sort_indices(table.select([score]), sort_keys=[(score, "descending")])
    back = np.argsort(order.to_numpy())
    for place, field in enumerate(table.schema):
        if ranked_type(field.type) != field.type:
            ranked = _ranked(table.column(place).combine_chunks().take(order))
            table = table.set_column(place, field.with_type(ranked.type), ranked.take(back))
    return table


def ranked_schema(schema: pa.Schema) -> pa.Schema:
    """The schema of what `rank_files` gives."""
    import pyarrow as pa

    return pa.schema([field.with_type(ranked_type(field.type)) for field in schema], schema.metadata)


def ranked_type(kind: pa.DataType) -> pa.DataType:
    """A type with dictionaries in place of files."""
    import pyarrow as pa

    if _is_file(kind):
        return pa.dictionary(pa.int32(), kind)
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(ranked_type(field.type)) for field in kind])
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(ranked_type(kind.value_type)))
    return kind


def _ranked(array: pa.Array) -> pa.Array:
    import pyarrow as pa

    kind = array.type
    if _is_file(kind):
        return array.dictionary_encode()
    if pa.types.is_struct(kind):
        parts = [_ranked(part) for part in array.flatten()]
        fields = [field.with_type(part.type) for field, part in zip(kind, parts, strict=True)]
        return pa.StructArray.from_arrays(parts, fields=fields, mask=array.is_null())
    if pa.types.is_list(kind):
        values = _ranked(array.values)
        ranked = pa.list_(kind.value_field.with_type(values.type))
        mask = array.is_null() if array.null_count else None
        return pa.ListArray.from_arrays(array.offsets, values, type=ranked, mask=mask)
    return array


def _is_file(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))
