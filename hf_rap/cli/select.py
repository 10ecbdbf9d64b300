"""hf-rap select: scores into a decision for every row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .options import (
    as_json,
    band_options,
    command,
    make_selection,
    make_top,
    out_option,
    selection_options,
    source_argument,
    top_options,
)
from .output import echo, note, paste, print_health, print_json, print_stability

if TYPE_CHECKING:
    from pathlib import Path


@command()
@source_argument
@selection_options
@click.option("--seed", default=0, show_default=True, help="Of ties.")
@band_options
@top_options
@out_option("Parquet file to write: every row with its decision.")
@as_json
def select(source: str, *, out: Path | None, as_json: bool, **options: Any) -> None:
    """Decide for every row of SOURCE whether to keep it, and why.

    Example: hf-rap select scored.parquet --min-cde 0.5 --out selection.parquet

    Example: hf-rap select scored.parquet --top 0.1 --per source --out selection.parquet

    Example: hf-rap select scored.parquet --method difficulty --stage one --sizes 2000,600 --out one.parquet

    In Python: hf_rap.select_cognitive(ds, min_cde=0.5), hf_rap.select_top(ds, ratio=0.1, per="source"),
    hf_rap.split_stages(ds, sizes=(2000, 600))
    """
    from hf_rap.select.stability import describe_stability
    from hf_rap.stats.health import check_health

    from .files import layout_in, open_source, write_file

    ds, info = open_source(source)
    selection = make_selection(ds, options) if options["top"] is None else make_top(ds, options)
    if out is not None:
        write_file(selection, out, source=info, layout=layout_in(source))
    stability = describe_stability(selection)
    health = check_health(selection.scored, agreement=stability.get("jaccard")).as_dict()
    if as_json:
        facts: dict[str, Any] = {"rule": selection.rule, "funnel": {step.name: step.rows for step in selection.funnel}}
        facts["came_in"] = {step.name: step.came_in for step in selection.funnel if step.came_in}
        facts |= {"reasons": selection.reasons, "remarks": selection.remarks}
        print_json({**facts, "stability": stability, "health": health})
    else:
        echo(selection)
        print_stability(stability)
        if options["top"] is None:  # what ranks steps of a reply has no attempts
            print_health(health)
    if out is not None:
        note(f"next: {paste('hf-rap', 'publish', out, 'user/name', '--version', '1.0.0')} (or --to-folder NEW_FOLDER)")
