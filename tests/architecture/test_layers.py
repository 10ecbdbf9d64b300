"""The plan of the house: rooms, floors and arrows. `python tests/architecture/test_layers.py` draws it."""

import ast
import sys
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "hf_rap"

# From the ground up, in the order in which a row walks: a room imports only from rooms before it. A room is a folder
# or a file at the top of the package; inside a room the files may stand in any order, but not in a circle.
ROOMS = [
    *("version", "errors", "options", "plugins", "papers", "system", "columns", "tables"),
    *("verify", "stats", "rows", "engines", "evidence", "scorers", "runs", "adaptive", "select"),
    *("process", "exports", "reports", "versions", "hub"),
    *("training", "metrics", "demo", "environment", "cli"),
    *("__main__", ""),
]


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name below hf_rap."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


@cache
def tree(name: str) -> ast.Module:
    """A module, parsed."""
    return ast.parse(MODULES[name].read_text())


@cache
def imports(name: str) -> set[str]:
    """The modules of hf_rap that a module imports anywhere, type checking included."""
    path = MODULES[name]
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    package = [part for part in package if part]
    found = set()
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.ImportFrom):
            parts = (node.module or "").split(".") if node.module else []
            if node.level:
                parts = [*package[: len(package) - node.level + 1], *parts]
            elif parts[:1] == ["hf_rap"]:
                parts = parts[1:]
            else:
                continue
            for alias in node.names:
                deeper = ".".join([*parts, alias.name])
                found.add(deeper if deeper in MODULES else ".".join(parts))
        elif isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
            found |= {".".join(parts[1:]) for parts in names if parts[0] == "hf_rap"}
    return found - {name}


def room(module: str) -> str:
    """The folder or top-level file that a module belongs to."""
    return module.split(".", maxsplit=1)[0]


def arrows() -> dict[str, set[str]]:
    """The other rooms that each room imports from; the package's own front page does not count."""
    found: dict[str, set[str]] = {name: set() for name in map(room, MODULES) if name not in ("", "__main__")}
    for module in MODULES:
        if room(module) in found:
            found[room(module)] |= {room(other) for other in imports(module)} - {room(module), ""}
    return found


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Names that import each other in a circle, in its order; none where there is no circle."""
    done: set[str] = set()

    def walk(name: str, way: list[str]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        for other in () if name in done else sorted(graph[name]):
            if found := walk(other, [*way, name]):
                return found
        done.add(name)
        return []

    return next((found for name in sorted(graph) if (found := walk(name, []))), [])


def drawing() -> str:
    """Rooms by floor, the ground floor last, each with the rooms it imports from."""
    graph = arrows()
    floors: dict[str, int] = {}
    for name in ROOMS:
        if name in graph:
            floors[name] = max((1 + floors[other] for other in graph[name]), default=0)
    lines = [
        f"{floors[name]:>3}  {name:<9} <- {' '.join(sorted(graph[name], key=ROOMS.index))}".rstrip(" <-")
        for name in sorted(graph, key=lambda name: (-floors[name], ROOMS.index(name)))
    ]
    total = sum(map(len, graph.values()))
    return "\n".join([f"{len(graph)} rooms, {1 + max(floors.values())} floors, {total} arrows", *lines])


def test_every_room_has_its_place():
    """A new room has to say where it stands; a new file in a room has not."""
    assert {room(module) for module in MODULES} == set(ROOMS)


def test_rooms_import_from_rooms_below():
    """A room imports only from rooms that stand before it."""
    backwards = {
        f"{name} imports {other}"
        for name, others in arrows().items()
        for other in others
        if ROOMS.index(other) >= ROOMS.index(name)
    }
    assert backwards == set()


def test_no_modules_import_each_other_in_a_circle():
    """Not even through names that are only imported for type checking."""
    assert circle({name: imports(name) & set(MODULES) for name in MODULES}) == []


def test_a_circle_is_found():
    """The test above does see a circle where there is one."""
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]


def test_the_house_stays_small():
    """About as many rooms as a person remembers, and few ways between them."""
    assert len(arrows()) <= 27
    assert sum(map(len, arrows().values())) <= 152


def rooms_entered(run) -> set[str]:
    """The rooms whose code runs during `run()`; the words that all use (`columns`, `errors`, `options`, `tables`, `version`) are none."""
    entered = set()

    def note(frame, event, _):
        parts = frame.f_globals.get("__name__", "").split(".")
        if event == "call" and parts[0] == "hf_rap" and len(parts) > 1:
            entered.add(parts[1])

    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(None)
    return entered - {"columns", "errors", "options", "plugins", "tables", "version"}


@pytest.mark.slow
def test_a_selection_passes_seven_rooms_into_a_folder(tmp_path):
    """As CONTRIBUTING draws it."""
    from datasets import load_dataset

    from hf_rap.select import select_cognitive
    from hf_rap.versions.folder import publish_to_folder

    saved = Path(__file__).parents[1] / "saved" / "flat_house" / "scored.parquet"
    scored = load_dataset("parquet", data_files=str(saved), split="train")
    selection = select_cognitive(scored, min_cde=0.2, max_ace=None)
    entered = rooms_entered(lambda: publish_to_folder(selection, tmp_path / "version"))
    assert entered == {"versions", "select", "stats", "verify", "rows", "exports", "system"}


# OpenRLHF and MM-EUREKA take their rewards as tensors; these run only inside of them.
IN_TRAINERS = {"training.openrlhf", "training.mm_eureka"}


@pytest.mark.parametrize("library", ["torch", "transformers"])
def test_only_engines_import_the_heavy_libraries(library):
    """Outside hf_rap/engines nothing imports torch or transformers, not even inside a function."""
    users = set()
    for name in MODULES:
        for node in ast.walk(tree(name)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            if any(each.split(".")[0] == library for each in names):
                users.add(name)
    assert {name for name in users if not name.startswith("engines")} - IN_TRAINERS == set()


if __name__ == "__main__":
    print(drawing())
