"""hf-rap export: a selection or a version as a folder that one trainer loads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hf_rap.exports.trainers import TRAINERS

from .export_prm import PRM_TRAINERS, export_prm, prm_options
from .export_recipe import export_training, recipe_options, with_hints
from .options import as_json, command, handoff_options, layout_options, make_layout, make_limits, source_argument
from .output import echo, note, print_json

if TYPE_CHECKING:
    from hf_rap.exports.exporting import Exported


@command()
@source_argument
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option(
    "--to",
    default="universal",
    show_default=True,
    help=f"The trainer: {', '.join([*TRAINERS, *PRM_TRAINERS])}, or your own.",
)
@handoff_options
@layout_options
@prm_options
@recipe_options
@as_json
def export(source: str, folder: Path | None, to: str, *, as_json: bool, **options: Any) -> None:
    """Write SOURCE to FOLDER in the layout that a trainer loads; without FOLDER only check it (exits 1 where rows would be refused).

    SOURCE is a published version, a file of `hf-rap select` (its kept rows), or any dataset.

    Example: hf-rap export ./geometry3k-rap --to easyr1 geometry3k-easyr1

    Example: hf-rap export selection.parquet --recipe rap --to easyr1 --gpus 8 geometry3k-training

    In Python: hf_rap.export("./geometry3k-rap", "geometry3k-easyr1", to="easyr1"); for internvl-prm,
    qwen-prm and trl-prm, export_internvl_prm, export_qwen_prm and export_trl_prm of hf_rap.exports.internvl_prm, .qwen_prm, .trl_prm.
    """
    if to in PRM_TRAINERS:
        export_prm(source, folder, to, as_json=as_json, options=options)
        return
    if options["recipe"] is not None:
        export_training(source, folder, to, as_json=as_json, options=options)
        return
    from hf_rap.exports.exporting import check_export
    from hf_rap.exports.exporting import export as write
    from hf_rap.rows.sources import load_source

    from .files import layout_in

    limits = make_limits(options)
    rows = _kept(source, hints=options["hints"])
    layout = make_layout(options, load_source(rows) if isinstance(rows, str) else rows.scored, layout_in(source))
    if folder is None:
        handoff = check_export(
            rows,
            to=to,
            layout=layout,
            limits=limits,
            fix=options["fix"],
            prompt=options["prompt"],
            hints=options["hints"],
        )
        if as_json:
            print_json(handoff.as_dict())
        else:
            echo(handoff.table())
        if handoff.refused and not options["drop"]:
            click.get_current_context().exit(1)
        return
    report_export(
        write(
            rows,
            to=to,
            path=folder,
            layout=layout,
            limits=limits,
            fix=options["fix"],
            drop=options["drop"],
            prompt=options["prompt"],
            hints=options["hints"],
        ),
        as_json=as_json,
    )


def _kept(source: str, *, hints: bool) -> Any:
    """The selection in a file of ours, with hints where they are asked for; otherwise the source as it is."""
    from .files import is_selection, read_selection

    if not is_selection(source):
        return source
    selection = read_selection(Path(source))[0]
    return with_hints(selection) if hints else selection


def report_export(done: Exported, *, as_json: bool) -> None:
    """What was left out, and the lines to paste."""
    if as_json:
        print_json({"folder": str(done.path), "handoff": done.handoff.as_dict(), "snippet": done.snippet})
        return
    note(done.handoff.table())
    note(f"written: {done.path}; to train on it:")
    echo(done.snippet)
