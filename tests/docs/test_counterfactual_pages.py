"""The pages about the first look and about controls: what they import is public, their commands and options exist."""

import re
import shlex
from pathlib import Path

import pytest

import hf_rap
from hf_rap.cli import cli
from hf_rap.columns import CONTROLS

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {name: (DOCS / f"{name}.md").read_text(encoding="utf-8") for name in ("likelihood", "controls")}
each_page = pytest.mark.parametrize("text", PAGES.values(), ids=PAGES)


@each_page
def test_imports_are_public_and_blocks_are_python(text):
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert blocks
    for block in blocks:
        compile(block, "page", "exec")
    imported = [name for line in re.findall(r"from hf_rap import (.*)", text) for name in line.split(", ")]
    assert imported
    assert set(imported) <= set(hf_rap.__all__)


@each_page
def test_commands_and_their_options_exist(text):
    lines = re.findall(r"^    hf-rap (.*)$", text, re.MULTILINE)
    assert lines
    for line in lines:
        name, *words = shlex.split(line)
        known = {option for parameter in cli.get_command(None, name).params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known


def test_every_control_is_told():
    assert all(f"**{name}**" in PAGES["controls"] for name in CONTROLS)
