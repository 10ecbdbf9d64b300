"""The examples in docstrings run and print what they say, wherever they stand."""

import doctest
import importlib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "hf_rap"


def name_of(path: Path) -> str:
    """The module that a file is."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = sorted(name_of(path) for path in PACKAGE.rglob("*.py") if ">>> " in path.read_text())


@pytest.mark.parametrize("module", MODULES)
def test_docstring_examples_run(module):
    """They print what they say."""
    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted > 0
    assert result.failed == 0


def test_examples_are_found():
    """The functions that everybody uses have examples."""
    assert {"hf_rap.scorers.cde", "hf_rap.select.cognitive", "hf_rap.stats.thresholds"} <= set(MODULES)
