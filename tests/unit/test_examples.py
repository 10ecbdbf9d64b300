"""The examples in the docstrings of scorers and selection."""

import doctest
import importlib

import pytest

MODULES = (
    "demo.chains",
    "process.steps",
    "psi",
    "scorers.ace",
    "scorers.base",
    "scorers.bis",
    "scorers.cde",
    "scorers.difficulty",
    "scorers.likelihood_cde",
    "scorers.limr",
    "select",
    "select.base",
    "select.rap",
    "select.difficulty",
    "select.released",
    "select.top",
    "verify.golds",
)


@pytest.mark.parametrize("module", MODULES)
def test_docstring_examples_run(module):
    """Each module has examples, and they print what they say."""
    result = doctest.testmod(importlib.import_module(f"hf_rap.{module}"))
    assert result.attempted > 0
    assert result.failed == 0
