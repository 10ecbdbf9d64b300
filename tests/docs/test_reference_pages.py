"""The reference in docs/reference is what the code says today, and nothing is missing from it."""

import ast
import inspect
import json
import re
from pathlib import Path

import click
import pytest

import hf_rap
from hf_rap import columns, errors
from hf_rap.cli import COMMANDS, cli

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "reference"
TEXTS = {path.relative_to(FOLDER).as_posix(): path.read_text(encoding="utf-8") for path in FOLDER.rglob("*.md")}
NAMES = set(re.findall(r"`(--[a-z][a-z-]*)`", TEXTS["commands.md"]))


@pytest.mark.parametrize("name", TEXTS)
def test_a_page_is_what_the_script_writes(name, monkeypatch):
    """`python scripts/render_reference.py` writes it anew."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    from render_reference import PAGES

    assert set(PAGES) == set(TEXTS)
    assert PAGES[name]() == TEXTS[name]


def test_every_column_is_on_the_page():
    """In a row with its type and its meaning; null means unknown."""
    rows = re.findall(r"^\| `(\w+)` \| `[^|`]+` \| (?:[^|\\]|\\.)+ \|", TEXTS["columns.md"], re.MULTILINE)
    assert sorted(rows) == sorted(columns.OWN_NAMES)


def test_every_code_and_reason_is_on_the_page():
    """Codes with what to do."""
    codes = {*columns.ERROR_CODES, *columns.ATTENTION_ERROR_CODES, *columns.LIKELIHOOD_ERROR_CODES}
    codes |= {*columns.CONTROL_ERROR_CODES}
    from hf_rap.select.methods import METHODS

    reasons = {reason.name for method in METHODS.values() for reason in method.reasons}
    assert len(reasons) > 20
    explained = set(
        re.findall(r"^\| `(\w+)` \| (?:kept \| |dropped \| )?\S[^|]{5,} \|", TEXTS["reasons.md"], re.MULTILINE)
    )
    assert sorted((codes | reasons) - explained) == []


def test_every_command_and_option_is_on_the_page():
    """Each in the section of its command, in all spellings."""
    sections = dict(part.split("\n", 1) for part in TEXTS["commands.md"].split("### hf-rap ")[1:])
    assert set(sections) == set(COMMANDS)
    for name, text in sections.items():
        options = [each for each in cli.get_command(click.Context(cli), name).params if isinstance(each, click.Option)]
        spellings = {word for each in options for word in (*each.opts, *each.secondary_opts)}
        assert [word for word in spellings if f"`{word}`" not in text] == []


def test_options_that_the_page_of_reasons_advises_exist():
    """A remedy that no command takes is none."""
    assert {word.split("`")[0] for word in re.findall(r"`?(--[a-z][a-z-]*)", TEXTS["reasons.md"])} <= NAMES


def test_every_public_name_is_on_one_page():
    """Those of `hf_rap`, the types beside them and the errors, each with its sentence in the list and a place of its own."""
    placed = [name for text in TEXTS.values() for name in re.findall(r"^::: ([\w.]+)$", text, re.MULTILINE)]
    wanted = {f"hf_rap.{name}" for name in (*hf_rap.__all__, *" ".join(hf_rap._TYPES.values()).split())}
    kinds = [
        name
        for name, thing in vars(errors).items()
        if isinstance(thing, type) and issubclass(thing, errors.RapError) and thing is not errors.RapError
    ]
    wanted |= {f"hf_rap.errors.{name}" for name in (*kinds, "RapDeprecationWarning")}
    assert sorted(placed) == sorted(wanted - {"hf_rap.__version__"})
    listed = re.findall(r"^\| \[`[\w.]+`\]\(python/\w+\.md#([\w.]+)\) \| \S.* \|$", TEXTS["python.md"], re.MULTILINE)
    assert sorted(listed) == sorted(placed)


def docstring_of(name):
    """Of a public name; of a score that is made, what stands below it."""
    thing = getattr(hf_rap, name)
    if not name.endswith("_score"):
        return inspect.getdoc(thing)
    body = ast.parse(Path(inspect.getfile(type(thing))).read_text(encoding="utf-8")).body
    return ast.literal_eval(body[-1].value)


@pytest.mark.parametrize("name", [name for name in hf_rap.__all__ if name[0].islower()])
def test_what_is_called_says_what_it_takes(name):
    """Each parameter has an entry of its own under `Args`; what takes none of its own needs none."""
    text = docstring_of(name)
    entries = set(
        re.findall(r"^    (\w+)(?: \([^)]*\))?: ", text.partition("Args:\n")[2].partition("\n\n")[0], re.MULTILINE)
    )
    call = getattr(hf_rap, name)
    taken = ["batch"] if name.endswith("_score") else [*inspect.signature(call).parameters]
    assert [each for each in taken if each not in entries] == []


def test_what_is_used_most_has_examples():
    """They are run by test_examples.py, or are calls that could be."""
    most = "Rollouts cde_score difficulty_score ace_score bis_score gold_doubt_score add_scores select_cognitive select_difficulty"
    most += " select_top stability collect_evidence add_pass_rates inspect_dataset publish publish_to_folder export load grader scorer"
    assert [name for name in most.split() if "Examples:\n    >>> " not in docstring_of(name)] == []


def rows_below(heading):
    """The first cell of each row of a table of the page about rap.json."""
    text = TEXTS["manifest.md"].partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `(\w+)` \|(?: [^|]+ \|){1,3}$", text, re.MULTILINE))


def test_everything_that_a_version_says_of_itself_is_on_the_page():
    """Facts of the demo's card, options of its rule and settings of its evidence, those of other engines among them."""
    facts = json.loads((ROOT / "dataset_cards" / "demo" / "facts.json").read_text(encoding="utf-8"))
    assert set(facts) <= rows_below("Facts")
    assert set(facts["rule"]) - {"asked"} <= rows_below("Options of the rule")
    settings = {name for part in facts["settings"]["shown"] for name in part["values"]}
    settings |= set(hf_rap.EndpointEngine("http://127.0.0.1:1/v1", model="model").describe()) - {"not_counted"}
    assert settings <= rows_below("Settings of the evidence")


def test_every_option_has_a_meaning():
    """None says nothing of itself, hidden old names included."""
    silent = [
        (name, option.opts[0])
        for name in COMMANDS
        for option in cli.get_command(click.Context(cli), name).params
        if isinstance(option, click.Option) and not (option.help or "").strip()
    ]
    assert silent == []
    assert re.findall(r"^\| `--[^|]* \|\s*\|$", TEXTS["commands.md"], re.MULTILINE) == []
