"""Do two rules, or two checkpoints of one model, select the same rows? Overlap of selections, beside that of a rerun.

    python benchmarks/checkpoints.py [--rows 400] [--attempts 5] [--steps 20] [--folder FOLDER]

The built-in model is scored twice, with two seeds: what a rerun really gives. Then it is taught to guess for so many steps
(benchmarks/training_start.py), and each of these checkpoints is scored. Evidence that stands in FOLDER is not made again.
docs/measurements/rules.md has what it prints for 400 rows.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import datasets
from datasets import Dataset
from training_start import make_start

from hf_rap import Rollouts, TransformersEngine, collect_evidence
from hf_rap.demo import MODEL, make_planted
from hf_rap.select.agreement import compare_models
from hf_rap.select.comparison import compare_methods

METHODS = ["rap", "rap-paper", "difficulty", "any-right", "learnability", "pass-gap", "hardest-tenth"]


def score(model: Path, rows: int, attempts: int, seed: int, file: Path) -> Dataset:
    """The evidence of a model on planted rows."""
    if not file.exists():
        rollouts = Rollouts(TransformersEngine(str(model)), attempts=attempts, seed=seed, max_new_tokens=64)
        evidence = collect_evidence(make_planted(rows), rollouts)
        evidence.remove_columns([name for name in evidence.column_names if not name.startswith("rap_")]).to_parquet(
            file
        )
    return Dataset.from_parquet(str(file))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--attempts", type=int, default=5)
    parser.add_argument("--steps", type=int, nargs="+", default=[20])
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    datasets.disable_progress_bars()
    evidence = {
        "start": score(Path(MODEL), given.rows, given.attempts, 0, folder / "start.parquet"),
        "rerun": score(Path(MODEL), given.rows, given.attempts, 1, folder / "rerun.parquet"),
    }
    for steps in given.steps:
        model = folder / f"after-{steps}-steps"
        if not model.exists():
            make_start(model, steps=steps)
        file = folder / f"after-{steps}.parquet"
        evidence[f"after {steps}"] = score(model, given.rows, given.attempts, 0, file)
    print(compare_methods(evidence["start"], "all"))
    print()
    print(compare_models(evidence, METHODS))


if __name__ == "__main__":
    main()
