"""hf-rap score: evidence into scores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hf_rap.scorers import SCORERS

from .options import as_json, source_argument
from .output import note, print_json, print_pairs

if TYPE_CHECKING:
    from collections.abc import Iterable


@click.command()
@source_argument
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Parquet file to write.")
@click.option(
    "--score",
    "names",
    type=click.Choice(sorted(SCORERS)),
    multiple=True,
    help="Which scores; may be given several times. Default: cde and difficulty, and ace where rap_attention exists.",
)
@click.option("--confidence", type=float, help="Also the interval of the difficulty, such as 0.95.")
@as_json
def score(source: str, *, out: Path, names: tuple[str, ...], confidence: float | None, as_json: bool) -> None:
    """Turn the evidence in SOURCE into score columns. Needs no model and takes seconds.

    Example: hf-rap score evidence.parquet --out scored.parquet

    In Python: ds.map(hf_rap.cde_score, batched=True)
    """
    from hf_rap.files import open_source, write_file
    from hf_rap.scorers import DifficultyScore
    from hf_rap.scorers.base import add_scores

    ds, info = open_source(source)
    known = {**SCORERS, "difficulty": DifficultyScore(confidence)}
    scorers = [known[name] for name in names or usual_scores(ds.column_names)]
    scored = add_scores(ds, *scorers)
    write_file(scored, out, source=info)
    written = [column.name for scorer in scorers for column in scorer.writes]
    nulls = {f"{name} unknown": scored.data.column(name).null_count for name in written if "settings" not in name}
    result = {"rows": len(scored), **nulls, "file": str(out)}
    if as_json:
        print_json(result)
    else:
        print_pairs(result)
    note(f"next: hf-rap select {out} --out selection.parquet")


def usual_scores(columns: Iterable[str]) -> tuple[str, ...]:
    """The scores that a dataset with these columns gets when none are named."""
    from hf_rap.columns import ATTENTION

    return ("cde", "ace", "difficulty") if ATTENTION.name in columns else ("cde", "difficulty")
