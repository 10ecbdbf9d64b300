"""Names say what a thing is: no pronoun is a name in a public signature, nor of what stands for more than three lines."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "hf_rap"
PRONOUNS = {"one", "ones", "found", "asked", "told", "known", "said", "it", "them", "thing", "things", "stuff"}
# One rule of a word: what has it as a public name, and no other.
WORDS = {
    "rule": ("stats", "rows", "engines", "evidence", "runs", "adaptive", "exports"),  # what decides which rows are kept
    "compare": ("versions", "hub"),  # methods; versions have a difference
    "control": ("versions", "hub"),  # what the image is compared with; beside a selection stands a random_control
}
# Stages of a curriculum are called one and two; `control=` of publishing is the old name, see tests/test_old_names.py.
BUT = {("Stages", "one"), ("publish", "control"), ("publish_to_folder", "control")}


def modules():
    """Path below the package and tree of every module."""
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).parts, ast.parse(path.read_text(encoding="utf-8"))


def functions(tree):
    return [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]


def public_names(tree):
    """Of functions and classes (owner, name): those of their arguments, public fields, and they themselves."""
    for node in functions(tree):
        if not node.name.startswith("_") or node.name in ("__call__", "__init__"):
            arguments = (
                *node.args.posonlyargs,
                *node.args.args,
                *node.args.kwonlyargs,
                node.args.vararg,
                node.args.kwarg,
            )
            yield from ((node.name, argument.arg) for argument in arguments if argument is not None)
            yield node.name, node.name
    for node in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
        fields = [part.target for part in node.body if isinstance(part, ast.AnnAssign)]
        yield from ((node.name, target.id) for target in fields if isinstance(target, ast.Name) and target.id[0] != "_")


def long_locals(tree):
    """Names of functions with the lines from the first use to the last: (function, name, lines)."""
    for node in functions(tree):
        lines = {}
        for name in (part for part in ast.walk(node) if isinstance(part, ast.Name)):
            lines.setdefault(name.id, []).append(name.lineno)
        yield from ((node.name, name, max(at) - min(at)) for name, at in lines.items())


def test_no_public_name_is_a_pronoun():
    """Of an argument, a field, a function."""
    names = {(parts, *name) for parts, tree in modules() for name in public_names(tree)}
    assert len(names) > 2_000
    assert [name for name in sorted(names) if name[2] in PRONOUNS and name[1:] not in BUT] == []


def test_no_local_that_stands_for_long_is_a_pronoun():
    """More than three lines from its first use to its last."""
    names = [(parts, *name) for parts, tree in modules() for name in long_locals(tree)]
    assert [name for name in names if name[2] in PRONOUNS and name[3] > 3] == []


def test_one_word_is_one_thing():
    """In the rooms that mean something else by it, it is no public name."""
    names = {(parts, *name) for parts, tree in modules() for name in public_names(tree)}
    wrong = [name for name in sorted(names) if name[0][0] in WORDS.get(name[2], ()) and name[1:] not in BUT]
    assert wrong == []


def test_the_tests_of_names_can_fail():
    """They see arguments, fields, functions and locals."""
    tree = ast.parse("class Own:\n    told: int\n\ndef compare(rule, *, one):\n    found = 1\n\n\n\n    return found")
    assert {("Own", "told"), ("compare", "rule"), ("compare", "one"), ("compare", "compare")} <= set(public_names(tree))
    assert ("compare", "found", 4) in set(long_locals(tree))
