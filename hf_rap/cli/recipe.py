"""hf-rap recipe: the steps of a paper one after the other, each of them a command of its own.

A recipe is a file in hf_rap/cli/recipes: the commands, with the name of a number of `hf_rap.papers.NUMBERS` wherever the
paper has a say, and where paper, release and hf_rap differ.
"""

from __future__ import annotations

import json
import re
import shlex
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import as_json, command
from .output import echo, note, paste
from .recipe_table import print_table

if TYPE_CHECKING:
    from collections.abc import Mapping

RECIPES = ("rap", "bis", "difficulty-prior")
_FOLDER = Path(__file__).parent / "recipes"
_NAME = re.compile(r"\{([\w.-]+)\}")
_DEMO_ROWS = 60
_STATE = "recipe.json"


@dataclass(frozen=True)
class RecipeStep:
    """One command of a recipe, and the file or folder that is there when it is done."""

    name: str
    does: str
    command: str
    makes: str

    def words(self, values: Mapping[str, Any]) -> list[str]:
        """The words of the command behind `hf-rap`, with these values in the place of their names."""
        return [_NAME.sub(lambda match: str(values[match[1]]), word) for word in shlex.split(self.command)]


@dataclass(frozen=True)
class Recipe:
    """What one paper did."""

    title: str
    paper: str
    data: str
    model: str
    demo: Mapping[str, Any]
    steps: tuple[RecipeStep, ...]
    by_hand: tuple[Mapping[str, str], ...]
    differences: tuple[Mapping[str, str], ...]

    @property
    def numbers(self) -> list[str]:
        """Names of the numbers that its commands use."""
        names = (name for step in self.steps for name in _NAME.findall(step.command))
        return [name for name in dict.fromkeys(names) if "." in name]


def read_recipe(name: str) -> Recipe:
    """The recipe of this name."""
    import yaml  # type: ignore[import-untyped]

    fields = yaml.safe_load((_FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    steps = tuple(RecipeStep(**step) for step in fields.pop("steps"))
    by_hand, differences = (tuple(fields.pop(part)) for part in ("by_hand", "differences"))
    return Recipe(**fields, steps=steps, by_hand=by_hand, differences=differences)


def values_of(recipe: Recipe, source: str, model: str, folder: Path) -> dict[str, Any]:
    """What stands for each name in its commands."""
    from hf_rap.exports.published import all_numbers

    given = {"source": source, "model": model, "folder": folder}
    return {**all_numbers(), **(recipe.demo if model == "demo" else {}), **given}


@command()
@click.argument("name", type=click.Choice(RECIPES))
@click.argument("source", required=False)
@click.option("--model", help="Hub id or folder of the model, or 'demo', with settings that fit it.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    help="Where everything goes; default: ./NAME. Goes on where it stopped.",
)
@click.option("--stop-after", metavar="STEP", help="End behind this step.")
@click.option("--only-print", is_flag=True, help="Print the commands and run none.")
@click.option(
    "--table",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="RESULTS",
    help="Run nothing: the results of VLMEvalKit and lmms-eval below this folder beside the published ones.",
)
@click.option("--base", metavar="MODEL", help="--table: which of the models is the untrained one.")
@click.option("--hours", multiple=True, metavar="MODEL=HOURS", help="--table: what training one of the models took.")
@as_json
def recipe(
    name: str,
    source: str | None,
    *,
    model: str | None,
    folder: Path | None,
    stop_after: str | None,
    only_print: bool,
    table: Path | None,
    base: str | None,
    hours: tuple[str, ...],
    as_json: bool,
) -> None:
    """Do what a paper did with SOURCE, step by step; each step is printed as the command that it is.

    Without SOURCE the model 'demo' gets planted picture questions. Where every number comes from: docs/reference/papers.md;
    where paper, release and hf-rap differ: docs/recipes.md.

    Example: hf-rap recipe rap hiyouga/geometry3k --model Qwen/Qwen2.5-VL-7B-Instruct --folder geometry3k-rap

    Example: hf-rap recipe difficulty-prior --model demo

    Example: hf-rap recipe rap --table outputs --folder geometry3k-rap --hours selected-grpo=41.5

    In Python: the steps of the recipe, one library call each.
    """
    if table is not None:
        spent = _read_state(folder).get("seconds", {}) if folder is not None else {}
        print_table(name, table, spent, base=base, hours=hours, as_json=as_json)
        return
    if as_json or base is not None or hours:
        raise click.UsageError("--json, --base and --hours are for --table.")
    steps = (chosen := read_recipe(name)).steps
    model = _checked_model(name, source, model, stop_after, [step.name for step in steps])
    folder = folder or Path(name)
    if not only_print:
        _enter(folder, {"recipe": name, "source": source, "model": model})
    if source is None:
        source = str(folder / "rows.parquet")
        _make_rows(Path(source), only_print=only_print)
    values = values_of(chosen, source, model, folder)
    echo(f"{chosen.title} ({chosen.paper})")
    for number, step in enumerate(steps, start=1):
        _do(step, values, f"{number}/{len(steps)}", folder, only_print=only_print)
        if step.name == stop_after:
            return
    for part in chosen.by_hand:
        echo(f"\nnot here: {part['step']} (needs {part['needs']})\n  {part['how']}")


def _checked_model(name: str, source: str | None, model: str | None, stop_after: str | None, steps: list[str]) -> str:
    """The model, where all that is needed was given."""
    if model is None:
        raise click.UsageError("Missing option '--model': a Hub id, a folder, or 'demo'.")
    if stop_after is not None and stop_after not in steps:
        raise click.UsageError(f"--stop-after takes a step of {name}: {', '.join(steps)}, got {stop_after!r}.")
    if source is None and model != "demo":
        raise click.UsageError(
            "SOURCE is missing: a Hub id, a folder or a file. Only the model 'demo' brings rows of its own."
        )
    return model


def _read_state(folder: Path) -> dict[str, Any]:
    state = folder / _STATE
    if not state.exists():
        raise click.UsageError(f"{folder} holds no recipe, whose hours it could tell.")
    content: dict[str, Any] = json.loads(state.read_text(encoding="utf-8"))
    return content


def _enter(folder: Path, options: Mapping[str, Any]) -> None:
    """The folder is of this recipe, source and model, or new."""
    state = folder / _STATE
    if state.exists():
        before = _read_state(folder)
        for option, value in options.items():
            if before.get(option) != value:
                raise click.UsageError(
                    f"{folder} holds this with {option} {before.get(option)!r}, and not {value!r}: take another --folder."
                )
        return
    if folder.exists() and any(folder.iterdir()):
        raise click.UsageError(f"{folder} is not empty and holds no recipe: take a new --folder.")
    folder.mkdir(parents=True, exist_ok=True)
    state.write_text(json.dumps(dict(options), indent=1) + "\n", encoding="utf-8")


def _make_rows(path: Path, *, only_print: bool) -> None:
    code = f"from hf_rap.demo import make_planted; make_planted({_DEMO_ROWS}).to_parquet({str(path)!r})"
    echo(f"$ {paste('python', '-c', code)}")
    if only_print or path.exists():
        return
    from hf_rap.demo import make_planted
    from hf_rap.system import whole_file

    with whole_file(path) as partial:
        make_planted(_DEMO_ROWS).to_parquet(partial)


def _do(step: RecipeStep, values: Mapping[str, Any], place: str, folder: Path, *, only_print: bool) -> None:
    words = step.words(values)
    echo(f"\n{place} {step.name}: {step.does}\n$ {paste('hf-rap', *words)}")
    if only_print:
        return
    if (folder / step.makes).exists():  # what a command makes appears only when it is whole
        note(f"{folder / step.makes} is there already")
        return
    from hf_rap.cli import cli

    start = time.monotonic()
    try:
        cli.main(words, prog_name="hf-rap", standalone_mode=False)
    finally:
        _note_seconds(folder / _STATE, step.name, time.monotonic() - start)


def _note_seconds(state: Path, step: str, seconds: float) -> None:
    """Add what a step took, also one that was stopped and goes on later."""
    from hf_rap.system import whole_file

    noted = json.loads(state.read_text(encoding="utf-8"))
    spent = noted.setdefault("seconds", {})
    spent[step] = round(spent.get(step, 0.0) + seconds, 3)
    with whole_file(state) as partial:
        partial.write_text(json.dumps(noted, indent=1) + "\n", encoding="utf-8")
