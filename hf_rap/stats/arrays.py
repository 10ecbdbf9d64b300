"""Columns of a dataset as arrays, and an order that is random but always the same."""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from hf_rap.columns import ID

from .exact import in_double

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray


def seeded_order(ids: Iterable[Any], seed: int) -> NDArray[np.uint64]:
    """A random-looking number per id, the same in every dataset, process and release of numpy."""
    import numpy as np

    prefix = f"{seed}:"
    digests = b"".join(blake2b(f"{prefix}{key}".encode(), digest_size=8).digest() for key in ids)
    return np.frombuffer(digests, dtype="<u8")


def ids_of(ds: Any) -> Iterable[Any]:
    """What the rows of a dataset are known by in a seeded order: their `rap_id`, or their position without one."""
    return arrow_columns(ds, [ID.name])[ID.name].to_pylist() if ID.name in ds.column_names else range(len(ds))


def arrow_columns(ds: Any, names: Iterable[str | None]) -> dict[str, Any]:
    """Those of the named columns that the dataset has, as Arrow arrays; nothing else is read."""
    wanted = set(names)
    present = [name for name in ds.column_names if name in wanted]
    if not present:
        return {}
    table = ds.select_columns(present).with_format("arrow")[:]
    return {name: table[name].combine_chunks() for name in present}


def numbers_of(column: Any) -> Any:
    """A column as float64, null as NaN; None for no column. Single precision is read as what it stands for, see `in_double`."""
    import pyarrow as pa

    if column is None:
        return None
    if column.type in (pa.float16(), pa.float32()):
        return in_double(column.to_numpy(zero_copy_only=False))
    return column.cast(pa.float64()).to_numpy(zero_copy_only=False)


def nulls_for_nan(values: NDArray[np.float64]) -> list[float | None]:
    """Numbers as JSON has them, NaN as null."""
    return [None if value != value else value for value in values.tolist()]  # noqa: PLR0124 - NaN alone differs from itself


def numbered(names: Iterable[Any]) -> list[tuple[Any, int]]:
    """Each name with how many before it are the same, so that the first of one list meets the first of another.

    >>> numbered(["a", "b", "a"])
    [('a', 0), ('b', 0), ('a', 1)]
    """
    seen: Counter[Any] = Counter()
    pairs = []
    for name in names:
        pairs.append((name, seen[name]))
        seen[name] += 1
    return pairs
