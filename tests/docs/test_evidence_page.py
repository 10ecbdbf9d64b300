"""The page of evidence: its tables follow from the results beside it, its pictures and commands exist."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "evidence.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_tables_of_training_are_those_of_the_results(monkeypatch):
    """Rendered again from docs/evidence/training-wasteful.json, which the benchmark wrote."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from training_report import tables

    results = json.loads((ROOT / "docs" / "evidence" / "training-wasteful.json").read_text())
    assert tables(results) in TEXT
    runs = {(run["seed"], run["arm"]) for run in results["runs"]}
    assert runs == {(seed, arm) for seed in range(5) for arm in results["plan"]["arms"]}


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(((?!http).*?)\)", TEXT))))
def test_links_lead_somewhere(target):
    assert (PAGE.parent / target).exists()
