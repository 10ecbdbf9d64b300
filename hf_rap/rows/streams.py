"""SOURCE as a stream, of which no file is written to this disk."""

from __future__ import annotations

import glob
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_rap.errors import SourceError

from .settling import first_rows, undecoded
from .sources import (
    Source,
    as_source_error,
    builder_of,
    is_saved,
    matching_files,
    parse_source,
    reader_of,
    with_absolute_paths,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import datasets
    import pyarrow as pa


def stream_source(source: str) -> datasets.IterableDataset:
    """The rows of a SOURCE as `load_source` has them, read when they are needed.

    Raises:
        SourceError: there is no such dataset, config, split or access, it has no rows, or its rows name files as pictures.
    """
    origin = parse_source(source)
    with as_source_error(origin):
        stream = _stream(origin)
        first = first_rows(stream)
    path = Path(origin.path).expanduser()
    if (
        origin.is_local
        and with_absolute_paths(first, [path if path.is_dir() else path.parent]).features != first.features
    ):
        raise SourceError(
            f"{origin} names its pictures as files, which lie on this disk: leave out --streaming, or put them into the rows."
        )
    return _with_class_names(stream)


def tables_of(stream: datasets.IterableDataset, size: int = 128) -> Iterator[pa.Table]:
    """The rows of a stream as tables of its types, so many at a time; images as they are stored."""
    import datasets

    rows: list[Any] = []
    for row in undecoded(stream):
        rows.append(row)
        if len(rows) == size:
            yield datasets.Dataset.from_list(rows, features=stream.features).with_format("arrow")[:]
            rows = []
    if rows:
        yield datasets.Dataset.from_list(rows, features=stream.features).with_format("arrow")[:]


def _stream(source: Source) -> datasets.IterableDataset:
    import datasets

    path = Path(source.path).expanduser()
    if source.is_local and not path.is_dir():
        if source.config or source.revision or source.split not in (None, "train"):
            raise SourceError(f"{source}: files have no configs, revisions or splits.")
        files = matching_files(source)
        names = [glob.escape(str(file)) for file in files]
        return datasets.load_dataset(reader_of(files[0].name), data_files=names, split="train", streaming=True)
    if source.is_local and is_saved(path):
        raise SourceError(f"{source} is a save_to_disk folder, which is on this disk as it is: leave out --streaming.")
    builder, split = builder_of(str(path) if source.is_local else source.path, source)
    return builder.as_streaming_dataset(split=split)


def _with_class_names(stream: datasets.IterableDataset) -> datasets.IterableDataset:
    """Columns of class labels as the names of the classes."""
    import datasets

    names = {
        name: feature.names
        for name, feature in (stream.features or {}).items()
        if type(feature).__name__ == "ClassLabel"
    }
    if not names:
        return stream
    features = datasets.Features({**stream.features, **dict.fromkeys(names, datasets.Value("string"))})
    named: datasets.IterableDataset = stream.map(partial(_named, names=names), features=features)
    return named


def _named(row: Mapping[str, Any], names: Mapping[str, list[str]]) -> dict[str, str | None]:
    return {
        name: None if row[name] is None or row[name] < 0 else of_column[row[name]] for name, of_column in names.items()
    }
