"""Lists of numbers in Arrow, one per row, however they were stored: other number types, nulls alone, or text of a CSV file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_rap.errors import LayoutError, first_line

from .exact import in_double

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


def number_lists(reader: str, name: str, column: pa.Array) -> pa.Array:
    """A column of lists of numbers as lists of float64; a null stays null, in a list too.

    Single precision is read as what it stands for (`in_double`), and a text as the list that it spells: "[1.0, null]" as
    JSON and Python have it, or "[1. 0.]" as numpy writes it.

    Raises:
        LayoutError: it holds something else.

    """
    import pyarrow as pa

    double = pa.list_(pa.float64())
    kind = column.type
    if kind == double:
        return column
    try:
        if pa.types.is_dictionary(kind):
            return number_lists(reader, name, column.dictionary_decode())
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return pa.array([None if text is None else _spelled(text) for text in column.to_pylist()], type=double)
        if pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind):
            lists = pa.array(column.to_pylist(), type=double)  # a cast loses rows behind an empty one
        else:
            lists = column.cast(double)
    except (pa.ArrowException, ValueError) as error:
        raise LayoutError(
            f"{reader} reads a list of numbers per row from {name!r}, but the column is of type {kind} "
            f"({first_line(error)}). Store lists of numbers, null where an attempt was not judged."
        ) from error
    single = not pa.types.is_null(kind) and kind.value_type in (pa.float16(), pa.float32())
    return _in_double(lists, kind.value_type) if single else lists


def lengths_of(lists: pa.Array) -> NDArray[np.int64]:
    """How many values each row has, (n_rows,); null has none."""
    import numpy as np
    import pyarrow.compute as pc

    if not lists.null_count:
        ends: NDArray[np.int64] = lists.offsets.to_numpy().astype(np.int64)
        return ends[1:] - ends[:-1]
    lengths: NDArray[np.int64] = pc.list_value_length(lists).fill_null(0).to_numpy().astype(np.int64)
    return lengths


def known_of(lists: pa.Array) -> NDArray[np.int64]:
    """How many values of each row are no null, (n_rows,)."""
    known = lists.flatten().is_valid().to_numpy(zero_copy_only=False)
    return sums_of(known, lengths_of(lists).cumsum())


def sums_of(flags: NDArray[np.bool_], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many flags of each row are set, (n_rows,), where the flags of a row end before `ends`."""
    import numpy as np

    before = np.zeros(len(flags) + 1, dtype=np.int64)
    np.cumsum(flags, out=before[1:])
    sums: NDArray[np.int64] = before[ends]
    sums[1:] = sums[1:] - sums[:-1]
    return sums


def _in_double(lists: pa.Array, single: pa.DataType) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    values = lists.flatten()
    numbers = in_double(values.cast(single).to_numpy(zero_copy_only=False))
    offsets = np.concatenate(([0], np.cumsum(lengths_of(lists)))).astype(np.int32)
    doubles = pa.array(numbers, mask=values.is_null().to_numpy(zero_copy_only=False))
    return pa.ListArray.from_arrays(pa.array(offsets), doubles, mask=lists.is_null())


def _spelled(text: str) -> list[Any] | None:
    inside = text.strip()
    if inside in ("", "None", "null"):
        return None
    if not (inside.startswith("[") and inside.endswith("]")):
        raise ValueError(f"{text[:40]!r} is no list")
    words = inside[1:-1].replace(",", " ").split()
    return [None if word in ("None", "null") else float(word) for word in words]
