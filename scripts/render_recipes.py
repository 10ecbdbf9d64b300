"""Write docs/recipes.md, and a page for each recipe, from the recipes and the numbers of hf_rap.papers.

python scripts/render_recipes.py
"""

from __future__ import annotations

from pathlib import Path

from page_tables import table

from hf_rap.cli.output import paste
from hf_rap.cli.recipe import RECIPES, Recipe, read_recipe, values_of
from hf_rap.papers import NUMBERS, RAP_TABLE, TABLES

DOCS = Path(__file__).parents[1] / "docs"
HEAD = """# Recipes: the three papers, step by step

You will have done what a paper did, as far as it goes without a trainer, each step printed as the command that it is:

<!-- not run: tests of the recipes run them -->
```bash
hf-rap recipe rap hiyouga/geometry3k --model Qwen/Qwen2.5-VL-7B-Instruct --folder geometry3k-rap
hf-rap recipe difficulty-prior --model demo
```

What is done is not done again: start the same command anew after whatever happened, or with another `--stop-after`. With `--model demo` and no
SOURCE everything runs on built-in pictures and a small model in about a minute, with the lengths and sizes that fit it. `--only-print`
prints the commands and runs none.

<!-- not run: tests of the recipes run them -->
```bash
hf-rap recipe rap --table outputs --folder geometry3k-rap --hours selected-grpo=41.5
```

runs nothing and reads what VLMEvalKit (`*_score.csv`, `*_acc.csv`), lmms-eval (`*_results.json`) and the script of arXiv 2602.04145
(`visualprocessbench_*.json`) have written below `outputs`: first how far your base model is from the paper's, then your models beside the published
ones, means and spread over runs, with seeds, judges and hours, those of scoring from `--folder`.

**Nobody has published a reproduction of any of the three, and we have none either**: training and benchmarks take GPUs that we did not have.

The commands of each, what is left to do, and how it differs from its paper: [rap](recipes/rap.md), [bis](recipes/bis.md),
[difficulty-prior](recipes/difficulty-prior.md). Every number with its source: [papers](reference/papers.md).

<!-- scripts/render_recipes.py writes what follows -->
"""


def commands(name: str, recipe: Recipe) -> list[str]:
    """The commands with the numbers of the paper."""
    values = values_of(recipe, "SOURCE", "MODEL", Path(name))
    lines = []
    for step in recipe.steps:
        lines += [f"# {step.name}: {step.does}", paste("hf-rap", *step.words(values))]
    return ["<!-- not run: tests of the recipes run them -->", "```bash", *lines, "```"]


def numbers(prefix: str) -> list[str]:
    """All that is known of one paper, with where it stands; those that no command uses are for training."""
    rows = [
        (name.removeprefix(f"{prefix}."), f"`{number.value}`", number.what, number.where)
        for name, number in NUMBERS.items()
        if name.startswith(f"{prefix}.")
    ]
    return table(("name", "number", "what it is", "stands in"), rows)


def all_steps() -> list[str]:
    """Every step of the three, and what it needs that hf_rap does not bring."""
    rows = []
    for name in RECIPES:
        recipe = read_recipe(name)
        values = values_of(recipe, "SOURCE", "MODEL", Path(name))
        for step in recipe.steps:
            command = step.words(values)[0]
            needs = "a GPU for a real model" if command in ("rollouts", "annotate-steps") else ""
            rows.append((name, step.name, f"`hf-rap {command}`", needs))
        rows += [(name, part["step"], part["how"], part["needs"]) for part in recipe.by_hand]
        rows.append((name, "table", f"`hf-rap recipe {name} --table RESULTS`", "the results"))
    return ["## What is here and what is not\n", *table(("paper", "step", "command", "needs what is not here"), rows)]


def published() -> list[str]:
    """The table of the paper, where one could be read."""
    head = ("", "rows", "hours", *RAP_TABLE.benchmarks)
    rows = [
        (
            result.model,
            *("" if value is None else f"{value:,}" for value in (result.rows, result.hours)),
            *(f"{score:.2f}" for score in result.scores),
        )
        for result in RAP_TABLE.results
    ]
    return [f"\nPublished, from the {RAP_TABLE.where}:\n", *table(head, rows)]


def recipe_page(name: str) -> str:
    """What one recipe does, what is left to do, and where it differs."""
    recipe = read_recipe(name)
    by_hand = [(part["step"], part["how"], part["needs"]) for part in recipe.by_hand]
    differences = [tuple(part[key] for key in ("what", "paper", "release", "here")) for part in recipe.differences]
    following = dict(zip(RECIPES, [*RECIPES][1:], strict=False)).get(name)
    return "\n".join(
        [
            f"# `hf-rap recipe {name}`\n",
            f"You will have what these commands write: {recipe.title} ({recipe.paper}). Data: {recipe.data}. Model: {recipe.model}.\n",
            *commands(name, recipe),
            "\n## What is left to do\n",
            *table(("step", "how", "needs what is not here"), by_hand),
            "\n## Differences from the paper and the release\n",
            *table(("", "paper", "release", "here"), differences),
            f"\nEvery number with its source, and published results: [papers](../reference/papers.md#{name}).\n",
            f"Next: [`hf-rap recipe {following}`]({following}.md)"
            if following
            else "Next: [Process rewards](../bis.md)",
            "",
        ]
    )


def papers_page() -> str:
    """The numbers of all three, and what they published."""
    parts = [
        "# Numbers of the papers\n",
        "What is known of each paper, with where it stands; those that no command uses are for training.",
    ]
    for name in RECIPES:
        parts += [f"\n## {name}\n", f"{read_recipe(name).title} ({read_recipe(name).paper}).\n"]
        parts += numbers(name.partition("-")[0])
        parts += published() if name == "rap" else [f"\nPublished results: {TABLES[name]}."]
    return "\n".join([*parts, ""])


def overview_page() -> str:
    """What the three have in common."""
    following = next(iter(RECIPES))
    return "\n".join(
        [HEAD.rstrip("\n"), "", *all_steps(), "", f"Next: [`hf-rap recipe {following}`](recipes/{following}.md)", ""]
    )


def pages() -> dict[str, str]:
    """Path below docs -> text."""
    own = {f"recipes/{name}.md": recipe_page(name) for name in RECIPES}
    return {"recipes.md": overview_page(), **own}


if __name__ == "__main__":
    for path, text in pages().items():
        (DOCS / path).parent.mkdir(exist_ok=True)
        (DOCS / path).write_text(text, encoding="utf-8")
