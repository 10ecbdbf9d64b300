"""What the package imports is what it declares."""

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

tomllib = pytest.importorskip("tomllib", reason="Python 3.10 reads no TOML")

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

# Libraries of the extras; whatever needs one says which extra brings it.
EXTRA_OF = {"ray": "ray", "evaluate": "train", "sklearn": "probe"}
# Files that a trainer or `evaluate` loads, in whose environment these are; and the one that is loaded where vLLM is.
LOADED_BY = {
    "training/ms_swift.py": {"swift"},
    "training/openrlhf.py": {"torch"},
    "training/mm_eureka.py": {"torch"},
    "metrics/": {"evaluate"},
    "engines/vllm_model.py": {"vllm"},
}
# What math-verify computes with, and pins to one version: a bound of ours could only contradict it.
BROUGHT_BY = {"sympy": "math-verify", "latex2sympy2_extended": "math-verify", "antlr4": "math-verify"}
# Dependencies that no line imports.
NEEDED_BY_OTHERS = {"accelerate": "transformers, for a model over several GPUs (device_map)"}


def normal(name: str) -> str:
    """A distribution's name, as packaging compares names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(requirements: list[str]) -> set[str]:
    """The distributions that these requirements name."""
    return {normal(re.match(r"[\w.-]+", requirement)[0]) for requirement in requirements}


def imports(tree: ast.AST, *, guarded: bool = False, inside: bool = False) -> Iterator[tuple[str, bool, bool]]:
    """Each library that a file imports, whether an ImportError is caught, and whether it is inside a function.

    Left out are the standard library, the package itself and what is imported for type checkers alone.
    """
    for node in ast.iter_child_nodes(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
        for name in (name.partition(".")[0] for name in names):
            if name not in {*sys.stdlib_module_names, "hf_rap"}:
                yield name, guarded, inside
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        catches = isinstance(node, ast.Try) and any("ImportError" in ast.unparse(each) for each in node.handlers)
        function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        yield from imports(node, guarded=guarded or catches, inside=inside or function)


@pytest.fixture(scope="module")
def uses():
    """Each file of the package with each library that it imports, and how."""
    return [
        (path.relative_to(ROOT / "hf_rap").as_posix(), *use)
        for path in sorted((ROOT / "hf_rap").rglob("*.py"))
        for use in imports(ast.parse(path.read_text()))
    ]


@pytest.fixture(scope="module")
def distributions():
    """The distributions that bring each library."""
    return {name: set(map(normal, names)) for name, names in packages_distributions().items()}


def test_what_is_imported_is_declared(uses, distributions):
    """Not left to a dependency that happens to bring it: as a dependency, or, where an ImportError is caught, not."""
    undeclared = set()
    for file, library, guarded, inside in uses:
        of_library = distributions.get(library, {library}) | {BROUGHT_BY.get(library, library)}
        extra = EXTRA_OF.get(library)
        loaded = any(file.startswith(start) and library in names for start, names in LOADED_BY.items())
        if extra is not None:
            assert of_library & declared(PROJECT["optional-dependencies"][extra]), library
        if not (of_library & declared(PROJECT["dependencies"]) or loaded or guarded or (extra is not None and inside)):
            undeclared.add((file, library))
    assert undeclared == set()


def test_what_is_declared_is_imported(uses, distributions):
    """Nobody installs what is not used; each exception has its reason."""
    imported = set().union(*(distributions.get(library, set()) for _, library, _, _ in uses))
    assert declared(PROJECT["dependencies"]) - imported == set(NEEDED_BY_OTHERS)


def test_an_import_is_seen_wherever_it_stands():
    """The tests above do see one inside a function, behind a guard and under another name; not one for type checkers."""
    code = """
import os, numpy.linalg as n
from . import neighbour
if TYPE_CHECKING:
    import mypy
def f():
    from yaml.nodes import Node
    try:
        import trackio
    except (ImportError, OSError):
        pass
"""
    assert list(imports(ast.parse(code))) == [
        ("numpy", False, False),
        ("yaml", False, True),
        ("trackio", True, True),
    ]
