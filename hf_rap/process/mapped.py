"""JSONL files in the layout of VisualPRM400K -> a memory-mapped Dataset, every row checked."""

from __future__ import annotations

import os
from functools import cache, partial
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from hf_rap.columns import ERROR, ID, STEPS
from hf_rap.errors import SourceError, logger_of
from hf_rap.rows.compat import progress_bar
from hf_rap.rows.media import note_origin
from hf_rap.system import whole_file

from . import jsonl
from .checks import find_faults, find_file_faults, image_fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import datasets
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from hf_rap.errors import RowError

logger = logger_of(__name__)

_READER_VERSION = "1"  # raise it when the same files can give another dataset


def dataset_from_files(files: list[Path], root: Path | None, *, opened: bool) -> datasets.Dataset:
    """The rollouts of all files in their order, from a file in the cache of `datasets` that is made on first use."""
    import datasets
    import pyarrow as pa

    key = blake2b(digest_size=16)
    for file in files:
        status = file.stat()
        key.update(f"{file.absolute()}\x1f{status.st_size}\x1f{status.st_mtime_ns}\x1f".encode())
    key.update(f"{root}\x1f{opened}\x1f{_READER_VERSION}".encode())
    path = Path(datasets.config.HF_DATASETS_CACHE) / "hf_rap" / f"process-{key.hexdigest()}" / "rows.arrow"
    # Images can come and go without the annotations changing, so that these are looked at again.
    if root is not None or not path.is_file():
        schema = _features(with_images=root is not None).arrow_schema
        with (
            whole_file(path) as unfinished,
            pa.OSFile(str(unfinished), "wb") as sink,
            pa.ipc.new_stream(sink, schema) as writer,
        ):
            for table in _tables(files, root, opened=opened):
                writer.write_table(table.cast(schema))
    ds = datasets.Dataset.from_file(str(path))
    if len(ds) == 0:
        raise SourceError(f"{', '.join(file.name for file in files)} has no rows.")
    if root is not None:
        note_origin(ds, [root])
    return ds


def _features(*, with_images: bool) -> datasets.Features:
    from datasets import Features, Image, List, Value

    text = Value("string")
    steps = {"step": text, "score": Value("float64"), "num_mc_correct": Value("int64"), "num_mc_total": Value("int64")}
    columns = {ID.name: text, "source": text, "image": List(text)}
    if with_images:
        columns["images"] = List(Image())
    columns |= dict.fromkeys(("question", "question_orig", "answer", "response"), text)
    return Features({**columns, STEPS.name: List(steps), ERROR.name: text})


def _tables(files: list[Path], root: Path | None, *, opened: bool) -> Iterator[pa.Table]:

    top = Path(os.path.commonpath([file.parent for file in files]))
    fault_of = None if root is None else cache(partial(image_fault, root=root, opened=opened))
    for file in files:
        source = file.relative_to(top).with_suffix("").as_posix()
        unread = jsonl.other_fields(file)
        if unread:
            logger.warning("%s: these fields are not read: %s.", file.name, ", ".join(unread))
        with progress_bar(source, unit=" rollouts", leave=False) as progress:
            for table, lines, faults in jsonl.read_blocks(file):
                yield _checked(table, lines, faults, source=source, file=file.name, root=root, fault_of=fault_of)
                progress.update(len(table))


def _checked(
    table: pa.Table,
    lines: NDArray[np.int64],
    faults: dict[int, RowError],
    *,
    source: str,
    file: str,
    root: Path | None,
    fault_of: Callable[[str], RowError | None] | None,
) -> pa.Table:
    """A block with the columns of `_features`; rows with a fault lose their steps."""
    import pyarrow as pa
    import pyarrow.compute as pc

    images, steps = table["image"].combine_chunks(), table[STEPS.name].combine_chunks()
    faults = {**find_faults(steps, images), **faults}  # a broken line has nothing else either
    if fault_of is not None:
        faults = {**find_file_faults(images, fault_of), **faults}
    column = pa.nulls(len(table), pa.string())
    if faults:
        errors: list[str | None] = [None] * len(table)
        for row, fault in faults.items():
            errors[row] = str(fault.at(f"{file} line {lines[row]}"))
        column = pa.array(errors, type=pa.string())
    columns = {
        ID.name: pc.binary_join_element_wise(source, pa.array(lines).cast("string"), ":"),
        "source": pa.repeat(source, len(lines)),
        "image": images,
        **({} if root is None else {"images": _pointing(images, root)}),
        **{name: table[name] for name in ("question", "question_orig", "answer", "response")},
        STEPS.name: pc.if_else(column.is_null(), steps, pa.scalar(None, steps.type)) if faults else steps,
        ERROR.name: column,
    }
    return pa.table(columns)


def _pointing(images: pa.Array, root: Path) -> pa.Array:
    """The names as values of `List(Image())`, which opens a file only when its row is looked at."""
    import pyarrow as pa

    values = [
        [{"bytes": None, "path": str(root / name)} for name in names or () if name] for names in images.to_pylist()
    ]
    return pa.array(values, type=pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())])))
