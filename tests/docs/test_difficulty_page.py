"""The page about difficulty: its code runs, its pictures and names exist."""

import re
from pathlib import Path

import pytest
from datasets import Dataset

import hf_rap
from hf_rap.select.methods import METHODS
from hf_rap.training import WEIGHTS

PAGE = Path(__file__).parents[2] / "docs" / "difficulty.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_the_examples_run_one_after_the_other(capsys):
    """Blocks marked python; those marked py need a trainer."""
    rewards = [[1.0] * 5, [1.0, 1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 0.0, 0.0], [0.0] * 5, [1.0, 0.0, 0.0, 0.0, 0.0]]
    columns = {"problem": list("abcde"), "answer": list("abcde"), "images": [[]] * 5, "rap_image_rewards": rewards}
    names = {"evidence": Dataset.from_dict(columns)}
    for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        exec(block, names)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "3 1 2"
    assert printed[1] == "[1.25, 0.0, 0.0, 0.0, 0.75, 0.75, 0.75, 0.0]"
    assert names["ordered"]["problem"][:] == ["c", "b", "e"]


@pytest.mark.parametrize("picture", re.findall(r"!\[.*?\]\((.*?)\)", TEXT))
def test_pictures_are_there(picture):
    """Drawn by scripts/draw_difficulty.py."""
    assert (PAGE.parent / picture).read_bytes().startswith(b"\x89PNG")


def test_every_baseline_and_weight_is_on_the_page():
    """And what the page imports from hf_rap is public. `hf_rap.select.rules.RULES` has all methods."""
    baselines = [name for name, method in METHODS.items() if method.function != "select_cognitive"]
    assert {name for name in (*baselines, *WEIGHTS) if f"`{name}`" not in TEXT} == set()
    imported = [name for line in re.findall(r"from hf_rap import (.*)", TEXT) for name in line.split(", ")]
    assert set(imported) <= set(hf_rap.__all__)
