"""A dataset -> Parquet files with the images inside, which `datasets` from 3.6 on reads as they were.

Written batch by batch, so that memory does not grow with the dataset; the same rows give the same
bytes.
"""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_rap.errors import SourceError, logger_of
from hf_rap.options import ForeignError, read_json

from .images import is_picture
from .media import HOW, Barred, own_folders, read_named, without_folder
from .ranked import rank_files, ranked_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import datasets
    import pyarrow as pa

logger = logger_of(__name__)

SHARD_BYTES = 500_000_000
# A row group is what a reader has to hold at once; the viewer of the Hub refuses those above 300 MB.
ROW_GROUP_BYTES = 64_000_000
ROW_GROUP_ROWS = 10_000
# Only a row that is larger itself makes a larger row group, which is said. Above 2 GB no version of `datasets` reads it.
LARGE_ROW_BYTES = 256_000_000


_ABSOLUTE_IN_JSON = r'"(/|~|[A-Za-z]:|file:|zip:)'
_JSON_WITH_ABSOLUTE = rf"^\s*[\[{{](?s:.*){_ABSOLUTE_IN_JSON}"
_ABSOLUTE = r"^(/|~|[A-Za-z]:[\\/]|file:|zip:)[^\n]+$"


def write_shards(
    groups: Iterable[pa.Table],
    features: datasets.Features,
    folder: Path,
    *,
    rank_by: str | None = None,
    metadata: Mapping[bytes, bytes] | None = None,
) -> list[Path]:
    """`train-00000-of-00002.parquet`, ... in `folder`, which is made.

    Args:
        groups: row groups with the columns of `features`, in their order; at least one row in all.
        features: what readers will see.
        folder: where the files go.
        rank_by: the column by which images and the like are stored within a row group, see `rank_files`; None stores
            them in the order of the rows.
        metadata: stands in each beside what `datasets` keeps in its schema.

    """
    shards = list(shards_of(groups, features, folder, rank_by=rank_by, metadata=metadata))
    return [shard.rename(folder / shard_name(number, len(shards))) for number, shard in enumerate(shards)]


def shard_name(number: int, count: int) -> str:
    """The name of a shard, as `datasets` gives it."""
    return f"train-{number:05d}-of-{count:05d}.parquet"


def shards_of(
    groups: Iterable[pa.Table],
    features: datasets.Features,
    folder: Path,
    *,
    rank_by: str | None = None,
    metadata: Mapping[bytes, bytes] | None = None,
) -> Iterator[Path]:
    """Each shard as soon as it is whole, so that it can be moved away before the next one is written."""
    import pyarrow.parquet as pq

    folder.mkdir(parents=True)
    schema = portable_schema(features)
    schema = schema.with_metadata({**(schema.metadata or {}), **(metadata or {})})
    options = _writing(schema) if rank_by is None else _writing_ranked(schema)
    writer: Any = None
    number = 0
    shard = folder / f"{number:05d}.parquet"
    try:
        for table in groups:
            group = table.cast(schema) if rank_by is None else rank_files(table.cast(schema), rank_by)
            if writer is not None and shard.stat().st_size >= SHARD_BYTES:
                writer.close()
                writer = None
                yield shard
                number += 1
                shard = folder / f"{number:05d}.parquet"
            if writer is None:
                writer = pq.ParquetWriter(shard, **options)
                if rank_by is not None:  # readers are told the types without dictionaries
                    told = base64.b64encode(schema.serialize())
                    writer.add_key_value_metadata({**(schema.metadata or {}), b"ARROW:schema": told})
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
    with pq.ParquetWriter(path, **_writing(schema)) as writer:
        for group in row_groups(batches, schema):
            writer.write_table(group, row_group_size=max(1, len(group)))


def _writing(schema: pa.Schema) -> dict[str, Any]:
    """How columns are written: files of images and the like raw, all else compressed.

    Files do not compress, and snappy over them would let one row more or less change every byte behind it. Raw, a file
    is the same bytes wherever it stands, which a store of chunks does not want a second time.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_batches([], schema), sink)  # schema.empty_table() makes no JSON within lists
    columns = pq.read_metadata(pa.BufferReader(sink.getvalue())).schema
    kinds = {columns.column(place).path: columns.column(place) for place in range(len(columns.names))}
    raw = {
        path
        for path, column in kinds.items()
        if column.physical_type == "BYTE_ARRAY" and column.converted_type == "NONE"
    }
    return {
        "schema": schema,
        "compression": {path: "none" if path in raw else "snappy" for path in kinds},
        "use_dictionary": [path for path in kinds if path not in raw],
        "write_statistics": [path for path in kinds if path not in raw],
        "write_page_index": True,
    }


def _writing_ranked(schema: pa.Schema) -> dict[str, Any]:
    """The same for row groups whose files are dictionaries."""
    return {
        **_writing(schema),
        "schema": ranked_schema(schema),
        "store_schema": False,
        "use_dictionary": True,
        "dictionary_pagesize_limit": 2**31 - 1,
    }


def facts_in(path: str, key: bytes) -> dict[str, Any]:
    """What a Parquet file says under a key of its metadata, as JSON; nothing where it says nothing.

    Raises:
        SourceError: it is no JSON object.

    """
    import pyarrow.parquet as pq

    content = (pq.read_schema(path).metadata or {}).get(key)
    if not content:
        return {}
    try:
        facts: dict[str, Any] = read_json(content)
    except ForeignError as error:
        raise SourceError(f"{Path(path).name}: what it says of itself, under {key.decode()}, {error}.") from error
    return facts


def row_groups(batches: Iterable[pa.Table], schema: pa.Schema) -> Iterator[pa.Table]:
    """The batches joined to row groups, or cut: none has twice ROW_GROUP_BYTES, unless one row has."""
    import pyarrow as pa

    waiting: list[pa.Table] = []
    rows = 0
    for batch in batches:
        for piece in pieces(batch.cast(schema), ROW_GROUP_BYTES):
            size = piece.nbytes
            if waiting and size > ROW_GROUP_BYTES:
                yield pa.concat_tables(waiting)
                waiting = []
            waiting.append(piece)
            if sum(table.nbytes for table in waiting) >= ROW_GROUP_BYTES or sum(map(len, waiting)) >= ROW_GROUP_ROWS:
                yield pa.concat_tables(waiting)
                waiting = []
            if size > LARGE_ROW_BYTES:
                logger.warning(
                    "Row %d of a Parquet file has %.0f MB and is a row group of its own, which the viewer of the Hub refuses.",
                    rows,
                    size / 1e6,
                )
            rows += len(piece)
    if waiting:
        yield pa.concat_tables(waiting)


def pieces(table: pa.Table, most: int) -> Iterator[pa.Table]:
    """The table, halved until a piece has at most so many bytes, or one row."""
    if len(table) < 2 or table.nbytes <= most:
        yield table
        return
    half = len(table) // 2
    yield from pieces(table.slice(0, half), most)
    yield from pieces(table.slice(half), most)


def cuts(sizes: Sequence[int]) -> Iterator[slice]:
    """Places of rows that have up to ROW_GROUP_BYTES together, or are one row: what goes into one Arrow array at a time.

    An array of lists holds 2 GB of files at most.

    Args:
        sizes: bytes of each row.

    >>> [list(range(4))[cut] for cut in cuts([40_000_000, 24_000_000, 1, 70_000_000])]
    [[0, 1], [2], [3]]
    """
    start, held = 0, 0
    for place, size in enumerate(sizes):
        if place > start and held + size > ROW_GROUP_BYTES:
            yield slice(start, place)
            start, held = place, 0
        held += size
    if start < len(sizes):
        yield slice(start, len(sizes))


def bytes_in(images: Iterable[Mapping[str, Any]] | None) -> int:
    """Of the files of a row."""
    return sum(len(image["bytes"] or b"") for image in images or ())


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
    if described.get("_type") == "Image":
        described = {**described, "decode": True}  # the files are inside
    if described.get("_type") != "List":
        return {key: _portable(value) for key, value in described.items()}
    inner = _portable(described["feature"])
    if isinstance(inner, dict) and not isinstance(inner.get("_type"), str):
        return [inner]
    return {**described, "feature": inner, "_type": "Sequence"}


class Embedder:
    """Reads the files that a table names into it. Bytes that are there stay as they are.

    A name goes through `hf_rap.rows.media`: what does not pass, and what cannot be read, becomes null and is counted in
    `missing`; of a path only the last part is kept. A text that is the path of a file of this machine, or JSON with such
    texts, keeps its last part alone, too; in the middle of other texts (`<img>/home/me/a.png</img>`) that is so for what lies
    below `roots` or the user's home.

    Args:
        features: of the table.
        roots: folders whose files it may name, see `own_folders`.

    """

    def __init__(self, features: datasets.Features, roots: tuple[str, ...] = ()) -> None:
        self.features = features
        self.roots = roots
        self.missing_by_column: Counter[str] = Counter()
        # The shortest first; below /, which is the home of some containers, lies what everybody has and asks about.
        own = {place.rstrip("/") for place in (*roots, str(Path("~").expanduser())) if place.startswith("/")}
        self._places = sorted(own - {""}, key=len)
        self._pattern = "|".join([_ABSOLUTE, _JSON_WITH_ABSOLUTE, *map(re.escape, self._places)])

    @classmethod
    def of(cls, ds: datasets.Dataset, roots: tuple[str, ...] = ()) -> Embedder:
        """For the rows of a dataset, which may name files of its own folders and of `roots`."""
        return cls(ds.features, (*own_folders(ds), *roots))

    @property
    def missing(self) -> int:
        """How many files could not be read."""
        return sum(self.missing_by_column.values())

    def embed(self, table: pa.Table) -> pa.Table:
        """The table with the files inside."""
        import pyarrow as pa

        arrays = [
            pa.chunked_array(
                [self._inside(chunk, name, self.features[name]) for chunk in table[name].chunks], kind.type
            )
            for name, kind in zip(table.column_names, table.schema, strict=True)
        ]
        return pa.Table.from_arrays(arrays, schema=table.schema)

    def remark(self) -> str | None:
        """What was left out so far, in a sentence; None where that is nothing."""
        if not self.missing:
            return None
        columns = ", ".join(f"{count:,} in {name!r}" for name, count in sorted(self.missing_by_column.items()))
        return (
            f"{self.missing:,} files that rows name are null in what is written ({columns}): they are not there, no "
            f"media, or outside of the dataset's own folder. Where they are yours: {HOW}."
        )

    def _inside(self, array: pa.Array, column: str, feature: Any) -> pa.Array:
        """An array, with what `feature` says of the parts in it that are media or texts."""
        import pyarrow as pa

        kind = array.type
        if isinstance(kind, pa.JsonType):
            cells = _without_folders(array.storage, _ABSOLUTE_IN_JSON, _json_without_folders)
            return array if cells is array.storage else pa.ExtensionArray.from_storage(kind, cells)
        if isinstance(kind, pa.ExtensionType):  # Array2D and its like: lists of something plain
            stored = array.storage
            cells = self._inside(stored, column, None)
            return array if cells is stored else pa.ExtensionArray.from_storage(kind, cells)
        if hasattr(feature, "embed_storage"):
            return self._embedded(array, column, is_image=type(feature).__name__ == "Image")
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return self._texts(array)
        if pa.types.is_string_view(kind):
            return self._texts(array.cast(pa.large_string())).cast(kind)
        if pa.types.is_struct(kind) and isinstance(feature, Mapping) and kind.num_fields:
            parts = [self._inside(array.field(part.name), column, feature[part.name]) for part in kind]
            array = pa.StructArray.from_arrays(parts, fields=list(kind), mask=array.is_null())
        elif hasattr(kind, "value_type") and _holds_names(kind.value_type):
            inner = feature[0] if isinstance(feature, list) else getattr(feature, "feature", None)
            is_fixed = pa.types.is_fixed_size_list(kind)
            array = (self._in_fixed_lists if is_fixed else self._in_lists)(array, column, inner)
        return array

    def _texts(self, array: pa.Array) -> pa.Array:
        """Texts without the folders of this machine, whether they are a path, JSON with paths, or name a file within."""
        return _without_folders(array, self._pattern, self._short)

    def _short(self, text: str) -> str:
        short = without_folder(text)
        if short == text and text.lstrip()[:1] in ("[", "{"):
            short = _json_without_folders(text)
        for place in self._places:
            short = _within_text(place, short) if place in short else short
        return short

    def _in_lists(self, array: Any, column: str, inner: Any) -> pa.Array:
        import pyarrow.compute as pc

        if not len(array):
            return array
        start, stop = array.offsets[0].as_py(), array.offsets[-1].as_py()
        before = array.values.slice(start, stop - start)  # those of these rows alone
        values = self._inside(before, column, inner)
        if values is before:
            return array
        offsets = pc.subtract(array.offsets, array.offsets[0])
        mask = array.is_null() if array.null_count else None
        return type(array).from_arrays(offsets, values, type=array.type, mask=mask)

    def _in_fixed_lists(self, array: Any, column: str, inner: Any) -> pa.Array:
        before = array.values.slice(array.offset * array.type.list_size, len(array) * array.type.list_size)
        values = self._inside(before, column, inner)
        if values is before:
            return array
        mask = array.is_null() if array.null_count else None
        return type(array).from_arrays(values, type=array.type, mask=mask)

    def _embedded(self, array: pa.StructArray, column: str, *, is_image: bool) -> pa.Array:
        import pyarrow as pa
        import pyarrow.compute as pc

        kind = array.type
        if not (pa.types.is_struct(kind) and {"bytes", "path"} <= {part.name for part in kind}):
            return array
        content, paths = array.field("bytes"), array.field("path")
        named = pc.and_(pc.and_(content.is_null(), paths.is_valid()), array.is_valid())
        places = pc.indices_nonzero(named).to_pylist()
        bases = pc.replace_substring_regex(pc.replace_substring_regex(paths, "::.*$", ""), r"^.*[/\\]", "")
        if not places and bases.equals(paths):
            return array
        bytes_of: list[Any] = content.to_pylist() if places else []
        null = ~array.is_valid().to_numpy(zero_copy_only=False)
        for place in places:
            bytes_of[place] = self._file(paths[place].as_py(), is_image=is_image)
            if bytes_of[place] is None:
                self.missing_by_column[column] += 1
                null[place] = True
        content = pa.array(bytes_of, kind.field("bytes").type) if places else content
        parts = {"bytes": content, "path": bases}
        fields = list(kind)
        arrays = [parts.get(part.name, array.field(part.name)).cast(part.type) for part in fields]
        return pa.StructArray.from_arrays(arrays, fields=fields, mask=pa.array(null))

    def _file(self, name: str, *, is_image: bool) -> bytes | None:
        try:
            content = read_named(name, self.roots)
        except Barred:
            return None
        # A file that its owner never meant for a picture is not carried away as one.
        return content if not is_image or is_picture(content) else None


def _holds_names(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return (
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or isinstance(kind, pa.JsonType)
        or any(_holds_names(kind.field(place).type) for place in range(kind.num_fields))
    )


def _without_folders(array: pa.Array, pattern: str, shorten: Callable[[str], str]) -> pa.Array:
    """Texts, of which those that are the path of a file of this machine have only its last part."""
    import pyarrow as pa
    import pyarrow.compute as pc

    places = pc.indices_nonzero(pc.match_substring_regex(array, pattern)).to_pylist()  # nulls are none
    texts = {place: array[place].as_py() for place in places}
    short = {place: short for place, text in texts.items() if (short := shorten(text)) != text}
    if not short:
        return array
    values = array.to_pylist()
    for place, text in short.items():
        values[place] = text
    return pa.array(values, array.type)


def _json_without_folders(cell: str) -> str:
    """The same of the texts in a cell of mixed types, which datasets stores as JSON."""

    def of(value: Any) -> Any:
        if isinstance(value, list):
            return [of(part) for part in value]
        if isinstance(value, dict):
            return {name: of(part) for name, part in value.items()}
        return without_folder(value) if isinstance(value, str) else value

    try:
        value = read_json(cell, object, any_number=True)
    except ForeignError:
        return cell
    short = of(value)
    return cell if short == value else json.dumps(short, ensure_ascii=False)


def _within_text(place: str, text: str) -> str:
    """A text with the last part alone of files below a folder, which end at a space, a quote or a bracket."""
    paths = re.compile(rf"(?:file:(?://)?)?(?<![\w.~]){re.escape(place)}/[^\s\"'`<>()\[\]{{}}|]+")
    return paths.sub(lambda found: without_folder(found[0]), text)
