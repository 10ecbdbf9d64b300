"""The page about training: its tables follow from the results beside it."""

import json
from pathlib import Path

ROOT = Path(__file__).parents[2]
TRAINING = (ROOT / "docs" / "measurements" / "training.md").read_text(encoding="utf-8")


def test_tables_of_training_are_those_of_the_results(monkeypatch):
    """Rendered again from docs/evidence/training-wasteful.json, which the benchmark wrote."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from training_report import tables

    results = json.loads((ROOT / "docs" / "evidence" / "training-wasteful.json").read_text())
    assert tables(results) in TRAINING
    runs = {(run["seed"], run["arm"]) for run in results["runs"]}
    assert runs == {(seed, arm) for seed in range(5) for arm in results["plan"]["arms"]}
