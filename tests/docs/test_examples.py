"""The examples in docstrings run and print what they say, wherever they stand."""

import ast
import doctest
import importlib
import inspect
import re
from pathlib import Path

import pytest

import hf_rap
from hf_rap.demo import MODEL, make_planted

PACKAGE = Path(__file__).parents[2] / "hf_rap"


def name_of(path: Path) -> str:
    """The module that a file is."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


PROMPT = re.compile(r"^ *>>> ", re.MULTILINE)
EXAMPLES = {name_of(path): len(PROMPT.findall(path.read_text())) for path in sorted(PACKAGE.rglob("*.py"))}
MODULES = [module for module, examples in EXAMPLES.items() if examples]


@pytest.mark.parametrize("module", MODULES)
def test_docstring_examples_run(module):
    """They print what they say, and none stands where it would not be found."""
    result = doctest.testmod(importlib.import_module(module))
    assert (result.attempted, result.failed) == (EXAMPLES[module], 0)


def test_the_front_page_runs():
    """The lines in the docstring of the package, up to the one that needs the Hub: that one is a call that could be."""
    lines = hf_rap.__doc__.split("\n\n", 1)[1]
    *steps, last = ast.parse(lines).body
    names = {name: getattr(hf_rap, name) for name in hf_rap.__all__}
    names |= {"ds": make_planted(6), "model": str(MODEL)}
    exec(compile(ast.Module(steps, []), "hf_rap", "exec"), names)
    assert len(names["scored"]) == 6
    assert names["selection"].scored["rap_cde"][:] == names["scored"]["rap_cde"][:]
    call = last.value
    assert call.func.id == "publish"
    options = {option.arg: ast.literal_eval(option.value) for option in call.keywords}
    inspect.signature(hf_rap.publish).bind(names[call.args[0].id], ast.literal_eval(call.args[1]), **options)


def test_examples_are_found():
    """The functions that everybody uses have examples."""
    assert {"hf_rap.scorers.cde", "hf_rap.select.cognitive", "hf_rap.stats.thresholds"} <= set(MODULES)
