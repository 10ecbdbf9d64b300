"""Plugins as people name and write them wrongly: each is made right, or told in a sentence before anything is read."""

import importlib
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from hf_rap import plugins
from hf_rap.cli.collect import find_collector
from hf_rap.errors import LayoutError, SettingError
from hf_rap.exports.trainers import find_trainer
from hf_rap.plugins import add_plugin
from hf_rap.rows.layouts import recognise_layout
from hf_rap.scorers import find_scorer
from hf_rap.select.methods import find_method

EXPORT = """
from hf_rap.exports.base import Accepts

class Lines:
    name, title, reads, accepts = "lines", "my trainer", "all", Accepts("none")

    def write(self, rows, features, target):
        list(rows)

    def snippet(self, given):
        return "train"
"""
SCORER = """
from hf_rap.columns import Column
from hf_rap.scorers import scorer

@scorer(reads=["rap_image_tokens"], writes=[Column("rap_own", "int32", "")])
def own(batch):
    return {"rap_own": [1 for _ in batch["rap_image_tokens"]]}
"""
METHOD = """
from hf_rap import Method

MINE = Method("mine", lambda ds, settings: [True] * len(ds), "rows")
"""
LAYOUT = """
from hf_rap import Layout

MINE = Layout(question="item_text", images="scan", answer="key")
OTHER = Layout(question="other_text", images="scan", answer="key")
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a module into the folder where the user works; what is named in a test is forgotten after it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plugins, "_named", {})
    monkeypatch.setattr(sys, "path", [*sys.path])
    loaded = set(sys.modules)

    def write(name, code):
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(code))
        importlib.invalidate_caches()

    yield write
    for name in set(sys.modules) - loaded:
        if name.startswith("own_"):
            del sys.modules[name]


@pytest.mark.parametrize(
    ("name", "code", "place", "says"),
    [
        ("own_a", METHOD, "own_a", "The plugin 'own_a' is named wrongly: it takes module:attribute"),
        ("own_a", METHOD, "own_a:", "The plugin 'own_a:' is named wrongly"),
        ("own_a", METHOD, "own_a.MINE", "The plugin 'own_a.MINE' is named wrongly"),
        ("own_a", METHOD, 3, "The plugin 3 is named wrongly"),
        ("own_a", METHOD, "own_b:MINE", "The plugin own_b:MINE cannot be imported: there is no module 'own_b' in "),
        ("own_a", METHOD, "own_a:MNIE", "The plugin own_a:MNIE is not there: own_a ("),
        ("own_a", "import no_such_library", "own_a:X", "ModuleNotFoundError: No module named 'no_such_library' (own_a.py, line 1)."),
        ("own_a", "x = 1\ny = x +", "own_a:X", "SyntaxError: invalid syntax (own_a.py, line 2)."),
        ("own_a", "x = 1\ny = 1 / 0", "own_a:X", "ZeroDivisionError: division by zero (own_a.py, line 2)."),
        ("own_a", "import sys\nsys.exit()", "own_a:X", "cannot be imported: SystemExit: SystemExit (own_a.py, line 2)."),
        ("own_a", "WIDTH = 0.5", "own_a:WIDTH", "is a float, and none of: a selection method, a layout, an export, an engine"),
        ("own_a", "NONE = None", "own_a:NONE", "is a NoneType, and none of"),
        ("own_a", METHOD + "\ndef decide(ds, s): ...", "own_a:decide", "is the plain function decide: a scorer is one below @scorer("),
        ("own_a", EXPORT.replace("def snippet", "def snipet"), "own_a:Lines", "is a Lines, which would be an export if it had `snippet`"),
        (
            "own_a",
            "class Own:\n    reads = writes = ()\n    def __call__(self, batch): ...",
            "own_a:Own",
            "is a Own, which would be a scorer if it had `features`",
        ),
        (
            "own_a",
            "class Own:\n    def __init__(self, model): ...\n    def complete(self, requests, sampling): ...",
            "own_a:Own",
            "is the class Own, which would be an engine if it had `describe`",
        ),
        (
            "own_a",
            "class Own:\n    def complete(self, r, s): ...\n    def describe(self): ...\nMINE = Own()",
            "own_a:MINE",
            "is an engine as an object: name its class, which is called with --model.",
        ),
        (
            "own_a",
            "class Own:\n    def __init__(self, width): ...",
            "own_a:Own",
            "argument: 'width'): name an object of it, as in MINE = Own(...).",
        ),
        (
            "own_a",
            "from hf_rap import Collector\nclass Own(Collector):\n    kind = 'own'",
            "own_a:Own",
            "is a Own, which would be a collector if it had `writes`",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_when_it_is_named(write, name, code, place, says):
    """The place, what is there, and what is missing."""
    write(name, code)
    with pytest.raises(SettingError) as error:
        add_plugin(place)
    assert says in str(error.value)


def test_a_class_does_where_an_object_is_asked_for(write):
    """It is called without arguments; its name is that of its object, or its own."""
    write("own_a", EXPORT)
    made = add_plugin("own_a:Lines")
    assert type(made).__name__ == "Lines"
    assert find_trainer("lines") is made
    write("own_b", "from hf_rap import Collector\nclass Own(Collector):\n    kind, writes = 'own', ()")
    assert add_plugin("own_b:Own") is find_collector("Own")


@pytest.mark.parametrize(
    ("code", "place", "find", "name", "says"),
    [
        (METHOD.replace('"mine"', '"rap"'), "own_a:MINE", find_method, "rap", "A selection method of hf_rap is called 'rap'"),
        (METHOD.replace('"mine"', '"top"'), "own_a:MINE", find_method, "rap", "A selection method of hf_rap is called 'top'"),
        (EXPORT.replace('"lines"', '"trl"'), "own_a:Lines", find_trainer, "trl", "An export of hf_rap is called 'trl'"),
        (SCORER.replace("def own", "def cde"), "own_a:cde", find_scorer, "cde", "A scorer of hf_rap is called 'cde'"),
    ],
)  # fmt: skip
def test_a_name_of_ours_is_not_taken(write, code, place, find, name, says):
    """Neither is the user's left out without a word, nor ours replaced."""
    write("own_a", code)
    add_plugin(place)
    with pytest.raises(SettingError) as error:
        find(name)
    assert str(error.value) == f"{says} already: give that of {place!r} another name."


def test_a_plugin_named_twice_is_one(write):
    """The same place, or two places with the same object."""
    write("own_a", METHOD)
    write("own_b", "from own_a import MINE")
    method = add_plugin("own_a:MINE")
    assert add_plugin("own_a:MINE") is add_plugin("own_b:MINE") is method
    assert find_method("mine") is method


def test_two_plugins_with_one_name_are_told(write):
    """Which of them would it be?"""
    write("own_a", METHOD)
    write("own_b", METHOD)
    add_plugin("own_a:MINE")
    add_plugin("own_b:MINE")
    with pytest.raises(SettingError) as error:
        find_method("mine")
    assert str(error.value) == (
        "A selection method is called 'mine' both by 'own_a:MINE' and by 'own_b:MINE': give one of them another name."
    )


def test_things_of_two_kinds_may_share_a_name(write):
    """Nobody could take the one for the other."""
    write("own_a", METHOD.replace('"mine"', '"lines"') + EXPORT)
    add_plugin("own_a:MINE")
    add_plugin("own_a:Lines")
    assert find_method("lines").name == find_trainer("lines").name == "lines"


def test_layouts_without_names_are_all_recognised(write):
    """Each is known by its place; where none fits, the error says what they would have read."""
    write("own_a", LAYOUT)
    mine, other = add_plugin("own_a:MINE"), add_plugin("own_a:OTHER")
    assert recognise_layout(["item_text", "scan", "key"]) is mine
    assert recognise_layout(["other_text", "scan", "key"]) is other
    with pytest.raises(LayoutError) as error:
        recognise_layout(["item_text", "key"])
    assert "The layout 'MINE' of a plugin reads 'scan', which is not there." in str(error.value)
    assert "The layout 'OTHER' of a plugin reads 'other_text', which is not there." in str(error.value)


def test_a_module_in_a_package_and_an_attribute_of_an_object(write):
    """`pkg.module:Class.attribute`, as entry points have it."""
    Path("own_pkg").mkdir()
    Path("own_pkg/__init__.py").touch()
    Path("own_pkg/rules.py").write_text(METHOD + "\nclass Box:\n    best = MINE\n")
    importlib.invalidate_caches()
    assert add_plugin("own_pkg.rules:Box.best").name == "mine"
    with pytest.raises(SettingError, match=r"has no 'Box\.worst'"):
        add_plugin("own_pkg.rules:Box.worst")


def installed(site, name, code, points):
    """A package as pip leaves it behind: a module and what its metadata say."""
    (site / f"{name}.py").write_text(code)
    info = site / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[hf_rap]\n" + "\n".join(points) + "\n")


def printed(site, code):
    env = os.environ | {"PYTHONPATH": f"{Path(plugins.__file__).parents[1]}{os.pathsep}{site}"}
    done = subprocess.run([sys.executable, "-c", code], cwd=site, env=env, capture_output=True, text=True, check=False)
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


@pytest.mark.slow
def test_an_installed_package_offers_its_own(tmp_path):
    """By its entry points: method, scorer, export and layout, without --plugin."""
    points = ["mine = own_rules:MINE", "own = own_rules:own", "lines = own_rules:Lines", "survey = own_rules:SURVEY"]
    installed(tmp_path, "own_rules", METHOD + SCORER + EXPORT + LAYOUT.replace("MINE", "SURVEY"), points)
    code = """
from hf_rap.exports.trainers import find_trainer
from hf_rap.rows.layouts import recognise_layout
from hf_rap.scorers import find_scorer
from hf_rap.select.methods import find_method
print(find_method("mine").name, find_scorer("own").name, find_trainer("lines").title)
print(recognise_layout(["item_text", "scan", "key"]).answer)
"""
    assert printed(tmp_path, code) == "mine own my trainer\nkey"


@pytest.mark.slow
def test_a_broken_package_is_named(tmp_path):
    """It cannot be left out without a word: a run would go by another layout than yesterday."""
    installed(tmp_path, "own_broken", "import no_such_library", ["mine = own_broken:MINE"])
    code = 'from hf_rap.select.methods import find_method\nfind_method("rap")'
    assert printed(tmp_path, code) == (
        "hf_rap.errors.SettingError: The plugin 'mine' of the package own_broken cannot be loaded: ModuleNotFoundError: "
        "No module named 'no_such_library'. Mend or uninstall that package."
    )
