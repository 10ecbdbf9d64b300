"""hf-rap export --recipe: the training of a paper, whole, with what it is compared with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hf_rap.exports.published import ALGORITHMS, CONFIGS, RECIPES
from hf_rap.plugins import object_at

from .options import make_layout, make_limits, together
from .output import echo, note, print_json

if TYPE_CHECKING:
    from hf_rap.exports.limits import Limits
    from hf_rap.select import Selection

# Of `hf_rap.training.difficulty_weighted`, which trainers import and this command does not.
WEIGHTS = ("linear", "inverse", "quadratic", "exponential", "logistic")
ALIKE = "none"
_HINT = "hf_rap.training:add_difficulty_hint"

recipe_options = together(
    [
        click.option(
            "--recipe",
            type=click.Choice(tuple(RECIPES)),
            help=f"Write the training of this paper for {' or '.join(CONFIGS)}, with whole configurations.",
        ),
        click.option(
            "--algorithms",
            default=",".join(ALGORITHMS),
            show_default=True,
            help="rap: one configuration for each.",
        ),
        click.option(
            "--then",
            metavar="FILE",
            help="difficulty-prior: the selection of stage two, which starts from the checkpoint of stage one.",
        ),
        click.option(
            "--weight",
            type=click.Choice((*WEIGHTS, ALIKE)),
            default="exponential",
            show_default=True,
            help="difficulty-prior, in TRL: how much more hard prompts weigh.",
        ),
    ],
    title="Training of a paper",
)


def export_training(source: str, folder: Path | None, to: str, *, as_json: bool, options: dict[str, Any]) -> None:
    """Write the training of `--recipe` to FOLDER; the commands."""
    from hf_rap.exports.recipe import export_recipe, export_stages

    from .files import layout_in

    name = options["recipe"]
    if to not in CONFIGS:
        raise click.UsageError(f"--recipe writes for {' and '.join(CONFIGS)}: add --to easyr1 or --to trl, not {to!r}.")
    if folder is None:
        raise click.UsageError("--recipe needs a FOLDER to write to.")
    stages = name == "difficulty-prior"
    if stages != (options["then"] is not None):
        asked = "needs --then FILE, the selection of stage two" if stages else "has one stage: leave --then out"
        raise click.UsageError(f"--recipe {name} {asked}.")
    selection = _selection(source)
    common: dict[str, Any] = {
        "to": to,
        "recipe": name,
        "layout": make_layout(options, selection.scored, layout_in(source)),
        "limits": _limits(options, name),
        "fix": options["fix"],
        "drop": options["drop"],
        "prompt": options["prompt"],
    }
    if stages:
        weight = None if options["weight"] == ALIKE else options["weight"]
        done = export_stages(selection, with_hints(_selection(options["then"])), folder, weight=weight, **common)
    else:
        algorithms = [name.strip() for name in options["algorithms"].split(",") if name.strip()]
        done = export_recipe(selection, folder, algorithms=algorithms, **common)
    if as_json:
        print_json({"folder": str(done.path), "rows": dict(done.rows), "commands": list(done.commands)})
        return
    note(done.handoff.table())
    for which, rows in done.rows.items():
        note(f"{which}: {rows:,} rows to train on")
    note(f"written: {done.path}; to train on it:")
    echo("\n".join(done.commands))


def with_hints(selection: Selection) -> Selection:
    """The selection with hints of difficulty; those that it has, or those of its `rap_difficulty`."""
    from dataclasses import replace

    from hf_rap.exports.hinted import hinted_columns

    if hinted_columns(selection.scored.column_names):
        return selection
    return replace(selection, scored=selection.scored.map(object_at(_HINT, "--hints", _HINT), batched=True))


def _limits(options: dict[str, Any], recipe: str) -> Limits:
    """The replies to a prompt are the paper's unless others are asked for."""
    from hf_rap.exports.published import numbers_of

    given = click.get_current_context().get_parameter_source("group")
    if given is click.core.ParameterSource.DEFAULT:
        options = {**options, "group": numbers_of(recipe)["group_size"]}
    return make_limits(options)


def _selection(source: str) -> Selection:
    from .files import is_selection, read_selection

    if not is_selection(source):
        raise click.UsageError(f"--recipe takes a file of `hf-rap select --out`, which holds all rows; not {source}.")
    return read_selection(Path(source))[0]
