"""The page about floors shows what its benchmark prints."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_tables_of_floors_are_those_of_the_benchmark():
    """`python benchmarks/floors.py` prints what the page shows."""
    text = (ROOT / "docs" / "measurements" / "floors.md").read_text(encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "floors.py")], capture_output=True, text=True, check=True
    )
    assert f"<!-- benchmarks/floors.py -->\n\n{done.stdout.rstrip()}\n\n<!-- end -->" in text
