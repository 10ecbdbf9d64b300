"""Which selection is worth its scoring? Trains on each of a recipe's selections with GRPO and measures on held-out rows.

    python benchmarks/bakeoff.py benchmarks/bakeoffs/quick.yaml --work FOLDER           small model, minutes on a CPU
    python benchmarks/bakeoff.py benchmarks/bakeoffs/geometry3k.yaml --work FOLDER      a pretrained one, on a GPU
    python benchmarks/bakeoff.py RECIPE --work FOLDER --report                          pages again, of what is there

Random rows in the number of the first selection, and the whole pool, are always among the arms. Every arm makes `steps` steps; those
whose rows cost less to find go on until all have spent equally many tokens, scoring counted. Runs are written as they end; a
killed one goes on from its last measurement. In FOLDER then are `verdict.md` (one page), `bakeoff.png` and `results.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bakeoff_recipe import Recipe

MAY_CHANGE = ("title", "seeds", "selections")  # of a recipe that goes on in its folder


def run(recipe: Recipe, work: Path, seeds: list[int], arms: list[str]) -> None:
    """All runs of these seeds and arms that are not there yet, seed by seed."""
    quiet()
    import bakeoff_rows
    from bakeoff_train import train

    from hf_rap.errors import SettingError

    model = make_model(recipe, work)
    there = bakeoff_rows.prepare_held_out(recipe, work)
    held_out = bakeoff_rows.rows_of(there, "rows")
    measure_start(recipe, work, model, held_out)
    for seed in seeds:
        chosen = bakeoff_rows.prepare_seed(recipe, model, work, seed)
        training = round(recipe.steps * replies_per_step(recipe) * chosen["mean_reply"])
        together = training + max(chosen["scoring_tokens"].values())
        for arm in arms:
            done = run_file(work, seed, arm)
            if done.exists():
                continue
            rows = bakeoff_rows.rows_of(work / f"seed-{seed}", arm)
            folder = work / f"training-{seed}-{arm.replace(' ', '-')}"
            budget = together - chosen["scoring_tokens"][arm]
            try:
                found = train(model, rows, held_out, folder, recipe, budget=budget, seed=seed)
            except SettingError as error:
                raise SettingError(f"Seed {seed}, {arm}: {error}") from error
            said = {"seed": seed, "arm": arm, "rows": len(rows), "total_tokens": together, **found}
            write_json(done, {**said, "scoring_tokens": chosen["scoring_tokens"][arm]})
            last = max(found["measured"], key=int)
            share = mean_reward(found["measured"][last]["rewards"])
            print(
                f"seed {seed}, {arm}: {len(rows)} rows, {last} steps, {share:.1%} of held-out replies right", flush=True
            )


def mean_reward(rewards: list[list[float | None]]) -> float:
    known = [reward for row in rewards for reward in row if reward is not None]
    return sum(known) / len(known)


def replies_per_step(recipe: Recipe) -> int:
    """Replies that are sampled for one step of the optimiser."""
    batch, more = recipe.trl.get("per_device_train_batch_size", 8), recipe.trl.get("gradient_accumulation_steps", 1)
    return int(batch * more)


def run_file(work: Path, seed: int, arm: str) -> Path:
    return work / f"run-{seed}-{arm.replace(' ', '-')}.json"


def make_model(recipe: Recipe, work: Path) -> str:
    """The recipe's model, or the folder of the small one, which is trained once per work folder."""
    import shortcuts
    import training_start
    from bakeoff_recipe import BUILT_IN

    if recipe.model != BUILT_IN:
        return recipe.model
    folder = work / "start"
    if not folder.exists():
        print(f"Training the start, once: {folder}", flush=True)
        making = folder.with_suffix(".part")
        training_start.make_start(making, steps=450, lesson=shortcuts.lesson)
        making.rename(folder)
    return str(folder)


def measure_start(recipe: Recipe, work: Path, model: str, held_out: Any) -> None:
    """`start.json`: the model before training, on the held-out rows."""
    there = work / "start.json"
    if there.exists():
        return
    import torch
    from bakeoff_train import Measuring
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor = AutoProcessor.from_pretrained(model, **recipe.processor_options)
    weights = AutoModelForImageTextToText.from_pretrained(model, dtype=recipe.dtype)
    weights = weights.to("cuda" if torch.cuda.is_available() else "cpu")
    write_json(there, Measuring(held_out, processor, recipe)(weights))


def quiet() -> None:
    """One thread per process on a CPU, no bars."""
    import datasets
    import torch
    import transformers

    if not torch.cuda.is_available():
        torch.set_num_threads(1)
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()


def write_json(path: Path, value: Any) -> None:
    from hf_rap.system import whole_file

    with whole_file(path) as partial:
        partial.write_text(json.dumps(value))


def check_same(recipe: Recipe, work: Path) -> None:
    """Writes the recipe into the folder; one that other runs there were not made by is refused.

    Raises:
        SettingError: a field that decides the runs differs.

    """
    from hf_rap.errors import SettingError

    about, now = work / "recipe.json", asdict(recipe)
    if about.exists() and (work / "start.json").exists():  # else nothing was made by it
        before = json.loads(about.read_text())
        other = [name for name, value in now.items() if name not in MAY_CHANGE and before.get(name) != value]
        other += [
            f"selections.{name}"
            for name, value in now["selections"].items()
            if before["selections"].get(name, value) != value
        ]
        first = next(iter(now["selections"])), next(iter(before["selections"]))
        other += ["the first selection"] if first[0] != first[1] else []
        if other:
            raise SettingError(f"{work} holds runs of another recipe ({', '.join(other)}). Name another --work folder.")
    work.mkdir(parents=True, exist_ok=True)
    write_json(about, now)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path, help="a YAML file, see benchmarks/bakeoff_recipe.py for its fields")
    parser.add_argument("--work", type=Path, required=True, help="folder of the runs; a killed bake-off goes on there")
    parser.add_argument("--report", action="store_true", help="train nothing")
    parser.add_argument("--seed", type=int, nargs="+", help="only these of the recipe's seeds")
    parser.add_argument("--arm", nargs="+", help="only these arms")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")

    from bakeoff_recipe import read_recipe

    from hf_rap.errors import RapError

    try:
        recipe = read_recipe(options.recipe)
        check_same(recipe, options.work)
        if not options.report:
            run(recipe, options.work, options.seed or list(range(recipe.seeds)), options.arm or list(recipe.arms))
        from bakeoff_report import report

        print(report(recipe, options.work, options.seed, options.arm))
    except RapError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
