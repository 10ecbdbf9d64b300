"""What is written for agents: the skill in the package, AGENTS.md and llms.txt name only what exists."""

import re
import shlex
from pathlib import Path

import click
import pytest
import yaml
from block_checks import problems_of
from blocks import blocks

from hf_rap.cli import cli

ROOT = Path(__file__).parents[2]
SKILL_FILE = "hf_rap/.agents/skills/hf-rap/SKILL.md"
SKILL = (ROOT / SKILL_FILE).read_text(encoding="utf-8")
PAGES = {"SKILL.md": SKILL, "AGENTS.md": (ROOT / "AGENTS.md").read_text(encoding="utf-8")}
LLMS = (ROOT / "llms.txt").read_text(encoding="utf-8")


def commands(text):
    """Every `hf-rap NAME ...` of a page, up to a comment, the end of its line or of its code."""
    return [shlex.split(line, comments=True) for line in re.findall(r"hf-rap ([a-z][^`\n]*)", text)]


def options(name):
    """Of one command, in all spellings."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None, name
    return {spelling for each in command.params for spelling in (*each.opts, *each.secondary_opts)}


def test_the_skill_has_the_form_that_agents_look_for():
    """Name and description before the text, each within its limit."""
    _, head, body = SKILL.split("---\n", 2)
    facts = yaml.safe_load(head)
    assert facts["name"] == "hf-rap"
    assert 100 < len(facts["description"]) < 1024
    assert len(body.encode()) < 8 << 10


def test_every_command_of_the_skill_exists_with_its_options():
    """Beside `hf-rap NAME`, an option that stands alone belongs to some command."""
    found = commands(SKILL)
    assert len(found) >= 15
    for words in found:
        wrong = [word for word in words[1:] if word.startswith("-") and word not in options(words[0])]
        assert wrong == [], words
    everywhere = set().union(*(options(name) for name in cli.commands))
    assert set(re.findall(r"--[a-z][a-z-]+", SKILL)) <= everywhere


def test_the_python_of_the_skill_imports():
    """And compiles; the tour runs the same steps."""
    (block,) = blocks(SKILL_FILE, "python")
    assert [*problems_of(block)] == []
    assert block.code.count("import") == 2


def test_reasons_of_the_skill_are_reasons():
    """Each stands, in quotes, in a selection method or where a row is refused."""
    text = SKILL[SKILL.index("## Reading reasons") :]
    names = set(re.findall(r"`([a-z]+_[a-z_]+)`", text))
    assert len(names) > 10
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "hf_rap").rglob("*.py"))
    assert [name for name in names if f'"{name}"' not in code] == []


def test_agents_md_is_read_in_a_minute():
    """Long enough to name every kind of change, short enough to be read before each."""
    assert 40 <= len(PAGES["AGENTS.md"].splitlines()) <= 60


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_exist(page):
    """Folders too."""
    text = PAGES[page]
    for name in set(re.findall(r"`((?:hf_rap|tests|docs|scripts|benchmarks)/[\w./-]+)`", text)):
        assert (ROOT / name).exists(), name
    for target in set(re.findall(r"`make ([\w-]+)`", text)):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE), target


def test_links_of_llms_txt_lead_somewhere():
    """To every page of docs."""
    targets = set(re.findall(r"\]\(([^)]+)\)", LLMS))
    assert [target for target in targets if not (ROOT / target).is_file()] == []
    assert {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")} <= targets
