"""What `map` hands to a callable, whatever its options and the format of the dataset, as one kind of batch; and the way back.

    ds.map(cde_score, batched=True)                       cde_score(rows)
    ds.map(rollouts, batched=True, with_indices=True)     rollouts(rows, [0, 1, ...])
    ds.map(rollouts, batched=True, with_rank=True)        rollouts(rows, 1), or None for the rank in a single process
    ds.map(cde_score, batched=True, input_columns="a")    cde_score(["first", "second", ...]): without a name, so it is refused

`rows` are a mapping from names to lists, arrays or tensors, an Arrow table, or a frame of pandas or polars. Where a mapping
goes in, the new columns come out and `map` adds them; where a table goes in, it takes the table that comes out.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from functools import wraps
from math import isnan
from numbers import Integral
from typing import TYPE_CHECKING, Any, TypeVar

from hf_rap.errors import SettingError, first_line

from .cells import values_of
from .compat import is_batch_of_map, stored_column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa

Entered = TypeVar("Entered", bound="Callable[..., Any]")

TABLES = ("pyarrow", "pandas", "polars")
NOT_NUMPY = ("torch", "tensorflow", "jax", "jaxlib", "mlx")  # an array of numpy may be a picture
TENSORS = ("numpy", *NOT_NUMPY)
PLAIN = "ds.map(..., batched=True) on a dataset without a format, ds.with_format(None)"


class Batch(Mapping[str, Any]):
    """The columns of some rows by name, one value per row.

    `batch[name]` are Python values, or what the format has made of them: see `cells` for Python values alone, and `arrow`
    for an Arrow array, without a detour through Python where Arrow holds the column.

    Args:
        reader: what reads the batch, for errors.
        given: what `map` has handed over.

    Raises:
        SettingError: these are no rows: a single row, or columns without their names.

    """

    def __init__(self, reader: str, given: Any) -> None:
        self.reader = reader
        self.given: Any = given.given if isinstance(given, Batch) else given
        self.library = _library(self.given)
        if isinstance(self.given, Mapping):
            if _is_row(self.given):
                raise SettingError(f"{reader} takes batches of rows, and this is a single row: use {PLAIN}.")
        elif self.library not in TABLES or not hasattr(self.given, "columns"):
            raise SettingError(
                f"{reader} takes rows whose columns have names, and this is a {type(self.given).__name__}: use {PLAIN}, and "
                "without input_columns, which hands columns over without their names."
            )

    def __iter__(self) -> Iterator[str]:
        names = self.given.column_names if self.library == "pyarrow" else self.given
        return iter(self.given.columns if self.library == "polars" else names)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return name in (self.given if isinstance(self.given, Mapping) else tuple(self))

    def __getitem__(self, name: str) -> Any:
        return self.given[name] if isinstance(self.given, Mapping) else values_of(self.arrow(name))

    def check_undecoded(self) -> None:
        """Raise `SettingError` for a format that decodes images and turns nulls into NaN: all but none and arrow."""
        tensors = self.library not in TABLES and is_batch_of_map(self.given) is None
        named = next((_library(value) for value in self.given.values() if is_tensor(value)), "") if tensors else ""
        library = named or (self.library if self.library in ("pandas", "polars") else "")
        if library:
            raise SettingError(
                f"{self.reader} takes images and texts as they are stored, which the format {library} has changed: use {PLAIN}."
            )

    def cells(self, name: str) -> list[Any]:
        """The values of a column as Python has them.

        Raises:
            SettingError: they are arrays or tensors, which hold neither nulls nor all digits.

        """
        values = self[name]
        if not isinstance(values, (list, tuple)) or any(is_tensor(value) for value in values):
            raise SettingError(
                f"{self.reader} reads Python values, and column {name!r} arrives as {type(values).__name__} of another "
                f"library: use {PLAIN}."
            )
        return list(values)

    def stored(self, name: str) -> Any:
        """A column as Arrow holds it; None where it does not."""
        if isinstance(self.given, Mapping):
            return stored_column(self.given, name)
        return None if self.library == "pandas" else _as_arrow(self.given[name])

    def arrow(self, name: str, *, exact: bool = False) -> pa.Array:
        """A column as one Arrow array, of the type that it is stored or arrives in.

        Args:
            name: of the column.
            exact: refuse arrays and tensors, in which numbers have lost digits.

        Raises:
            SettingError: the values have no type in common, or are not exact.

        """
        import pyarrow as pa

        column = self.stored(name)
        try:
            if column is None:
                is_mapping = isinstance(self.given, Mapping)
                values = self.cells(name) if exact and is_mapping else self[name] if is_mapping else self.given[name]
                column = _as_arrow(values)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise SettingError(
                f"{self.reader} cannot read column {name!r} ({first_line(error)}): use {PLAIN}, whose values are of one type."
            ) from error
        if isinstance(column, pa.ChunkedArray):
            column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
        return column

    @property
    def row_count(self) -> int:
        """How many rows it has."""
        name = next(iter(self), None)
        if name is None:
            return 0
        stored = self.stored(name)
        return len(self[name] if stored is None else stored)

    def part(self, start: int, stop: int) -> Batch:
        """Some of its rows, as a batch."""
        return _Part(self, slice(start, stop))

    def back(self, columns: Mapping[str, Any]) -> Any:
        """What `map` takes: the new columns, or the table that was given with them."""
        if isinstance(self.given, Mapping):
            return columns
        import pyarrow as pa

        arrays = {name: pa.array(values) for name, values in columns.items()}
        frames = sys.modules[self.library]  # loaded, since a frame of it was given; no dependency of ours
        if self.library == "pandas":
            typed = {name: frames.ArrowDtype(array.type) for name, array in arrays.items()}
            new = {name: frames.array(array.to_pylist(), dtype=typed[name]) for name, array in arrays.items()}
            return self.given.assign(**new)
        if self.library == "polars":
            return self.given.with_columns(**{name: frames.from_arrow(array) for name, array in arrays.items()})
        table = self.given
        for name, array in arrays.items():
            place = table.schema.get_field_index(name)
            table = table.append_column(name, array) if place < 0 else table.set_column(place, name, array)
        return table


class _Part(Batch):
    """Some rows of a batch; nothing of it is copied, or decoded."""

    def __init__(self, whole: Batch, rows: slice) -> None:
        super().__init__(whole.reader, whole)
        self._whole = whole
        self._rows = rows

    def __getitem__(self, name: str) -> Any:
        return self._whole[name][self._rows]

    def stored(self, name: str) -> Any:
        """A column as Arrow holds it; None where it does not."""
        stored = self._whole.stored(name)
        return None if stored is None else stored.slice(self._rows.start, self._rows.stop - self._rows.start)


def held_in_arrow(columns: Mapping[str, Any], name: str) -> Any:
    """A column as Arrow holds it, of a `Batch`, a batch of `map`, or other columns; None where Arrow does not hold it."""
    return columns.stored(name) if isinstance(columns, Batch) else stored_column(columns, name)


def batched(call: Entered) -> Entered:
    """A method (self, batch) -> new columns, made to take all that `map` passes and to give back what `map` takes.

    Its batch is a `Batch`. A rank goes to `self.on_rank`, where there is one; indices mean nothing to rows that have ids.
    """

    @wraps(call)
    def entered(self: Any, *passed: Any, rank: int | None = None, **options: Any) -> Any:
        reader = getattr(self, "name", type(self).__name__)
        if options:
            raise SettingError(
                f"{reader} has its options from where it was made, {type(self).__name__}(...): fn_kwargs has nothing to give "
                f"it ({', '.join(options)})."
            )
        if not passed:
            raise SettingError(f"{reader} takes a batch of rows: use {PLAIN}.")
        batch = Batch(reader, passed[0])
        rank = _rank(reader, passed[1:]) if rank is None else rank
        if rank is not None and hasattr(self, "on_rank"):
            self = self.on_rank(rank)
        columns = call(self, batch)
        return columns if isinstance(passed[0], Batch) else batch.back(columns)

    return entered  # type: ignore[return-value]


def _rank(reader: str, passed: tuple[Any, ...]) -> int | None:
    """The rank among what stands behind the rows; the indices are a list of numbers."""
    rank = None
    for value in passed:
        if isinstance(value, Integral):
            rank = int(value)
        elif value is not None and not isinstance(value, Iterable):
            raise SettingError(f"{reader} takes rows, and besides their indices and a rank, not {value!r}.")
    return rank


def is_tensor(value: Any, libraries: tuple[str, ...] = TENSORS) -> bool:
    """An array or a tensor of these libraries, or a list of them."""
    while isinstance(value, (list, tuple)) and value:
        value = value[0]
    return _library(value) in libraries


def _library(value: Any) -> str:
    return type(value).__module__.partition(".")[0]


def _is_row(given: Mapping[str, Any]) -> bool:
    """Not a batch: some value is no list. The columns of `Dataset.map` are decoded when they are looked at, so they are not."""
    of_map = is_batch_of_map(given)
    return not of_map if of_map is not None else any(not _is_column(value) for value in given.values())


def _is_column(value: Any) -> bool:
    if isinstance(value, (str, bytes, Mapping)) or getattr(value, "ndim", 1) == 0:
        return False
    return isinstance(value, (list, tuple)) or hasattr(value, "__len__")


def _as_arrow(values: Any) -> Any:
    """A column in Arrow, with the type that its values have."""
    import pyarrow as pa

    library = _library(values)
    if library == "pyarrow":
        return values
    if library == "polars":
        return values.to_arrow()
    if library == "pandas" and values.dtype != object:
        return pa.array(values)
    if library == "pandas":  # Arrow would take every NaN for a null, also one inside of a list
        values = [None if isinstance(value, float) and isnan(value) else value for value in values]
    if library in TENSORS or any(is_tensor(value) for value in values):
        values = [None if value is None else _as_numpy(value) for value in values]
    return pa.array(values)


def _as_numpy(value: Any) -> Any:
    import numpy as np

    value = value.detach().cpu() if hasattr(value, "detach") else value
    return np.asarray(value) if getattr(value, "ndim", 0) else value
