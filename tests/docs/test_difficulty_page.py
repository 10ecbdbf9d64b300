"""The pages about difficulty: their pictures and names exist."""

import re
from pathlib import Path

import pytest

from hf_rap.select.methods import METHODS
from hf_rap.training import WEIGHTS

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {page: page.read_text(encoding="utf-8") for page in (DOCS / "difficulty.md", *DOCS.glob("difficulty/*.md"))}
PICTURES = [page.parent / name for page, text in PAGES.items() for name in re.findall(r"!\[.*?\]\((.*?)\)", text)]


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_pictures_are_there(picture):
    """Drawn by scripts/draw_difficulty.py."""
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_every_baseline_and_weight_is_on_the_pages():
    """`hf_rap.select.rules.RULES` has all methods."""
    text = "".join(PAGES.values())
    baselines = [name for name, method in METHODS.items() if method.function != "select_cognitive"]
    assert {name for name in (*baselines, *WEIGHTS) if f"`{name}`" not in text} == set()
