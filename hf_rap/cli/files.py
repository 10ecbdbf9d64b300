"""Datasets between two commands: one Parquet file each, which remembers where its rows come from.

Provenance, the layout that rows were read with, and the rule of a selection travel in the file's metadata under
`hf_rap`, where other readers ignore them:

    {"source": {"id": "hiyouga/geometry3k", "split": "train", ...}, "layout": {"question": "problem", ...},
     "rule": {"method": "rap", ...}, "funnel": [...], "method": {"name": "rap", "sentence": ..., "citations": [...], ...}}
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_rap.columns import DECISIONS, require
from hf_rap.errors import SourceError
from hf_rap.process import load_process_rewards
from hf_rap.rows.layouts import Layout, layout_from
from hf_rap.rows.parquet import Embedder, facts_in, portable_schema, row_groups, write_shards, write_table
from hf_rap.rows.provenance import SourceInfo, describe_source, source_info
from hf_rap.rows.sources import load_source
from hf_rap.rows.streams import tables_of
from hf_rap.select import Selection, Step
from hf_rap.select.base import scores_in_double
from hf_rap.select.methods import describe_method
from hf_rap.stats.secrets import masked
from hf_rap.system import disk_trouble, release_mapped_files, whole_folder, whole_output

from .how import how_names
from .output import note

if TYPE_CHECKING:
    from collections.abc import Iterator

    import datasets
    import pyarrow as pa

KEY = b"hf_rap"
SUFFIX = ".parquet"
_SHARD = re.compile(r"train-\d{5,}-of-\d{5,}\.parquet")
_REMEMBERED = {
    "source": dict,
    "layout": dict,
    "rule": dict,
    "funnel": list,
    "method": dict,
    "remarks": list,
    "made_by": dict,
}
_NO_OPTIONS = ("out", "overwrite", "as_json")
ROWS_PER_BATCH = 128  # in memory at once, with the files of their images


def open_source(source: str) -> tuple[datasets.Dataset, SourceInfo]:
    """The dataset that `source` names, and where its rows first came from.

    A file that hf_rap wrote answers with what that was made from, not with itself.
    """
    ds = load_source(source)
    remembered = _remembered(source).get("source")
    return ds, source_info(remembered, source) if remembered else describe_source(source, ds)


def open_process_rewards(
    source: str, *, images: Path | None = None, strict: bool = False
) -> tuple[datasets.Dataset, SourceInfo]:
    """Like `open_source`, for rollouts with step scores: see `load_process_rewards`."""
    ds = load_process_rewards(source, images=images, strict=strict)
    remembered = _remembered(source).get("source")
    return ds, source_info(remembered, source) if remembered else describe_source(source, ds)


def layout_in(source: str) -> Layout | None:
    """The layout that the rows of a file of ours were read with, so that later steps read them the same way."""
    remembered = _remembered(source).get("layout")
    return layout_from(remembered, Path(source).name) if remembered else None


def refuse_other_file(path: Path, *, overwrite: bool) -> None:
    """Raise `SourceError` for a file that this command would replace and that is not of the same command and options.

    What is written in the same way again comes out the same, so a command can be started again.
    """
    import pyarrow as pa

    if overwrite or not (path.is_file() or (path.is_dir() and any(path.iterdir()))):
        return
    try:
        there = _remembered(str(path)).get("made_by")
    except (pa.ArrowException, OSError, ValueError):  # no file of ours
        there = None
    if there is None or _comparable(there) != _made_by():
        what = (
            f"`hf-rap {there['command']}` with other options" if there else "something that this command has not made"
        )
        raise SourceError(f"There is {what} at {path}: give another name, or --overwrite.")


def _made_by() -> dict[str, Any] | None:
    """The command that is running and its options, as plain values; None outside of one.

    How it runs is no part of it, and neither is where it writes.
    """
    import click

    ctx = click.get_current_context(silent=True)
    if ctx is None or ctx.command.name is None:
        return None
    options = json.loads(json.dumps(ctx.params, default=str, sort_keys=True))
    return _comparable({"command": ctx.command.name, "options": options})


def _comparable(made_by: dict[str, Any]) -> dict[str, Any]:
    """Without how it ran and without secrets, both of which an earlier release has noted."""
    import click

    left_out = {*_NO_OPTIONS, *how_names(click.get_current_context().command)}
    options = {name: value for name, value in made_by["options"].items() if name not in left_out}
    return {**made_by, "options": masked({name: _parsed(value) for name, value in options.items()})}


def _parsed(value: Any) -> Any:
    """An option that is a JSON object as what it says."""
    try:
        return json.loads(value) if isinstance(value, str) and value.startswith("{") else value
    except ValueError:
        return value


def write_file(
    rows: datasets.Dataset | datasets.IterableDataset | Selection,
    path: Path,
    *,
    source: SourceInfo | None = None,
    layout: Layout | None = None,
) -> None:
    """Write all rows, images inside, to one Parquet file, or to a folder of some of 500 MB; it appears only when it is whole.

    Raises:
        SourceError: see `check_file`; or the disk has no room for it, and there is no such file.
    """
    check_file(path)
    facts: dict[str, Any] = {"source": source.as_dict() if source else None}
    if (made_by := _made_by()) is not None:
        facts["made_by"] = made_by
    if layout is not None:
        facts["layout"] = layout.as_dict()
    if isinstance(rows, Selection):
        facts |= {"rule": rows.rule, "funnel": [list(step) for step in rows.funnel], "method": rows.method}
        facts["remarks"] = rows.remarks
        rows = rows.scored
    tables = _with_files(rows, layout.media_roots if layout else ())
    metadata = {KEY: json.dumps(facts).encode()}
    try:
        if path.suffix == SUFFIX:
            with whole_output(path) as partial:
                write_table(tables, rows.features, partial, metadata=metadata)
            return
        with whole_folder(path, replaces=_is_ours) as partial:
            partial.rmdir()
            groups = row_groups(tables, portable_schema(rows.features))
            write_shards(groups, rows.features, partial, metadata=metadata)
    except OSError as error:
        if (trouble := disk_trouble(error)) is None:
            raise
        raise SourceError(
            f"{path.name} cannot be written into {path.absolute().parent}: {trouble}. What was there before is as it was; make "
            "room there, or give another --out."
        ) from error


def _with_files(rows: datasets.Dataset | datasets.IterableDataset, roots: tuple[str, ...]) -> Iterator[pa.Table]:
    """The rows a few at a time, the files of their images inside; memory does not grow with the rows read."""
    embedder = Embedder.of(rows, roots)
    tables = rows.with_format("arrow").iter(batch_size=ROWS_PER_BATCH) if hasattr(rows, "num_rows") else tables_of(rows)
    for table in tables:
        yield embedder.embed(table)
        release_mapped_files()
    if remark := embedder.remark():
        note(remark)


def _is_ours(folder: Path) -> bool:
    """A folder that `write_file` has made holds its files and nothing else."""
    return all(_SHARD.fullmatch(path.name) for path in folder.iterdir())


def check_file(path: Path, *, is_folder: bool = False) -> Path:
    """The path of a file or a folder that `write_file` could write; makes nothing yet.

    Args:
        path: a file that ends in .parquet, or a folder, whose name has no dot.
        is_folder: it was written like one, with a slash at its end.

    Raises:
        SourceError: it is neither, or nothing can be made there.
    """
    if path.suffix != SUFFIX and path.suffix and not is_folder:
        raise SourceError(f"{path}: give a file name that ends in .parquet, or a folder (with / at its end).")
    try:
        if path.is_dir() and path.suffix == SUFFIX:
            raise SourceError(f"{path} is a folder: give the name of a file.")
        if path.is_dir() and not _is_ours(path):
            raise SourceError(f"{path} holds other files: give a folder that is empty or not there.")
        if path.is_file() and path.suffix != SUFFIX:
            raise SourceError(f"{path} is a file: give the name of a folder, or a file name that ends in .parquet.")
        there = next(folder for folder in path.absolute().parents if folder.exists())
    except PermissionError as error:
        raise SourceError(f"{path} cannot be written: its folder is closed to you.") from error
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise SourceError(f"{path} cannot be written: {there} is {'read-only' if there.is_dir() else 'no folder'}.")
    return path


def read_selection(path: Path) -> tuple[Selection, SourceInfo | None]:
    """The selection in a file of `write_file`, and where its rows first came from.

    Raises:
        SourceError: the file holds no selection.
        MissingColumnError: it has no decisions.
    """
    ds = load_source(str(path))
    require("publish", ds.column_names, DECISIONS)
    remembered = _remembered(str(path))
    if "rule" not in remembered:
        raise SourceError(f"{path} does not say how its rows were selected: write it with `hf-rap select --out`.")
    source = remembered.get("source")
    try:
        funnel = tuple(Step(*step) for step in remembered["funnel"])
    except (KeyError, TypeError) as error:
        raise SourceError(
            f"{path.name} does not say how its rows were selected: write it with `hf-rap select --out`."
        ) from error
    method = remembered.get("method") or describe_method(remembered["rule"], ds.column_names)
    remarks = tuple(remembered.get("remarks", ()))
    selection = Selection(scores_in_double(ds), remembered["rule"], funnel, method, remarks)
    return selection, source_info(source, str(path)) if source else None


def is_selection(source: str) -> bool:
    """The source is a file that `write_file` made of a selection."""
    return "rule" in _remembered(source)


def _remembered(source: str) -> dict[str, Any]:
    """What a file, or a folder of files, of ours says of itself; nothing for anything else."""
    file = Path(source)
    if file.is_dir():
        file = next(iter(sorted(path for path in file.iterdir() if _SHARD.fullmatch(path.name))), file)
    if not (file.suffix == SUFFIX and file.is_file()):
        return {}
    remembered = facts_in(str(file), KEY)
    for name, kind in _REMEMBERED.items():
        if not isinstance(remembered.get(name), (kind, type(None))):
            raise SourceError(
                f"{Path(source).name}: what it says of its {name}, under hf_rap, is none that hf-rap writes."
            )
    return remembered
