"""hf-rap stability: how far a fresh scoring would agree with a selection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hf_rap.errors import SettingError

from .options import as_json, budget_of, command, selection_options, source_argument
from .output import note, print_json, print_stability


@command()
@source_argument
@selection_options
@click.option("--seed", default=0, show_default=True, help="Of ties, and of the simulated scorings.")
@click.option("--attempts", default="5,8,16,32", show_default=True, help="Per arm: what agreement they would give.")
@click.option("--plot", type=click.Path(path_type=Path), help="PNG to write: agreement by attempts.")
@as_json
def stability(source: str, *, attempts: str, plot: Path | None, as_json: bool, **options: Any) -> None:
    """Predict how far the selection from SOURCE would agree with that of a fresh scoring by the same model.

    SOURCE holds evidence. A file of `hf-rap select` brings its rule; options that are given change it.

    Example: hf-rap stability evidence.parquet --min-cde 0.5

    In Python: hf_rap.stability(ds, {"min_cde": 0.5})
    """
    from hf_rap.select.stability import stability as agreement
    from hf_rap.versions.plots import draw_curves

    from .files import is_selection, open_source, read_selection

    if options["budget"] is not None:
        options["budget"] = budget_of(options["budget"])
    rule: dict[str, Any]
    if is_selection(source):
        selection, _ = read_selection(Path(source))
        context = click.get_current_context()
        default = click.core.ParameterSource.DEFAULT
        given = {name: value for name, value in options.items() if context.get_parameter_source(name) is not default}
        ds, rule = selection.scored, {**selection.rule, **selection.rule.get("asked", {}), "asked": {}, **given}
    else:
        ds, _ = open_source(source)
        rule = options
    facts = agreement(ds, rule, attempts=_numbers(attempts), seed=options["seed"]).as_dict()
    if plot is not None:
        points = [(point["attempts"], point["jaccard"]) for point in facts["curve"] if point["jaccard"] is not None]
        plot.write_bytes(draw_curves({"expected": points}, x="attempts per row and arm", y="agreement (Jaccard)"))
        note(f"plot: {plot}")
    if as_json:
        print_json(facts)
    else:
        print_stability(facts)


def _numbers(text: str) -> list[int]:
    """5,8,16 as numbers."""
    try:
        return [int(word) for word in text.split(",")]
    except ValueError as error:
        raise SettingError(
            f"--attempts takes whole numbers with commas between, such as 5,8,16, not {text!r}."
        ) from error
