"""hf-rap pass-rates: evidence that others have collected."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hf_rap.evidence.pass_rates import SCALES

from .options import as_json, command, out_option, source_argument
from .output import note, paste, print_json, print_pairs

if TYPE_CHECKING:
    import datasets


@command()
@source_argument
@out_option("Parquet file to write.", required=True)
@click.option("--column", help="Column of the pass rates; default: the only one that is known or called like one.")
@click.option(
    "--attempts", help="How many attempts are behind each rate, or the column that says so; default: unknown."
)
@click.option(
    "--scale",
    type=click.Choice(SCALES),
    help="Of numbers: fraction (0 to 1), percent (0 to 100), count (attempts that were right).",
)
@click.option("--unknown", type=float, help="The number that stands for no rate; default: -1.")
@click.option(
    "--rollouts", type=click.Path(path_type=Path), help="Read this file of NeMo Gym or verifiers, a rollout a line."
)
@click.option("--by", help="With --rollouts: field and column that say whose a rollout is; default: the row's number.")
@click.option("--correct", type=float, help="With --rollouts: the reward from which on a rollout is right.")
@click.option("--model", help="Whose pass rates they are; default: what column or file says, or unknown.")
@click.option("--sampling", help="How the replies were drawn, in words; default: what the file says, or unknown.")
@as_json
def pass_rates(source: str, *, out: Path, rollouts: Path | None, as_json: bool, **options: Any) -> None:
    """Read pass rates that others have published with SOURCE, or their rollouts, as evidence. Asks no model.

    There is nothing on the text alone, so rules that need it refuse these rows; a band of pass rates, the hardest and the best do not.

    Example: hf-rap pass-rates TIGER-Lab/ViRL39K --column PassRate_32BTrained --out evidence.parquet

    Example: hf-rap pass-rates asked.jsonl --rollouts rollouts.jsonl --out evidence.parquet

    In Python: hf_rap.add_pass_rates(ds, "pass_rate", attempts=8), hf_rap.add_rollout_file(ds, "rollouts.jsonl")
    """
    from hf_rap.columns import DIFFICULTY, ERROR, SETTINGS
    from hf_rap.stats.arrays import arrow_columns
    from hf_rap.stats.settings import settings_in

    from .files import layout_in, open_source, write_file

    of_file, of_column = ("by", "correct"), ("column", "attempts", "scale", "unknown")
    wrong = [name for name in (of_column if rollouts else of_file) if options[name] is not None]
    if wrong:
        raise click.UsageError(f"--{wrong[0]} is for {'pass rates in a column' if rollouts else '--rollouts'}.")
    ds, info = open_source(source)
    evidence = _evidence(ds, rollouts, {name: value for name, value in options.items() if value is not None})
    write_file(evidence, out, source=info, layout=layout_in(source))
    settings = settings_in(evidence[0][SETTINGS.name]) if len(evidence) else {}
    unknown = len(evidence) - arrow_columns(evidence, [ERROR.name])[ERROR.name].null_count
    result = {
        "rows": len(evidence),
        "without a pass rate": unknown,
        "model": settings.get("model"),
        "sampling": settings.get("sampling"),
        "file": str(out),
    }
    print_json(result) if as_json else print_pairs(result)
    if DIFFICULTY.name in evidence.column_names:
        note(f"next: {paste('hf-rap', 'select', out, '--method', 'difficulty', '--out', 'selection.parquet')}")
    else:
        note(f"next: {paste('hf-rap', 'score', out, '--out', 'scored.parquet')}")


def _evidence(ds: datasets.Dataset, rollouts: Path | None, options: dict[str, Any]) -> datasets.Dataset:
    from hf_rap.evidence.pass_rates import add_pass_rates
    from hf_rap.evidence.rollout_files import add_rollout_file

    if rollouts is not None:
        return add_rollout_file(ds, rollouts, **options)
    attempts = options.get("attempts")
    if attempts is not None and attempts.isascii() and attempts.isdigit():
        options["attempts"] = int(attempts)
    return add_pass_rates(ds, **options)
