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


def test_the_code_of_a_mixture_loads_its_sources_by_name():
    """In the order in which they were mixed, whatever their licences ask for."""
    facts = json.loads(CARDS[0].read_text())
    parts = [
        {
            "name": name,
            "id": f"user/{name}",
            "config": None,
            "split": "train",
            "revision": None,
            "licence": None,
            "rows": 1,
        }
        for name in ("chart", "geo")
    ]

    card = render_card({**facts, "sources": parts, "source": {**facts["source"], "id": "geo + chart"}})

    assert (
        'mixture = mix_datasets({\n    "geo": load_source("user/geo#train"),\n    "chart": load_source("user/chart#train"),\n})'
        in card
    )
