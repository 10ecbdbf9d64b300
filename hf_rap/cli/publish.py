"""hf-rap publish: a selection as a version in a folder."""

from __future__ import annotations

from pathlib import Path

import click

from .options import as_json, layout_options, make_layout, version_options
from .output import print_json


@click.command()
@click.argument("selection", type=click.Path(path_type=Path))
@version_options
@layout_options
@as_json
def publish(
    selection: Path,
    question: str,
    images: str,
    answer: str,
    id_column: str,
    *,
    to_folder: Path,
    version_name: str,
    name: str | None,
    as_json: bool,
) -> None:
    """Write SELECTION (a file of `hf-rap select`) as a version with its card.

    Example: hf-rap publish selection.parquet --to-folder geometry3k-rap --version 1.0.0

    In Python: hf_rap.publish_to_folder(selection, path, version="1.0.0")
    """
    from hf_rap.files import read_selection
    from hf_rap.folder import publish_to_folder

    chosen, info = read_selection(selection)
    layout = make_layout(question, images, answer, id_column)
    publish_to_folder(chosen, to_folder, version=version_name, name=name, source=info, layout=layout)
    report_version(to_folder, version_name, len(chosen.selected), len(chosen.scored), as_json=as_json)


def report_version(folder: Path, version: str, selected: int, rows: int, *, as_json: bool) -> None:
    """Says where the version lies and how to load it."""
    if as_json:
        print_json({"folder": str(folder), "version": version, "rows": rows, "selected": selected})
        return
    click.echo(f"version {version} in {folder}: {selected:,} of {rows:,} rows selected, card in {folder / 'README.md'}")
    click.echo(f'load it: datasets.load_dataset("{folder}", "selected")')
