"""The rows of a bake-off: the pool, what is held out, evidence, and the selections, each as TRL reads it."""

from __future__ import annotations

import json
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Any

import shortcuts
from bakeoff_recipe import BUILT_IN, RANDOM, WHOLE
from training_data import Clock

from hf_rap import Rollouts, TransformersEngine, add_scores, cde_score, collect_evidence, difficulty_score, load_source
from hf_rap.errors import SettingError
from hf_rap.exports.exporting import export
from hf_rap.rows.prompts import DEFAULT_PROMPT
from hf_rap.select import select_cognitive
from hf_rap.select.methods import find_method
from hf_rap.select.rules import RULES, tokens_of
from hf_rap.system import whole_file, whole_folder

if TYPE_CHECKING:
    from pathlib import Path

    import datasets
    from bakeoff_recipe import Recipe


def sources_of(recipe: Recipe, seed: int) -> tuple[datasets.Dataset, datasets.Dataset]:
    """Pool and held-out rows of one seed; the held-out rows are the same for every seed."""
    if recipe.pool == BUILT_IN:
        pool = shortcuts.make_pool(recipe.pool_rows or 200, seed=seed)
    else:
        pool = load_source(recipe.pool)
    if isinstance(recipe.held_out, int):
        order = list(range(len(pool)))
        Random("held out").shuffle(order)
        held_out, pool = pool.select(order[: recipe.held_out]), pool.select(sorted(order[recipe.held_out :]))
    else:
        held_out = shortcuts.make_held_out() if recipe.held_out == BUILT_IN else load_source(recipe.held_out)
    if recipe.held_out_rows is not None:
        held_out = held_out.select(range(min(recipe.held_out_rows, len(held_out))))
    if recipe.pool_rows is not None and recipe.pool_rows < len(pool):
        pool = pool.select(sorted(Random(f"pool {seed}").sample(range(len(pool)), recipe.pool_rows)))
    return pool, held_out


def prepare_held_out(recipe: Recipe, folder: Path) -> Path:
    """`folder/held-out`: rows as TRL would read them, and the kind of each."""
    there = folder / "held-out"
    if not there.exists():
        _, held_out = sources_of(recipe, 0)
        with whole_folder(there) as making:
            _write(held_out, making / "rows", prompt=DEFAULT_PROMPT)
            rows = _read(making / "rows")
            kinds = ["all"] * len(rows)
            if recipe.kind is not None:
                kinds = [str(kind) for kind in _column(held_out, recipe.kind, [str(each) for each in rows["id"]])]
            (making / "kinds.json").write_text(json.dumps(kinds))
    return there


def prepare_seed(recipe: Recipe, model: str, folder: Path, seed: int, *, device: str | None = None) -> dict[str, Any]:
    """Scores the pool of a seed with the model that is going to be trained, and selects.

    `folder/seed-N` then holds the scored pool, and the rows of each arm. Selections that the recipe has got since then are made from
    the same evidence.

    Returns:
        `rows` and `kinds` (kind -> rows) per arm; `scoring_tokens` per arm; `mean_reply`, the tokens of a reply with the
        image; the seconds of `rollouts` and `selecting`; `device`.

    """
    there = folder / f"seed-{seed}"
    if not there.exists():
        score(recipe, model, there, seed, device=device)
    about = there / "chosen.json"
    if about.exists():
        said = json.loads(about.read_text())
        if list(said["rows"]) == list(recipe.arms):
            return said
    clock = Clock()
    scored = _read(there / "scored")
    chosen = select(recipe, scored, seed)
    seconds = clock.lap()
    for arm, rows in chosen.items():
        if not arm_folder(there, arm).exists():
            _write(scored.select(rows), arm_folder(there, arm))
    kinds = list(map(str, scored[recipe.kind])) if recipe.kind in scored.column_names else []
    said = {
        **json.loads((there / "scoring.json").read_text()),
        "rows": {arm: len(rows) for arm, rows in chosen.items()},
        "kinds": {arm: dict(Counter(kinds[row] for row in rows)) if kinds else {} for arm, rows in chosen.items()},
        "scoring_tokens": {arm: scoring_tokens(recipe, arm, scored) for arm in chosen},
        "mean_reply": mean_reply(scored),
        "selecting": seconds,
    }
    with whole_file(about) as partial:
        partial.write_text(json.dumps(said))
    return said


def score(recipe: Recipe, model: str, there: Path, seed: int, *, device: str | None) -> None:
    """The evidence of a seed, and what it took; the text arm is left out where no rule reads it."""
    pool, _ = sources_of(recipe, seed)
    engine = TransformersEngine(
        model, device=device, dtype=recipe.dtype, processor_options=recipe.processor_options or None
    )
    loaded = engine.load()
    both = any("text" in rule_of(recipe, arm).arms for arm in recipe.selections)
    clock = Clock()
    rollouts = Rollouts(
        engine,
        attempts=recipe.attempts,
        arm=None if both else "image",
        max_new_tokens=recipe.max_new_tokens,
        temperature=recipe.temperature,
        seed=seed,
    )
    scored = add_scores(collect_evidence(pool, rollouts), *((cde_score,) if both else ()), difficulty_score)
    took = {"rollouts": clock.lap(), "device": loaded.describe()["device"]}
    with whole_folder(there) as making:
        (making / "scored").mkdir()
        scored.to_parquet(str(making / "scored" / "train.parquet"))
        (making / "scoring.json").write_text(json.dumps(took))


def arm_folder(there: Path, arm: str) -> Path:
    """Where the rows of an arm stand."""
    return there / arm.replace(" ", "-")


def rule_of(recipe: Recipe, arm: str) -> Any:
    """What the rule of a selection reads; of one that is not ours, all replies."""
    return RULES.get(str(recipe.selections[arm].get("method", "rap"))) or RULES["rap"]


def select(recipe: Recipe, scored: datasets.Dataset, seed: int) -> dict[str, list[int]]:
    """Arm -> positions of its rows. The whole pool is what could be asked; random is as large as the first selection."""
    usable = [row for row, error in enumerate(scored["rap_error"]) if error is None]
    chosen: dict[str, list[int]] = {}
    size = 0
    for arm, given in recipe.selections.items():
        options = dict(given)
        if size and find_method(options.get("method", "rap")).needs_budget:
            options.setdefault("budget", size)
        chosen[arm] = [int(row) for row in select_cognitive(scored, seed=seed, **options).kept_rows]
        size = size or len(chosen[arm])
    chance = select_cognitive(scored.select(usable), method="random", budget=max(1, min(size, len(usable))), seed=seed)
    return {WHOLE: usable, RANDOM: [usable[row] for row in chance.kept_rows], **chosen}


def scoring_tokens(recipe: Recipe, arm: str, scored: datasets.Dataset) -> int:
    """Tokens of the replies that the rule of an arm reads, in all rows of the pool."""
    return 0 if arm in (WHOLE, RANDOM) else tokens_of(scored, rule_of(recipe, arm)) or 0


def mean_reply(scored: datasets.Dataset) -> float:
    """Tokens of a reply with the image, mean over the pool."""
    tokens = [each for row in scored["rap_image_tokens"] for each in row or () if each is not None]
    return sum(tokens) / len(tokens)


def rows_of(folder: Path, arm: str) -> datasets.Dataset:
    """The rows of an arm, as TRL reads them."""
    return _read(arm_folder(folder, arm))


def _write(rows: datasets.Dataset, folder: Path, **options: Any) -> None:
    export(rows, folder, to="trl", fix=True, drop=True, **options)


def _read(folder: Path) -> datasets.Dataset:
    import datasets

    return datasets.Dataset.from_parquet(str(folder / "train.parquet"))


def _column(rows: datasets.Dataset, name: str, ids: list[str]) -> list[Any]:
    """The values of a column for the rows that were written, by id where the rows have one, else by place."""
    if "id" in rows.column_names:
        by_id = dict(zip(map(str, rows["id"]), rows[name], strict=True))
        if by_id.keys() >= set(ids):
            return [by_id[each] for each in ids]
    if len(ids) != len(rows):
        raise SettingError(
            f"{len(rows) - len(ids)} of {len(rows)} held-out rows cannot be asked, and no column `id` says which: leave kind "
            f"({name}) out of the recipe, or give the rows ids."
        )
    return list(rows[name])
