"""Rows whose long replies are all the same are counted, warned about, and on the card."""

from __future__ import annotations

import json
from typing import Any

import pytest
from datasets import Dataset

from hf_rap import select_cognitive
from hf_rap.stats.equal import count_equal, describe_equal, many_equal
from hf_rap.versions.cards import render_card
from hf_rap.versions.facts import collect_facts

LONG = "a b c d e f g h i j k l m n o p q"  # 17 words


def evidence(*rows: tuple[list[str | None] | None, list[int | None] | None], temperature: float = 1.0) -> Dataset:
    """Rows with these replies and their tokens in the image arm."""
    return Dataset.from_dict(
        {
            "rap_image_responses": [replies for replies, _ in rows],
            "rap_image_tokens": [tokens for _, tokens in rows],
            "rap_settings": [json.dumps({"temperature": temperature})] * len(rows),
        }
    )


@pytest.mark.parametrize(
    ("replies", "tokens", "counted", "equal"),
    [
        ([LONG] * 4, [21] * 4, 1, 1),
        ([LONG] * 3 + ["other"], [21] * 4, 1, 0),
        ([LONG] * 3, [21] * 3, 0, 0),  # too few attempts
        ([LONG] * 4, [21, 21, 21, 20], 0, 0),  # one is not long
        ([LONG] * 4, [None] * 4, 1, 1),  # words stand in for tokens that nobody has counted
        (["short"] * 4, [None] * 4, 0, 0),
        ([LONG] * 3 + [None], [21] * 4, 0, 0),  # one failed
        (None, None, 0, 0),  # not asked
    ],
)
def test_long_replies_of_four_attempts_count(replies: Any, tokens: Any, counted: int, equal: int) -> None:
    """Over 20 tokens each, all there; beside a row that always counts."""
    other = ([f"{LONG} {number}" for number in range(5)], [30] * 5)
    assert count_equal(evidence((replies, tokens), other)) == {"image": {"rows": counted + 1, "equal": equal}}


def test_greedy_replies_do_not_count() -> None:
    """At temperature 0 all attempts are one reply, and nobody claims otherwise."""
    assert count_equal(evidence(([LONG] * 5, [30] * 5), temperature=0)) == {"image": {"rows": 0, "equal": 0}}


def test_evidence_without_settings_or_tokens_counts() -> None:
    """As people bring it from elsewhere."""
    ds = Dataset.from_dict({"rap_text_responses": [[LONG] * 4]})
    assert count_equal(ds) == {"text": {"rows": 1, "equal": 1}}
    assert count_equal(Dataset.from_dict({"q": ["x"]})) == {}


def test_many_are_said() -> None:
    """More than one row in twenty; one in twenty may be a row that has one good answer."""
    assert describe_equal({"image": {"rows": 20, "equal": 1}, "text": {"rows": 0, "equal": 0}}) is None
    said = describe_equal({"image": {"rows": 200, "equal": 20}, "text": {"rows": 100, "equal": 50}})
    assert said is not None
    assert said.startswith(
        "20 of 200 rows with the image (10.0%) and 50 of 100 rows on the text alone (50.0%) have at least 4 replies of over "
        "20 tokens which are all the same, though the temperature is not 0"
    )
    assert many_equal({"image": {"rows": 200, "equal": 20}}) == {"image": 0.1}


def test_the_card_says_it() -> None:
    """One row of two: a line in the table, and a sentence, since that is many."""
    rewards = [[1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]]
    ds = evidence(([LONG] * 4, [30] * 4), ([LONG, LONG, LONG, f"{LONG}!"], [30] * 4))
    ds = ds.add_column("rap_image_rewards", rewards).add_column("rap_text_rewards", [[0.0] * 4] * 2)
    ds = ds.add_column("rap_cde", [0.5, 1.0])
    facts = collect_facts(select_cognitive(ds, replace_easy=False, max_ace=None), name="n", version="1.0.0")
    assert facts["equal_replies"] == {"image": {"rows": 2, "equal": 1}}
    card = render_card(facts)
    assert "| rows whose long replies are all the same | 1 of 2 (50.0 %) | unknown |" in card
    assert "**Equal replies:** 50.0 % of the rows with the image that have four replies or more" in card
    before = {name: value for name, value in facts.items() if name != "equal_replies"}
    assert "long replies" not in render_card(before)
