"""A dataset -> Parquet files with the images inside, which `datasets` from 3.6 on reads as they were.

Written batch by batch, so that memory does not grow with the dataset; the same rows give the same
bytes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import datasets
    import pyarrow as pa

SHARD_BYTES = 500_000_000
# A row group is what a reader has to hold at once; the viewer of the Hub refuses those above 300 MB.
ROW_GROUP_BYTES = 64_000_000
ROW_GROUP_ROWS = 10_000
# A page is what a reader of a few rows has to fetch. Where one ends, stored chunks end too, so of few rows that are gone
# pages of 1 MB let 13 % be stored anew, these 2.5 % (docs/publishing.md).
PAGE_BYTES = 8_000_000


def write_shards(batches: Iterable[pa.Table], features: datasets.Features, folder: Path) -> list[Path]:
    """`train-00000-of-00002.parquet`, ... in `folder`, which is made.

    Args:
        batches: tables with the columns of `features`, in their order; at least one row in all.
        features: what readers will see.
        folder: where the files go.

    """
    shards = list(shards_of(batches, features, folder))
    return [shard.rename(folder / shard_name(number, len(shards))) for number, shard in enumerate(shards)]


def shard_name(number: int, count: int) -> str:
    """The name of a shard, as `datasets` gives it."""
    return f"train-{number:05d}-of-{count:05d}.parquet"


def shards_of(batches: Iterable[pa.Table], features: datasets.Features, folder: Path) -> Iterator[Path]:
    """Each shard as soon as it is whole, so that it can be moved away before the next one is written."""
    import pyarrow.parquet as pq

    folder.mkdir(parents=True)
    schema = portable_schema(features)
    writer: Any = None
    number = 0
    shard = folder / f"{number:05d}.parquet"
    try:
        for group in _row_groups(batches, schema):
            if writer is not None and shard.stat().st_size >= SHARD_BYTES:
                writer.close()
                writer = None
                yield shard
                number += 1
                shard = folder / f"{number:05d}.parquet"
            if writer is None:
                writer = pq.ParquetWriter(shard, schema, **_writing(schema))
            writer.write_table(group, row_group_size=len(group))
        if writer is None:
            return
    finally:
        if writer is not None:
            writer.close()
    yield shard


def write_table(
    batches: Iterable[pa.Table], features: datasets.Features, path: Path, *, metadata: dict[bytes, bytes]
) -> None:
    """One Parquet file with all rows; `metadata` stands beside what `datasets` keeps in its schema."""
    import pyarrow.parquet as pq

    schema = portable_schema(features)
    schema = schema.with_metadata({**(schema.metadata or {}), **metadata})
    with pq.ParquetWriter(path, schema, **_writing(schema)) as writer:
        for group in _row_groups(batches, schema):
            writer.write_table(group, row_group_size=max(1, len(group)))


def _writing(schema: pa.Schema) -> dict[str, Any]:
    """How columns are written: files of images and the like raw, all else compressed.

    Files do not compress, and snappy over them would let one row more or less change every byte behind it. Raw, a file
    is the same bytes wherever it stands, which a store of chunks does not want a second time.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), sink)
    columns = pq.read_metadata(pa.BufferReader(sink.getvalue())).schema
    kinds = {columns.column(place).path: columns.column(place) for place in range(len(columns.names))}
    raw = {
        path
        for path, column in kinds.items()
        if column.physical_type == "BYTE_ARRAY" and column.converted_type == "NONE"
    }
    return {
        "compression": {path: "none" if path in raw else "snappy" for path in kinds},
        "use_dictionary": [path for path in kinds if path not in raw],
        "write_statistics": [path for path in kinds if path not in raw],
        "write_page_index": True,
        "data_page_size": PAGE_BYTES,
    }


def _row_groups(batches: Iterable[pa.Table], schema: pa.Schema) -> Iterable[pa.Table]:
    """The batches joined to row groups."""
    import pyarrow as pa

    waiting: list[pa.Table] = []
    for batch in batches:
        waiting.append(batch.cast(schema))
        if sum(table.nbytes for table in waiting) >= ROW_GROUP_BYTES or sum(map(len, waiting)) >= ROW_GROUP_ROWS:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def portable_schema(features: datasets.Features) -> pa.Schema:
    """The Arrow schema of `features`, with metadata that `datasets` 3.6 and later read alike.

    From version 4 on `datasets` calls every list "List", which earlier ones do not know; all
    know "Sequence". But a Sequence of structs is a struct of lists to them, so a list of structs is
    written in the oldest way, as [struct].
    """
    described = {"info": {"features": _portable(features.to_dict())}}
    schema: pa.Schema = features.arrow_schema
    return schema.with_metadata({"huggingface": json.dumps(described)})


def _portable(described: Any) -> Any:
    if isinstance(described, list):
        return [_portable(part) for part in described]
    if not isinstance(described, dict):
        return described
    if described.get("_type") != "List":
        return {key: _portable(value) for key, value in described.items()}
    inner = _portable(described["feature"])
    if isinstance(inner, dict) and not isinstance(inner.get("_type"), str):
        return [inner]
    return {**described, "feature": inner, "_type": "Sequence"}


class Embedder:
    """Reads the files that a table points to into it. Bytes that are there stay as they are.

    A file that cannot be read becomes null and is counted in `missing`; of a path only the last
    part is kept.
    """

    def __init__(self, features: datasets.Features) -> None:
        self.missing = 0
        lenient = {name: self._lenient(feature) for name, feature in features.items()}
        # Columns without files pass as they are; arrays of more dimensions would not come back as what they were.
        self.features = {name: feature for name, feature in lenient.items() if _has_files(feature)}

    def embed(self, table: pa.Table) -> pa.Table:
        """The table with the files inside."""
        import pyarrow as pa

        from .compat import embed_files

        for name, feature in self.features.items():
            column, place = table[name], table.column_names.index(name)
            embedded = pa.chunked_array([embed_files(chunk, feature) for chunk in column.chunks], column.type)
            table = table.set_column(place, table.schema.field(place), embedded)
        return table

    def _lenient(self, feature: Any) -> Any:
        """The feature, with every part of it that can embed files replaced by a `_Lenient` one."""
        import datasets

        if isinstance(feature, dict):
            return {name: self._lenient(part) for name, part in feature.items()}
        if isinstance(feature, datasets.LargeList):
            return datasets.LargeList(self._lenient(feature.feature))
        if isinstance(feature, datasets.List):
            return datasets.List(self._lenient(feature.feature), length=feature.length)
        return _Lenient(feature, self) if hasattr(feature, "embed_storage") else feature


def _has_files(feature: Any) -> bool:
    if isinstance(feature, dict):
        return any(map(_has_files, feature.values()))
    return isinstance(feature, _Lenient) or (hasattr(feature, "feature") and _has_files(feature.feature))


class _Lenient:
    """Image, audio or the like, where a missing file is no reason to stop."""

    def __init__(self, feature: Any, embedder: Embedder) -> None:
        self.feature = feature
        self.embedder = embedder

    def embed_storage(self, storage: pa.StructArray, **options: Any) -> pa.StructArray:
        """What `datasets` calls with the {bytes, path} structs of a column."""
        import pyarrow as pa

        try:
            return self.feature.embed_storage(storage, **options)
        except OSError:
            if len(storage) == 1:
                self.embedder.missing += 1
                return pa.nulls(1, storage.type)
            return pa.concat_arrays([self.embed_storage(storage.slice(i, 1), **options) for i in range(len(storage))])
