"""The examples in docstrings run and print what they say, wherever they stand."""

import ast
import doctest
import importlib
import inspect
import re
from itertools import pairwise
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


NOT_RUN = re.compile(r"^ *>>> (.*)  # doctest: \+SKIP$", re.MULTILINE)


def below_assignments(path: Path) -> str:
    """What is said of names of a module, below where they are set: `doctest` looks into functions and classes alone."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return "\n".join(
        ast.literal_eval(text.value)
        for name, text in pairwise(body)
        if isinstance(name, ast.Assign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
    )


@pytest.mark.parametrize("module", MODULES)
def test_docstring_examples_run(module):
    """They print what they say, and none stands where it would not be found."""
    found = importlib.import_module(module)
    result = doctest.testmod(found)
    attempted, failed = result.attempted, result.failed
    named = doctest.DocTestParser().get_doctest(
        below_assignments(Path(found.__file__)), vars(found).copy(), module, None, 0
    )
    further = doctest.DocTestRunner().run(named)
    left_out = len(NOT_RUN.findall(Path(found.__file__).read_text(encoding="utf-8")))
    assert (attempted + further.attempted + left_out, failed + further.failed) == (EXAMPLES[module], 0)


def test_examples_that_need_a_model_or_the_hub_are_calls_that_could_be():
    """Their options exist, and what has to be given is given."""
    lines = [line for path in PACKAGE.rglob("*.py") for line in NOT_RUN.findall(path.read_text(encoding="utf-8"))]
    assert len(lines) >= 5
    for line in lines:
        (step,) = ast.parse(line).body
        call = step.value
        options = {option.arg: ast.literal_eval(option.value) for option in call.keywords}
        inspect.signature(getattr(hf_rap, call.func.id)).bind(*call.args, **options)


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
