"""The front page of the package: its names are loaded when they are taken, and are there however they are taken."""

import ast
import inspect
import json
import pickle
import pkgutil
import pydoc
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import hf_rap

FRONT_PAGE = Path(hf_rap.__file__)
NAMES = sorted(set(hf_rap.__all__) - {"__version__"})
ROOMS = {path.stem for path in FRONT_PAGE.parent.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}

HEAVY = {"torch", "transformers", "datasets", "pyarrow", "numpy", "matplotlib", "sympy", "PIL", "huggingface_hub"}


def printed(code: str) -> str:
    """What `code` prints in a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded_by(code: str) -> set[str]:
    """The modules that are loaded after running `code` in a fresh interpreter."""
    return set(printed(f"{code}\nimport sys\nprint()\nprint(*sys.modules)").splitlines()[-1].split())


def of_hf_rap(modules: set[str]) -> set[str]:
    """Those of them that belong to the package."""
    return {name for name in modules if name.split(".")[0] == "hf_rap"}


def test_importing_the_package_loads_nothing_else():
    """Two small files; no click, and no heavy library."""
    loaded = loaded_by("import hf_rap")
    assert of_hf_rap(loaded) == {"hf_rap", "hf_rap.version"}
    assert loaded & {*HEAVY, "click"} == set()


def test_help_loads_no_command():
    """The list of commands is printed from a table."""
    loaded = loaded_by("from hf_rap.cli import cli\ncli(['--help'], standalone_mode=False)")
    assert of_hf_rap(loaded) == {"hf_rap", "hf_rap.version", "hf_rap.errors", "hf_rap.cli"}
    assert loaded & HEAVY == set()
    assert "click" in loaded


def test_no_public_name_loads_a_heavy_library():
    """Neither do all of them together; the libraries are loaded by the work itself."""
    assert loaded_by("from hf_rap import *") & HEAVY == set()


def test_the_light_import_tests_can_fail():
    """They do see a heavy import where there is one."""
    assert "numpy" in loaded_by("import hf_rap, numpy") & HEAVY


def test_the_imports_for_type_checkers_are_the_tables():
    """What a person and a type checker read is what is loaded: first all of `__all__`, then types to name."""
    blocks = [node for node in ast.parse(FRONT_PAGE.read_text()).body if ast.unparse(node).startswith("if TYPE_CHECK")]
    names, types = ({alias.name: node.module for node in block.body for alias in node.names} for block in blocks)
    assert sorted(names) == NAMES
    assert sorted(types) == sorted(name for homes in hf_rap._TYPES.values() for name in homes.split())
    assert names | types == hf_rap._HOME_OF
    # Without `as`, a strict type checker would not let others take them from here.
    assert all(alias.asname == alias.name for node in blocks[1].body for alias in node.names)


def annotations_of(value) -> set[str]:
    """The words in what it says about its arguments, its result and, for a class, its public attributes and methods."""
    parts = [value]
    if inspect.isclass(value):
        parts += [
            part.fget if isinstance(part, property) else part for name, part in vars(value).items() if name[0] != "_"
        ]
    texts = (str(text) for part in parts for text in getattr(part, "__annotations__", {}).values())
    return {word for text in texts for word in re.findall(r"\w+", text)}


def classes_of_hf_rap() -> set[str]:
    """Their names, but for errors, which are in `hf_rap.errors`, and what begins with an underscore."""
    trees = [
        ast.parse(path.read_text(encoding="utf-8"))
        for path in FRONT_PAGE.parent.rglob("*.py")
        if path.name != "errors.py"
    ]
    return {node.name for tree in trees for node in tree.body if isinstance(node, ast.ClassDef) and node.name[0] != "_"}


# What one of your own is made of, beside what the functions take and give.
TO_IMPLEMENT = ("Collector", "Column", "Completion", "Engine", "Layout", "Method", "Selection")


@pytest.mark.slow
def test_what_public_functions_take_and_give_can_be_named():
    """`from hf_rap import Held`, to annotate or to make one."""
    functions = [name for name in NAMES if not inspect.isclass(getattr(hf_rap, name))]
    words = set().union(*(annotations_of(getattr(hf_rap, name)) for name in (*functions, *TO_IMPLEMENT)))
    assert words & classes_of_hf_rap() - set(hf_rap._HOME_OF) == set()
    wanted = "Column Collector SourceInfo describe_source Handoff Difference Estimate Inspection Held EpochReport"
    assert set(wanted.split()) <= set(hf_rap._HOME_OF)


@pytest.mark.slow
def test_the_test_of_types_can_fail():
    """It reads what stands in the annotations."""
    assert {"Held"} <= annotations_of(hf_rap.list_runs) & classes_of_hf_rap()


def test_no_public_name_is_that_of_a_room():
    """Importing the room would put it in the place of the name."""
    assert set(NAMES) & ROOMS == set()


# Files for inside trainers, for `evaluate` and for vLLM, and the one that runs the command.
NOT_ON_THEIR_OWN = (
    "hf_rap.__main__",
    "hf_rap.metrics.",
    "hf_rap.training.openrlhf",
    "hf_rap.training.mm_eureka",
    "hf_rap.training.ms_swift",
    "hf_rap.engines.vllm_model",
)


def test_every_name_is_its_own_object_after_all_modules_are_loaded():
    """Importing a module sets it as an attribute of its package, which must hide no public name."""
    for module in pkgutil.walk_packages(hf_rap.__path__, "hf_rap."):
        if not module.name.startswith(NOT_ON_THEIR_OWN):
            import_module(module.name)
    for name, home in hf_rap._HOME_OF.items():
        assert getattr(hf_rap, name) is getattr(import_module(f"hf_rap.{home}"), name)
        assert not inspect.ismodule(getattr(hf_rap, name)), name


def test_a_star_import_brings_exactly_the_public_names():
    """As `__all__` lists them."""
    code = "from hf_rap import *\nprint(*sorted(name for name in list(globals()) if name[0] != '_'))"
    assert printed(code).split() == NAMES


def test_dir_and_pydoc_show_the_public_names():
    """Before any of them was taken."""
    assert json.loads(printed("import json, hf_rap\nprint(json.dumps(dir(hf_rap)))")) == sorted(hf_rap.__all__)
    page = pydoc.plain(pydoc.render_doc(hf_rap))
    assert "class Rollouts(" in page
    assert re.search(r"\bselect_cognitive\(\s*ds:", page)  # over several lines since Python 3.13


def test_a_room_is_there_beside_the_functions_named_after_it():
    """`hf_rap.select` is the room and `hf_rap.select_cognitive` a function of it, whichever is taken first."""
    code = "import hf_rap\nprint(hf_rap.{}.__name__, hf_rap.{}.__name__, hf_rap.{}.__name__)"
    assert printed(code.format("select", "select_cognitive", "stability")) == (
        "hf_rap.select select_cognitive stability\n"
    )
    assert printed(code.format("stability", "select_cognitive", "select")) == (
        "stability select_cognitive hf_rap.select\n"
    )


def test_a_wrong_name_is_an_attribute_error():
    """With Python's own words, so that `hasattr` and `from hf_rap import` behave as ever."""
    with pytest.raises(AttributeError, match=r"^module 'hf_rap' has no attribute 'Rolouts'$"):
        hf_rap.Rolouts  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'Rolouts' from 'hf_rap'"):
        exec("from hf_rap import Rolouts")
    assert not hasattr(hf_rap, "__wrapped__")
    assert not hasattr(hf_rap, "__main__")


def test_a_library_that_a_room_misses_is_named(tmp_path, monkeypatch):
    """It is not mistaken for a room that does not exist."""
    (tmp_path / "broken_room.py").write_text("import no_such_library\n")
    monkeypatch.setattr(hf_rap, "__path__", [*hf_rap.__path__, str(tmp_path)])
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'no_such_library'$"):
        hf_rap.broken_room  # noqa: B018


def test_classes_and_functions_are_pickled_under_their_home():
    """Another process reads them without having imported the package."""
    written = pickle.dumps([hf_rap.CDEScore(min_cde=0.25), hf_rap.cde_score, hf_rap.Rollouts])
    code = f"import pickle\nprint(*pickle.loads({written!r}), sep=chr(10))"
    assert printed(code).splitlines() == [
        repr(hf_rap.CDEScore(min_cde=0.25)),
        repr(hf_rap.cde_score),
        "<class 'hf_rap.evidence.rollouts.Rollouts'>",
    ]
