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


def test_tables_of_the_bake_off_are_those_of_its_results(monkeypatch):
    """Rendered again from docs/evidence/bakeoff-shortcuts.json: ten seeds of four arms, five of four."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from bakeoff_report import kind_table, result_table, rows_table, seed_table
    from bakeoff_verdict import TOKENS, Results

    results = json.loads((ROOT / "docs" / "evidence" / "bakeoff-shortcuts.json").read_text())
    page = (ROOT / "docs" / "measurements" / "bakeoff.md").read_text(encoding="utf-8")
    found = Results(results)
    for table in (
        rows_table(found),
        result_table(found, (TOKENS,)),
        kind_table(found),
        seed_table(found, ("hint", "caption")),
    ):
        assert table in page
    seeds = {arm: sorted(runs) for arm, runs in found.runs.items()}
    ten = ("whole pool", "random", "rap", "band")
    assert seeds == {arm: list(range(10 if arm in ten else 5)) for arm in seeds}
    assert len(seeds) == 8
