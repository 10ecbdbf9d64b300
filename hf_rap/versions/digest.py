"""What rows say, in 64 characters: the same for the same rows, whatever wrote them and into whatever files.

A file's checksum changes with the version of pyarrow, with the size of row groups, with compression. Here a column is
hashed by its values in the order of its rows, each kind of value in one form: numbers as 8 bytes, text and files by
length and content, lists by length and their items. Not told apart: a column without a value and none at all, a struct
of nulls and a null, integers of different width; and an image is its bytes, not the name of its file.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    import datasets
    import pyarrow as pa

# A length that no value has.
_NULL = -1


class RowDigest:
    """The digest of rows that come in tables; where one ends and the next begins makes no difference.

    Args:
        features: of the rows, as they are published; values are cast to them.

    """

    def __init__(self, features: datasets.Features) -> None:
        self.features = features
        self.rows = 0
        self._columns: dict[str, Any] = {}
        self._has_values: set[str] = set()

    def over(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """The same tables, each taken in before it is passed on."""
        for table in tables:
            self.add(table)
            yield table

    def add(self, table: pa.Table) -> None:
        """Take in the next rows."""
        schema = self.features.arrow_schema
        self.rows += len(table)
        for name, feature in self.features.items():
            column = table[name].cast(schema.field(name).type)
            for chunk in column.chunks:
                self._take(f"{name!r}", chunk, feature)

    def hexdigest(self) -> str:
        """64 characters for the rows so far."""
        total = hashlib.sha256(str(self.rows).encode())
        for place in sorted(self._has_values):
            total.update(f"{place}\0{self._columns[place].hexdigest()}\n".encode())
        return total.hexdigest()

    def _take(self, place: str, array: pa.Array, feature: Any) -> None:
        import pyarrow as pa

        if isinstance(array, pa.ExtensionArray):
            array = array.storage
        kind = array.type
        if pa.types.is_dictionary(kind):
            self._take(place, array.dictionary_decode(), feature)
        elif pa.types.is_struct(kind):
            # A null struct has children of its own below it, which nobody reads.
            fields = dict(zip((field.name for field in kind), array.flatten(), strict=True))
            if hasattr(feature, "embed_storage") and "bytes" in fields:
                fields.pop("path", None)
            for name, values in fields.items():
                self._take(f"{place}.{name!r}", values, feature.get(name) if isinstance(feature, dict) else None)
        elif pa.types.is_map(kind):
            self._take(f"{place}{{}}", pa.array(map(str, array.to_pylist())), None)
        elif pa.types.is_nested(kind):
            self._take_list(place, array, getattr(feature, "feature", None))
        elif _is_text(kind):
            self._take_text(place, array)
        else:
            self._take_numbers(place, array)

    def _take_list(self, place: str, array: pa.Array, feature: Any) -> None:
        import pyarrow.compute as pc

        lengths = pc.list_value_length(array).cast("int64")
        self._hash(f"{place}#", lengths.fill_null(_NULL), has_values=lengths.null_count < len(lengths))
        self._take(f"{place}[]", pc.list_flatten(array), feature)

    def _take_text(self, place: str, array: pa.Array) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        # A slice may point into a buffer with the values of other rows; joined, there are its own alone.
        values = array.cast("large_binary")
        lengths = pc.binary_length(values).cast("int64")
        self._hash(place, lengths.fill_null(_NULL), has_values=lengths.null_count < len(lengths))
        contents = values.fill_null(b"")
        if pc.sum(pc.binary_length(contents)).as_py():
            offsets = contents.buffers()[1]
            bounds = pa.Array.from_buffers(pa.int64(), len(contents) + 1, [None, offsets], offset=contents.offset)
            start, end = bounds[0].as_py(), bounds[-1].as_py()
            self._hasher(f"{place}=").update(memoryview(contents.buffers()[2])[start:end])
            self._has_values.add(f"{place}=")

    def _take_numbers(self, place: str, array: pa.Array) -> None:
        import numpy as np
        import pyarrow as pa

        kind = array.type
        valid = array.is_valid().cast("int8")
        if pa.types.is_null(kind):
            return
        if pa.types.is_floating(kind):
            numbers = array.cast("float64").fill_null(0.0).to_numpy(zero_copy_only=False) + 0.0  # no negative zero
            numbers = np.where(np.isnan(numbers), np.nan, numbers)
            content, place = pa.array(numbers.view("int64")), f"{place}f"
        elif pa.types.is_boolean(kind) or pa.types.is_integer(kind):
            whole = array.cast("int8") if pa.types.is_boolean(kind) else array
            content = whole.cast("int64", safe=False).fill_null(0)
        else:
            # Times by their unit, decimals by their digits.
            is_time = pa.types.is_temporal(kind)
            self._take(f"{place}{kind}", array.cast(_storage(kind)) if is_time else array.cast("string"), None)
            return
        has_values = array.null_count < len(array)
        self._hash(place, content, has_values=has_values)
        self._hash(f"{place}?", valid.cast("int64"), has_values=has_values)

    def _hash(self, place: str, numbers: pa.Array, *, has_values: bool) -> None:
        self._hasher(place).update(numbers.to_numpy(zero_copy_only=False).astype("<i8").tobytes())
        if has_values:
            self._has_values.add(place)

    def _hasher(self, place: str) -> Any:
        return self._columns.setdefault(place, hashlib.sha256())


def digest_of_files(paths: Sequence[Path], features: datasets.Features) -> str:
    """The digest of the rows in Parquet files, for versions that do not name theirs."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    digest = RowDigest(features)
    for path in paths:
        # Threads of Arrow may abort a process that ends soon after, see `RunFolder.read_part`.
        for batch in pq.ParquetFile(path).iter_batches(batch_size=128, use_threads=False):
            digest.add(pa.Table.from_batches([batch]))
    return digest.hexdigest()


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    checks = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_string_view,
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_binary_view,
        pa.types.is_fixed_size_binary,
    )
    return any(check(kind) for check in checks)


def _storage(kind: pa.DataType) -> str:
    return f"int{kind.bit_width}"
