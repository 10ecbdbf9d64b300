"""The page about selections: its tables are what the methods say of themselves, its links lead somewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "selection.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_tables_of_reasons_are_those_of_the_methods(monkeypatch):
    """Rendered again by the script that writes them."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    from render_reasons import with_tables

    assert "| `never_solved` | dropped |" in TEXT
    assert with_tables(TEXT) == TEXT


@pytest.mark.slow
def test_tables_of_floors_are_those_of_the_benchmark():
    """`python benchmarks/floors.py` prints what the page shows."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "floors.py")], capture_output=True, text=True, check=True
    )
    assert f"<!-- benchmarks/floors.py -->\n\n{done.stdout.rstrip()}\n\n<!-- end -->" in TEXT


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(((?!http).*?)\)", TEXT))))
def test_links_lead_somewhere(target):
    assert (PAGE.parent / target).exists()
