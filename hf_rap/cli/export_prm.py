"""hf-rap export: rollouts with step scores as files for process reward trainers."""

from __future__ import annotations

from pathlib import Path

import click

from .options import as_json, source_argument
from .output import print_json, print_pairs


@click.command()
@source_argument
@click.option("--to", "trainer", type=click.Choice(["internvl-prm", "trl-prm"]), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File to write: .jsonl or .parquet.")
@click.option("--threshold", default=0.0, show_default=True, help="A step is positive above this score.")
@click.option("--form", default="prm-token", show_default=True, help="internvl-prm: prm-token, or turns.")
@click.option("--soft", is_flag=True, help="internvl-prm: scores instead of hard labels.")
@as_json
def export(source: str, *, trainer: str, out: Path, threshold: float, form: str, soft: bool, as_json: bool) -> None:
    """Write the kept rows of SOURCE (all rows, where nothing was selected) in a trainer's layout.

    Example: hf-rap export selection.parquet --to internvl-prm --out train.jsonl

    In Python: hf_rap.export_internvl_prm(selection.selected, "train.jsonl")
    """
    from hf_rap.columns import KEEP
    from hf_rap.exports.internvl_prm import export_internvl_prm
    from hf_rap.exports.trl_prm import export_trl_prm
    from hf_rap.files import open_source

    ds, _ = open_source(source)
    if KEEP.name in ds.column_names:
        ds = ds.select(ds.data.column(KEEP.name).to_numpy().nonzero()[0])
    if trainer == "trl-prm":
        rows = export_trl_prm(ds, out, threshold=threshold)
    else:
        rows = export_internvl_prm(ds, out, form=form, threshold=threshold, soft=soft)
    result = {"rows": rows, "file": str(out)}
    if as_json:
        print_json(result)
    else:
        print_pairs(result)
