"""What an update is worth: rows asked again, and how near the selection is to that of asking everything again.

    python benchmarks/update.py CHECKPOINTS                       # folder of benchmarks/checkpoints.py --folder
    python benchmarks/update.py CHECKPOINTS --trained VERSION REWARDS MODEL

For the checkpoints the log of the training is eight replies by the later model to each row that the band of pass rates selects. With --trained a real one: a version
that was trained on with `scripts/train_grpo.py --log-rewards REWARDS`, and the model that came of it; its planted rows are scored whole
for the comparison. Evidence that stands in CHECKPOINTS is not made again. docs/update.md has what it prints.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from datasets import Dataset

from hf_rap import Rollouts, TransformersEngine, collect_evidence
from hf_rap.demo import make_planted
from hf_rap.hub.reporting import open_decided
from hf_rap.select import Selection, select_cognitive
from hf_rap.select.comparison import jaccard, kept_flags, with_scores
from hf_rap.select.stability import stability
from hf_rap.select.trained import rewards_by_row
from hf_rap.select.update import ASKED, BEFORE, LOGGED, Plan, apply_update, describe_update, plan_update

BOUNDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
RULES = ("difficulty", "rap")
OF_LOG = 8


def score(model: Path, rows: Dataset, file: Path, **options: Any) -> Dataset:
    """The evidence of a model on these rows, from the file where it is there."""
    if not file.exists():
        rollouts = Rollouts(TransformersEngine(str(model)), max_new_tokens=64, **options)
        evidence = collect_evidence(rows, rollouts)
        evidence.remove_columns([name for name in evidence.column_names if not name.startswith("rap_")]).to_parquet(
            file
        )
    return Dataset.from_parquet(str(file))


def at_random(plan: Plan, seed: int) -> Plan:
    """As many rows asked, but any of those that are readable."""
    can = np.flatnonzero(plan.chance >= 0)
    source = np.where(plan.source == LOGGED, LOGGED, BEFORE).astype(object)
    source[np.random.default_rng(seed).choice(can, len(plan.ask), replace=False)] = ASKED
    return Plan(source, plan.chance, plan.shift, plan.ask_above)


def measure(name: str, old: Selection, new: Dataset, rewards: list[Any], others: list[Dataset]) -> None:
    """A line per bound: the update, one without the log, and as many random rows, against the selection by all of `new`."""
    rule = {**old.rule, **old.rule.get("asked", {})}
    method = rule["method"]
    whole = select_cognitive(with_scores(new), method=method)
    ceiling = stability(whole.scored, whole.rule, attempts=()).jaccard
    flags = kept_flags(whole)
    reruns = [jaccard(flags, kept_flags(select_cognitive(with_scores(other), method=method))) for other in others]
    print(
        f"\n{name}, {method}: {len(old.kept_rows)} rows kept before, {len(whole.kept_rows)} by asking all; untouched "
        f"{jaccard(kept_flags(old), flags):.3f}, expected of a rerun {ceiling:.3f}"
        + "".join(f", a rerun {rerun:.3f}" for rerun in reruns)
    )
    print("| bound | rows asked | tokens | changed of those drawn | overlap | as many random rows |")
    print("|---:|---:|---:|---:|---:|---:|")
    for bound in BOUNDS:
        plan = plan_update(old, rewards, ask_above=bound)
        updated = apply_update(old, plan, new.select(plan.ask), rewards, {"engine": "training log"})
        facts = describe_update(old, plan, updated)
        random = []
        for seed in range(5):
            drawn = at_random(plan, seed)
            by_chance = apply_update(old, drawn, new.select(drawn.ask), rewards, {"engine": "training log"})
            random.append(jaccard(kept_flags(by_chance), flags) or 0)
        print(
            f"| {bound:g} | {len(plan.ask) / len(new):.0%} | {facts['tokens'] / max(facts['tokens_for_all'], 1):.0%} | "
            f"{facts['changed']['drawn']} of {facts['rows']['drawn']} | {jaccard(kept_flags(updated), flags):.3f} | "
            f"{np.mean(random):.3f} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--rerun", action="store_true", help="score the trained model once more: what a rerun really gives"
    )
    parser.add_argument("--trained", nargs=3, metavar=("VERSION", "REWARDS", "MODEL"))
    given = parser.parse_args()
    datasets.disable_progress_bars()
    if given.trained:
        version, rewards, model = given.trained
        chosen = open_decided(version).selection
        rows = make_planted(len(chosen.scored))
        seeds = (0, 1) if given.rerun else (0,)
        new, *again = (score(Path(model), rows, given.folder / f"trained-{seed}.parquet", seed=seed) for seed in seeds)
        old_rows = chosen.scored.select_columns(
            [name for name in chosen.scored.column_names if name in new.column_names]
        )
        log = rewards_by_row(old_rows, rewards)
        print(f"log: steps {log.steps}, {log.attempts} rewards of {log.rows} rows, {log.earlier} rows earlier alone")
        for method in RULES:
            measure("trained", select_cognitive(with_scores(old_rows), method=method), new, log.rewards, again)
        return
    start = Dataset.from_parquet(str(given.folder / "start.parquet"))
    rows = make_planted(len(start))
    for steps in (20, 100):
        new = Dataset.from_parquet(str(given.folder / f"after-{steps}.parquet"))
        trained = select_cognitive(with_scores(start), method="difficulty").kept_rows
        file, model = given.folder / f"log-after-{steps}.parquet", given.folder / f"after-{steps}-steps"
        seen = score(model, rows.select(trained), file, attempts=OF_LOG, seed=7, arm="image")
        rewards: list[Any] = [None] * len(start)
        for row, graded in zip(trained, seen["rap_image_rewards"], strict=True):
            rewards[row] = graded
        for method in RULES:
            measure(f"after {steps}", select_cognitive(with_scores(start), method=method), new, rewards, [])


if __name__ == "__main__":
    main()
