"""The cards in dataset_cards/ are what today's code renders from their facts."""

import json
from pathlib import Path

import pytest

from hf_rap.versions.cards import render_card

CARDS = sorted((Path(__file__).parents[2] / "dataset_cards").glob("*/facts.json"))


def test_there_are_cards():
    """The demo's card at least."""
    assert "demo" in {path.parent.name for path in CARDS}


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.parent.name)
def test_card_is_rendered_from_its_facts(path):
    """A changed template has to be rendered again: scripts/render_demo_card.py."""
    assert (path.parent / "README.md").read_text() == render_card(json.loads(path.read_text()))
