"""A selection -> a folder that is one version of a dataset: data, card, plots and manifest.

    my-dataset-rap/
      README.md                              the card
      selected/train-00000-of-00001.parquet  the rows to train on (the default config)
      scored/train-00000-of-00001.parquet    every row, with its scores and the reason for its decision
      plots/cde.png, plots/funnel.png
      rap.json                               all facts, and the SHA-256 of every other file

The same selection gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from .cards import render_card
from .columns import ACE_SETTINGS, ATTENTION_EVIDENCE, EVIDENCE, KEEP, OTHER_EVIDENCE, PREFIX
from .errors import PublishError, RowError, SettingError
from .exports.parquet import Embedder, write_shards
from .exports.universal import UNIVERSAL, universal_columns, universal_features
from .facts import collect_facts
from .layouts import Layout, check_layout, recognise_layout
from .plots import draw_plots

if TYPE_CHECKING:
    from collections.abc import Iterator

    import datasets
    import pyarrow as pa

    from .provenance import SourceInfo
    from .select import Selection

MANIFEST = "rap.json"
# Rows that are in memory at once, with the files of their images.
BATCH_ROWS = 128

_SEMVER = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)", re.ASCII)


@dataclass(frozen=True)
class Published:
    """A version that was written: where it is, and what is in it."""

    path: Path
    version: str
    facts: dict[str, Any]
    files: dict[str, dict[str, Any]]
    """Path below `path` -> {"sha256", "bytes"}; the manifest itself is not in it."""

    def __fspath__(self) -> str:
        return str(self.path)


def publish_to_folder(
    selection: Selection,
    path: str | os.PathLike[str],
    *,
    version: str = "1.0.0",
    name: str | None = None,
    source: SourceInfo | None = None,
    licence: str | None = None,
    layout: Layout | None = None,
) -> Published:
    """Write `selection` as a new folder, all or nothing: a kill half-way leaves nothing at `path`.

    `load_dataset(path, "selected")` and `load_dataset(path, "scored")` read it, with nothing but
    `datasets` installed (3.6 or later).

    `scored` has all rows and columns of `selection.scored`. `selected` has the rows that are kept,
    with the columns of `hf_rap.exports.universal` that all trainers read, the score and decision
    columns, and the user's other columns. Left out of `selected`, and in `scored` only: evidence
    columns, a user's column that has the name of a universal one, and the image column of the layout,
    whose content is in `images`.

    Images keep the bytes of their files; those given as paths are read into the Parquet files. In
    `scored` an image file that cannot be read becomes null, and the card counts it; in `selected` it
    is an error.

    Args:
        selection: what `select_cognitive` returned.
        path: a folder that does not exist yet, or is empty.
        version: three numbers, "1.0.0".
        name: of the dataset, on the card: its Hub id if it has one; None takes the folder's name.
        source: where the rows come from, see `hf_rap.provenance.describe_source`; None prints as unknown.
        licence: of the data; None takes the licence of `source`.
        layout: which column is what; None recognises it.

    Raises:
        SettingError: the version is not three numbers.
        LayoutError: the layout is not recognised, or a column is missing.
        PublishError: there is something at `path`, nothing is selected, or a kept row has no usable
            question or images.

    """
    check_target(path, version)
    target = Path(path).absolute()
    if not len(selection.selected):
        reasons = ", ".join(f"{reason}: {rows:,}" for reason, rows in selection.reasons.items())
        raise PublishError(
            f"Nothing is selected ({reasons}), and load_dataset cannot load a config without rows. Loosen the rule."
        )
    layout = layout or recognise_layout(selection.scored.features)
    check_layout(layout, selection.scored.features)

    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, so that the rename at the end cannot cross file systems.
    folder = target.parent / f".{target.name}.{uuid4().hex[:8]}.partial"
    folder.mkdir()
    try:
        missing = _write_data(selection, folder, layout, data_source=source.id if source else "unknown")
        facts = collect_facts(
            selection,
            name=name or target.name,
            version=version,
            source=source,
            licence=licence,
            group_by=selection.rule.get("stratify_by") or layout.source,
            images_missing=missing,
        )
        facts["digests"] = {config: _digest(folder / config) for config in ("selected", "scored")}
        files = _write_description(facts, folder)
        if target.exists():
            target.rmdir()  # empty; Windows does not rename over a folder
        folder.rename(target)
        _sync_folder(target.parent)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Published(target, version, facts, files)


def check_target(path: str | os.PathLike[str], version: str) -> None:
    """Refuses a version that cannot be written there; worth a call before hours of work.

    Raises:
        SettingError: the version is not three numbers.
        PublishError: there is something at `path`.

    """
    target = Path(path)
    if not _SEMVER.fullmatch(version):
        raise SettingError(f"version is {version!r}: it takes three numbers, such as '1.0.0'.")
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise PublishError(f"There is something at {path}: give a folder that does not exist yet, or is empty.")


def _write_data(selection: Selection, folder: Path, layout: Layout, data_source: str) -> int:
    """Write both configs; the number of images of `scored` that could not be read."""
    scored = selection.scored
    features = _selected_features(scored.features, layout)
    write_shards(_selected_batches(scored, features, layout, data_source), features, folder / "selected")
    embedder = Embedder(scored.features)
    batches = (embedder.embed(table) for _, table in _batches(scored))
    write_shards(batches, scored.features, folder / "scored")
    return embedder.missing


def _batches(ds: datasets.Dataset) -> Iterator[tuple[int, pa.Table]]:
    """The number of the first row, and the rows as they are stored."""
    stored = ds.with_format("arrow")
    for start in range(0, len(ds), BATCH_ROWS):
        yield start, stored[start : start + BATCH_ROWS]


def _selected_features(features: datasets.Features, layout: Layout) -> datasets.Features:
    evidence = {column.name for column in (*EVIDENCE, *ATTENTION_EVIDENCE, *OTHER_EVIDENCE, ACE_SETTINGS)}
    ours = {name: one for name, one in features.items() if name.startswith(PREFIX) and name not in evidence}
    theirs = {
        name: one
        for name, one in features.items()
        if not name.startswith(PREFIX) and name not in UNIVERSAL and name != layout.images
    }
    return type(features)({**universal_features(), **ours, **theirs})


def _selected_batches(
    scored: datasets.Dataset, features: datasets.Features, layout: Layout, data_source: str
) -> Iterator[pa.Table]:
    """The kept rows with the columns of `features`."""
    import pyarrow as pa

    schema = features.arrow_schema
    others = [name for name in features if name not in UNIVERSAL]
    embedder = Embedder(type(features)({name: features[name] for name in others}))
    read = [name for name in scored.column_names if name in {column.partition(".")[0] for column in layout.columns}]
    read += [name for name in layout.columns if name in scored.column_names and name not in read]
    for start, table in _batches(scored):
        keep = table[KEEP.name]
        indices = [start + row for row, kept in enumerate(keep.to_pylist()) if kept]
        if not indices:
            continue
        kept = table.filter(keep)
        try:
            made = universal_columns(kept.select(read).to_pydict(), layout, indices, data_source=data_source)
        except RowError as error:
            raise PublishError(
                f"A kept row cannot be published: {error}. Mend it, or leave it out before selecting."
            ) from error
        arrays = [pa.array(made[name], schema.field(name).type) for name in UNIVERSAL]
        rest = embedder.embed(kept.select(others))
        yield pa.Table.from_arrays([*arrays, *rest.columns], schema=schema)


def _write_description(facts: dict[str, Any], folder: Path) -> dict[str, dict[str, Any]]:
    """Write plots, card and manifest; what the manifest says about every other file."""
    contents = {**draw_plots(facts), "README.md": render_card(facts).encode()}
    for name, content in contents.items():
        _write(folder / name, content)
    files = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        files[path.relative_to(folder).as_posix()] = {"sha256": _sha256(path), "bytes": path.stat().st_size}
    manifest = {"format": 1, "version": facts["version"], "facts": facts, "files": files}
    _write(folder / MANIFEST, (json.dumps(manifest, indent=2) + "\n").encode())
    for below in (path for path in folder.rglob("*") if path.is_dir()):
        _sync_folder(below)
    _sync_folder(folder)
    return files


def _digest(folder: Path) -> str:
    """What the files of a config hold, in 32 characters."""
    hashes = "".join(_sha256(path) for path in sorted(folder.iterdir()))
    return hashlib.sha256(hashes.encode()).hexdigest()[:32]


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as file:
        file.write(content)
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """The names in a folder reach the disk; Windows neither can nor needs to."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
