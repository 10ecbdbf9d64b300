"""hf-rap pull: one version of a published dataset as a folder that one trainer loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hf_rap.exports.trainers import TRAINERS

from .export import report_export
from .options import as_json, command, handoff_options, make_limits


@command()
@click.argument("repo")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--version", "version_name", required=True, help="Which one: 1.0.0 is the tag v1.0.0.")
@click.option("--to", default="universal", show_default=True, type=click.Choice(list(TRAINERS)), help="The trainer.")
@click.option("--config", default="selected", show_default=True, help="Which rows of the version.")
@click.option("--allow-withdrawn", is_flag=True, help="Take the version also when its publisher has withdrawn it.")
@handoff_options
@as_json
def pull(repo: str, folder: Path, version_name: str, to: str, config: str, *, as_json: bool, **options: Any) -> None:
    """Write one version of REPO (a Hub id or a published folder) to FOLDER in the layout of a trainer.

    Every file is checked against the hashes of the version.

    Example: hf-rap pull user/geometry3k-rap --version 1.0.0 --to easyr1 geometry3k-easyr1

    In Python: hf_rap.pull("user/geometry3k-rap", "geometry3k-easyr1", version="1.0.0", to="easyr1")
    """
    from hf_rap.hub.pulling import pull as fetch

    done = fetch(
        repo,
        version=version_name,
        to=to,
        path=folder,
        config=config,
        limits=make_limits(options),
        fix=options["fix"],
        drop=options["drop"],
        allow_withdrawn=options["allow_withdrawn"],
        prompt=options["prompt"],
        hints=options["hints"],
    )
    report_export(done, as_json=as_json)
