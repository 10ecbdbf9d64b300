"""The reference in docs/reference is what the code says today, and nothing is missing from it."""

import re
from pathlib import Path

import click
import pytest

import hf_rap
from hf_rap import columns
from hf_rap.cli import COMMANDS, cli

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "reference"
TEXTS = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.md")}
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
    assert [name for name in codes | reasons if f"`{name}`" not in TEXTS["reasons.md"]] == []


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


def test_every_public_name_is_on_the_page():
    """With a sentence of its own."""
    page = TEXTS["python.md"]
    assert [name for name in hf_rap.__all__ if f"`{name}` |" not in page and f"hf_rap.{name}" not in page] == []
    assert re.findall(r"^\| `\w+` \|\s*\|$", page, re.MULTILINE) == []
