"""hf-rap export --to internvl-prm and trl-prm: rollouts with step scores for process reward trainers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .options import together
from .output import print_json, print_pairs

if TYPE_CHECKING:
    from pathlib import Path

PRM_TRAINERS = {"internvl-prm": "train.jsonl", "trl-prm": "train.parquet"}

prm_options = together(
    [
        click.option("--threshold", default=0.0, show_default=True, help="*-prm: a step is positive above this score."),
        click.option("--form", default="prm-token", show_default=True, help="internvl-prm: prm-token, or turns."),
        click.option("--soft", is_flag=True, help="internvl-prm: scores instead of hard labels."),
    ]
)


def export_prm(source: str, folder: Path | None, to: str, *, as_json: bool, options: dict[str, Any]) -> None:
    """Write the kept rows of SOURCE (all rows, where nothing was selected) to one file in FOLDER."""
    from hf_rap.columns import KEEP
    from hf_rap.exports.internvl_prm import export_internvl_prm
    from hf_rap.exports.trl_prm import export_trl_prm

    from .files import open_source

    if folder is None:
        raise click.UsageError(f"--to {to} needs a FOLDER to write to.")
    if options["prompt"] is not None:
        raise click.UsageError(f"--to {to} writes question and steps in a form of its own, which takes no --prompt.")
    ds, _ = open_source(source)
    if KEEP.name in ds.column_names:
        ds = ds.select(ds.data.column(KEEP.name).to_numpy().nonzero()[0])
    out = folder / PRM_TRAINERS[to]
    if to == "trl-prm":
        rows = export_trl_prm(ds, out, threshold=options["threshold"])
    else:
        rows = export_internvl_prm(ds, out, **{name: options[name] for name in ("threshold", "form", "soft")})
    result = {"rows": rows, "file": str(out)}
    if as_json:
        print_json(result)
    else:
        print_pairs(result)
