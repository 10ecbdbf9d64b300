"""A selection -> a folder that is one version of a dataset: data, card, plots and manifest.

    my-dataset-rap/
      README.md                              the card
      selected/train-00000-of-00001.parquet  the rows to train on (the default config)
      scored/train-00000-of-00001.parquet    every row, with its scores and the reason for its decision
      plots/cde.png, plots/funnel.png
      samples/kept-00.png, ...               pictures of the rows that the card shows
      report.html                            the rows to look at, on request
      rap.json                               all facts, and the SHA-256 of every other file

The same selection gives the same bytes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_rap.errors import PublishError, SourceError, visible
from hf_rap.options import check_path, check_text, renamed
from hf_rap.rows.media import allowed
from hf_rap.rows.parquet import write_shards
from hf_rap.rows.provenance import source_of
from hf_rap.system import is_free, whole_folder
from hf_rap.tables.notebook import code, html_block, html_page, html_table

from .cards import render_card
from .configs import Content, check_selection
from .digest import RowDigest
from .manifest import MANIFEST, README, Written, describe, file_entry, manifest_of, read_manifest, same_content
from .plots import draw_plots
from .tags import FIRST, numbers

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from hf_rap.rows.layouts import Layout
    from hf_rap.rows.provenance import SourceInfo
    from hf_rap.select import Selection


@dataclass(frozen=True, repr=False)
class Published:
    """A version that was written: where it is, and what is in it."""

    path: Path
    version: str
    facts: dict[str, Any]
    files: dict[str, dict[str, Any]]
    """Path below `path` -> {"sha256", "bytes"}; the manifest itself is not in it."""

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        rows = self.facts["rows"]
        return visible(f"Published: version {self.version}, {rows['kept']:,} of {rows['all']:,} rows, in {self.path}")

    def _repr_html_(self) -> str:
        rows, stability = self.facts["rows"], self.facts.get("stability") or {}
        reasons = [
            ("kept" if reason["kept"] else "dropped", code(reason["reason"]), reason["rows"], reason["meaning"])
            for reason in self.facts["reasons"]
        ]
        agreement = stability.get("jaccard")
        return html_page(
            f"Published: version {self.version}, {rows['kept']:,} of {rows['all']:,} rows",
            html_table(
                [("folder", code(self.path)), ("files", len(self.files)), ("card", code(self.path / "README.md"))]
            ),
            html_block(f"datasets.load_dataset({str(self.path)!r}, 'selected')"),
            html_table(reasons, ("", "reason", "rows", "")),
            *self.facts.get("remarks", ()),
            *([] if agreement is None else [f"Expected agreement with a fresh scoring: {agreement:.1%} (Jaccard)"]),
        )


def publish_to_folder(
    selection: Selection,
    path: str | os.PathLike[str],
    *,
    version: str = FIRST,
    name: str | None = None,
    source: SourceInfo | None = None,
    licence: str | None = None,
    layout: Layout | None = None,
    random_control: bool = False,
    hints: bool = False,
    report: bool = False,
    control: bool | None = None,
    media_roots: Iterable[str | os.PathLike[str]] = (),
) -> Published:
    """Write `selection` as a new folder, all or nothing: a kill half-way leaves nothing at `path`.

    Safe to repeat: a version with this very content that is there already is given back as it is.

    `load_dataset(path, "selected")` and `load_dataset(path, "scored")` read it, with nothing but
    `datasets` installed (3.6 or later).

    `scored` has all rows and columns of `selection.scored`. `selected` has the rows that are kept,
    with the columns of `hf_rap.exports.universal` that all trainers read, the score and decision
    columns, and the user's other columns; `hf_rap.versions.configs` says which are left out.

    Images keep the bytes of their files, but for those in `selected` that a trainer would see with other pixels than were
    scored (transparency, 16 bits, EXIF rotation), which are PNG; those given as paths are read into the Parquet files. In
    `scored` an image file that cannot be read becomes null, and the card counts it; in `selected` it
    is an error.

    Args:
        selection: what `select_cognitive` returned.
        path: a folder that does not exist yet, is empty, or holds this very version.
        version: three numbers, "1.0.0".
        name: of the dataset, on the card: its Hub id if it has one; None takes the folder's name.
        source: where the rows come from, see `describe_source`; None finds the dataset of the Hub that they were
            loaded from, and else prints as unknown.
        licence: of the data; None takes the licence of `source`.
        layout: which column is what; None recognises it.
        random_control: add the config `control` with as many rows drawn at random, to compare a training run with.
        hints: put the hints of `hf_rap.training.add_difficulty_hint` behind the questions that trainers are given.
        report: add a page on which people see the rows (`hf_rap.report`), report.html, linked from the card.
        control: the old name of `random_control`.
        media_roots: folders beside the dataset's own whose files rows may name, see `hf_rap.rows.media`.

    Raises:
        SettingError: the version is not three numbers.
        LayoutError: the layout is not recognised, or a column is missing.
        PublishError: there is something else at `path`, nothing is selected, or a kept row has no usable
            question or images.

    Examples:
        >>> publish_to_folder(selection, "geometry3k-rap", version="1.0.0")  # doctest: +SKIP

    """
    random_control = renamed("control", control, "random_control", random_control)
    check_selection(selection, layout, source, licence, random_control=random_control, hints=hints, report=report)
    check_text("name", name, none=True)
    check_target(path, version)
    target = Path(path).absolute()
    source = source or source_of(selection.scored)
    with allowed(media_roots):
        content = Content.of(
            selection,
            layout,
            source.id if source else "unknown",
            random_control=random_control,
            hints=hints,
            report=f"{name or target.name} {version}" if report else None,
        )

    there = _manifest(target)
    if there is not None:
        named = licence or (source.licence if source else None)
        if same_content(content, there, named, lambda config: sorted((target / config).glob("*.parquet"))):
            return Published(target, version, there["facts"], there["files"])
        raise PublishError(
            f"Version {version} is at {path} already, with other content: give another folder or version."
        )
    with whole_folder(target) as folder:
        records = {config: _write_config(content, config, folder) for config in content.in_writing_order}
        written = {config: records[config] for config in content.configs}
        facts, pictures = describe(
            content, written, name=name or target.name, version=version, source=source, licence=licence
        )
        files = _write_description(facts, pictures, written, folder)
    return Published(target, version, facts, files)


def check_target(path: str | os.PathLike[str], version: str) -> None:
    """Refuses a version that cannot be written there; worth a call before hours of work.

    Raises:
        SettingError: the version is not three numbers.
        PublishError: there is something at `path`.

    """
    check_path("path", path, "a folder that does not exist yet, or is empty")
    if "://" in str(path):
        raise PublishError(
            f"{str(path)!r} is no folder of this machine. For a repository of the Hub: publish(selection, 'user/name') "
            "(hf-rap publish SELECTION USER/NAME); for another store, write a folder and copy it there."
        )
    target = Path(path)
    numbers(version)
    there = _manifest(target)
    if there is not None and there.get("version") == version:
        return
    if not is_free(target):
        what = "something" if there is None else f"version {there.get('version')} of a dataset"
        raise PublishError(f"There is {what} at {path}: give a folder that does not exist yet, or is empty.")


def _manifest(folder: Path) -> dict[str, Any] | None:
    """What a version in this folder says of itself; None where there is none."""
    try:
        return read_manifest((folder / MANIFEST).read_bytes(), folder.name)
    except (OSError, SourceError):
        return None


def _write_config(content: Content, config: str, folder: Path) -> Written:
    """Write the shards of one config."""
    written, digest = Written(), RowDigest(content.features(config))
    groups = digest.over(content.groups(config))
    for shard in write_shards(groups, digest.features, folder / config, rank_by=content.rank_by(config)):
        written.add(shard, shard.relative_to(folder).as_posix())
    written.content = digest.hexdigest()
    return written


def _write_description(
    facts: dict[str, Any], pictures: dict[str, bytes], written: dict[str, Written], folder: Path
) -> dict[str, dict[str, Any]]:
    """Write plots, samples, card and manifest; what the manifest says about every other file."""
    contents = {**draw_plots(facts), **pictures, README: render_card(facts).encode()}
    for name, content in contents.items():
        _write(folder / name, content)
    files = {name: file_entry(content) for name, content in contents.items()}
    for record in written.values():
        files |= record.files
    _write(folder / MANIFEST, manifest_of(facts, files))
    return dict(sorted(files.items()))


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
