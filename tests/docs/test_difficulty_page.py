"""The page about difficulty: its pictures and names exist."""

import re
from pathlib import Path

import pytest

from hf_rap.select.methods import METHODS
from hf_rap.training import WEIGHTS

PAGE = Path(__file__).parents[2] / "docs" / "difficulty.md"
TEXT = PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("picture", re.findall(r"!\[.*?\]\((.*?)\)", TEXT))
def test_pictures_are_there(picture):
    """Drawn by scripts/draw_difficulty.py."""
    assert (PAGE.parent / picture).read_bytes().startswith(b"\x89PNG")


def test_every_baseline_and_weight_is_on_the_page():
    """`hf_rap.select.rules.RULES` has all methods."""
    baselines = [name for name, method in METHODS.items() if method.function != "select_cognitive"]
    assert {name for name in (*baselines, *WEIGHTS) if f"`{name}`" not in TEXT} == set()
