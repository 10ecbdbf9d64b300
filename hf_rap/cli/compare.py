"""hf-rap compare: several selection methods on the same rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hf_rap.select.methods import METHODS

from .options import as_json, command, overrides_option, several_sources
from .output import echo, note, print_json

if TYPE_CHECKING:
    from hf_rap.select.overrides import Marks


@command()
@several_sources
@click.option(
    "--methods",
    default="rap,rap-released,difficulty,random",
    show_default=True,
    help=f"Comma-separated, of {', '.join(METHODS)}; rap:blank and rap:shuffled go by a control; all is every one.",
)
@click.option("--budget", type=int, help="Rows for methods that rank or draw; default: as many as the first other.")
@overrides_option
@click.option("--seed", default=0, show_default=True, help="Of draws and ties.")
@click.option(
    "--plot",
    type=click.Path(path_type=Path),
    default=Path("comparison.png"),
    show_default=True,
    help="PNG to write.",
)
@click.option(
    "--sweep",
    "swept",
    metavar="OPTION=A:B:STEP",
    help="One method at several values of a threshold: min_cde=0:0.8:0.2.",
)
@as_json
def compare(
    sources: tuple[str, ...],
    *,
    methods: str,
    budget: int | None,
    overrides: Marks | None,
    seed: int,
    plot: Path,
    swept: str | None,
    as_json: bool,
) -> None:
    """Select from SOURCE by several methods and show how the selections differ.

    SOURCE holds evidence; scores that are not there are computed. Of several SOURCEs, one per model or checkpoint, the rows
    that all have are selected from each, and shown is how far the selections agree: beside what a rerun of one would give.

    Example: hf-rap compare evidence.parquet --methods rap,rap-released,difficulty,random

    Example: hf-rap compare evidence.parquet --methods all

    Example: hf-rap compare controlled.parquet --methods rap,rap:blank,rap:shuffled

    Example: hf-rap compare before.parquet after.parquet --methods rap,difficulty

    Example: hf-rap compare scored.parquet --sweep min_cde=0:0.8:0.2

    In Python: hf_rap.compare_methods(ds, ["rap", "rap-released", "difficulty", "random"]), hf_rap.select.sweep(ds, "min_cde", (0, 0.2)),
    hf_rap.select.agreement.compare_models({"before": ds, "after": other}, ["rap", "difficulty"])
    """
    from hf_rap.select.comparison import compare_methods, with_scores
    from hf_rap.select.overrides import marks_of_rule
    from hf_rap.versions.plots import draw_comparison

    from .files import is_selection, open_source, read_selection

    names = [name.strip() for name in methods.split(",") if name.strip()]
    if len(sources) > 1:
        if swept is not None:
            raise click.UsageError("--sweep is about one SOURCE.")
        _compare_models(sources, names, budget, overrides, seed=seed, plot=plot, as_json=as_json)
        return
    source = sources[0]
    if overrides is None and is_selection(source):
        selection, _ = read_selection(Path(source))
        ds, overrides = selection.scored, marks_of_rule(selection.scored, selection.rule)
    else:
        ds, _ = open_source(source)
    if swept is not None:
        _compare_values(with_scores(ds), swept, names, overrides, seed=seed, plot=plot, as_json=as_json)
        return
    comparison = compare_methods(ds, names, budget=budget, seed=seed, overrides=overrides)
    plot.write_bytes(draw_comparison(comparison.as_dict()))
    if as_json:
        print_json({**comparison.as_dict(), "plot": str(plot)})
    else:
        echo(comparison)
    note(f"plot: {plot}")


def _compare_models(
    sources: tuple[str, ...],
    methods: list[str],
    budget: int | None,
    overrides: Marks | None,
    *,
    seed: int,
    plot: Path,
    as_json: bool,
) -> None:
    """The same methods on the evidence of several models, under the names of their files, or all of the path where these are the same."""
    from hf_rap.select.agreement import compare_models
    from hf_rap.versions.plots import draw_agreement

    from .files import open_source

    stems = [Path(source).stem for source in sources]
    names = stems if len(set(stems)) == len(stems) else list(sources)
    if len(set(names)) < len(names):
        raise click.UsageError("A SOURCE is named twice.")
    evidence = {name: open_source(source)[0] for name, source in zip(names, sources, strict=True)}
    agreement = compare_models(evidence, methods, budget=budget, seed=seed, overrides=overrides)
    plot.write_bytes(draw_agreement(agreement.as_dict()))
    if as_json:
        print_json({**agreement.as_dict(), "plot": str(plot)})
    else:
        echo(agreement)
    note(f"plot: {plot}")


def _compare_values(
    ds: Any, swept: str, names: list[str], overrides: Marks | None, *, seed: int, plot: Path, as_json: bool
) -> None:
    """One method at several values of a threshold, as a table and a plot."""
    from hf_rap.select.sweep import parse_sweep, sweep
    from hf_rap.versions.plots import draw_sweep

    chosen = click.get_current_context().get_parameter_source("methods") is not click.core.ParameterSource.DEFAULT
    if chosen and len(names) != 1:
        raise click.UsageError("--sweep is about one method: name one with --methods, or none for rap.")
    option, values = parse_sweep(swept)
    results = sweep(
        ds, option, values, method=names[0] if chosen else "rap", options={"overrides": overrides}, seed=seed
    )
    plot.write_bytes(draw_sweep(results.as_dict()))
    if as_json:
        print_json({**results.as_dict(), "plot": str(plot)})
    else:
        echo(f"{results.rows:,} rows, method {results.method}\n")
        heads = (results.option, "rows", "came in later", "overlap with a band", "with random rows")
        echo("  ".join(f"{head:>{len(head)}}" for head in heads))
        for point in results.points:
            shares = (point.came_in, point.band, point.random)
            cells = (
                f"{point.value:g}",
                f"{point.rows:,}",
                *("-" if share is None else f"{share:.0%}" for share in shares),
            )
            echo("  ".join(f"{cell:>{len(head)}}" for cell, head in zip(cells, heads, strict=True)))
    note(f"plot: {plot}")
