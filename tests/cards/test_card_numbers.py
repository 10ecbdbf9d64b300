"""Each number on a card, counted again from the rows by other code."""

import json
import re
import statistics
from collections import Counter
from random import Random

import pytest
from datasets import Dataset, Features, List, Value

from hf_rap.scorers import cde_score, difficulty_score
from hf_rap.select import select_cognitive
from hf_rap.versions.cards import render_card
from hf_rap.versions.facts import collect_facts

FEATURES = Features(
    {
        "source": Value("string"),
        "rap_error": Value("string"),
        "rap_settings": Value("string"),
        **{
            f"rap_{arm}_{name}": List(Value(dtype))
            for arm in ("image", "text")
            for name, dtype in (("rewards", "float64"), ("tokens", "int32"), ("truncated", "bool"))
        },
    }
)


def make_row(rng: Random) -> dict:
    row = {"source": rng.choice(["geometry", "charts"]), "rap_settings": '{"model": "m"}', "rap_error": None}
    missing = rng.random() < 0.15
    for arm, chance in (("image", 0.7), ("text", 0.3)):
        asked = not (missing and arm == "image")
        row[f"rap_{arm}_rewards"] = (
            [None if rng.random() < 0.05 else float(rng.random() < chance) for _ in range(4)] if asked else None
        )
        row[f"rap_{arm}_tokens"] = [rng.randint(1, 900) for _ in range(4)] if asked else None
        row[f"rap_{arm}_truncated"] = [rng.random() < 0.1 for _ in range(4)] if asked else None
    if missing:
        row["rap_error"] = "no_image: the row has no image"
    return row


@pytest.fixture(scope="module")
def selection():
    rng = Random(1)
    ds = Dataset.from_list([make_row(rng) for _ in range(200)], FEATURES)
    ds = ds.map(cde_score, batched=True).map(difficulty_score, batched=True)
    return select_cognitive(ds, min_cde=0.3)


@pytest.fixture(scope="module")
def card(selection):
    return render_card(collect_facts(selection, name="n", version="1.0.0", group_by="source"))


@pytest.fixture(scope="module")
def rows(selection):
    return selection.scored.to_list()


def cells(card: str, first: str) -> list[str]:
    """The cells of the row of a table that starts with `first`, code marks left out."""
    (line,) = re.findall(rf"^\| `?{re.escape(first)}`? \|(.*)\|$", card, re.MULTILINE)
    return [cell.strip().strip("`") for cell in line.split(" | ")]


def number(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")


def test_rows_and_share(card, rows):
    """The first sentence."""
    kept = sum(row["rap_keep"] for row in rows)
    assert f"\n{kept} of the 200 rows ({100 * kept / 200:.1f} %) of " in card


def test_reasons(card, rows):
    """Every reason with its count; together all rows."""
    counts = Counter((row["rap_reason"], "kept" if row["rap_keep"] else "dropped") for row in rows)
    assert len(counts) >= 4
    for (reason, decision), count in counts.items():
        assert f"\n| {count} | {decision} | `{reason}`<br>" in card


def test_funnel(card, selection):
    """Each step with its rows."""
    section = card[card.index("| step | rows |") : card.index("<summary>The rule")]
    for name, count, came_in in selection.funnel:
        assert cells(section, name)[:3] == [str(count), f"{100 * count / 200:.1f} %", str(came_in or "")]


def test_groups(card, rows):
    """Rows and kept rows per source."""
    for source in ("geometry", "charts"):
        members = [row["rap_keep"] for row in rows if row["source"] == source]
        expected = [str(len(members)), str(sum(members)), f"{100 * sum(members) / len(members):.1f} %"]
        assert cells(card, source) == expected


@pytest.mark.parametrize("score", ["rap_cde", "rap_difficulty"])
def test_scores(card, rows, score):
    """Known, unknown, quartiles and means."""
    known = [row[score] for row in rows if row[score] is not None]
    kept = [row[score] for row in rows if row[score] is not None and row["rap_keep"]]
    numbers = [min(known), *statistics.quantiles(known, n=4, method="inclusive"), max(known)]
    numbers += [statistics.fmean(known), statistics.fmean(kept)]
    means, spread = card[card.index("## Scores") : card.index("## What the model did")].split("<details>")
    assert cells(means, score) == [*map(number, numbers[-2:])]
    told = f"of {len(known)} rows, unknown of {200 - len(known)}: {', '.join(map(number, numbers[:-2]))}"
    assert cells(spread, score) == [told]


@pytest.mark.parametrize("arm", ["image", "text"])
def test_arms(card, rows, arm):
    """What was asked, judged, right, cut off and generated."""
    asked = [row for row in rows if row[f"rap_{arm}_rewards"] is not None]
    rewards = [reward for row in asked for reward in row[f"rap_{arm}_rewards"]]
    judged = [reward for reward in rewards if reward is not None]
    kept = [r for row in asked if row["rap_keep"] for r in row[f"rap_{arm}_rewards"] if r is not None]
    tokens = [count for row in asked for count in row[f"rap_{arm}_tokens"]]
    cut = sum(flag for row in asked for flag in row[f"rap_{arm}_truncated"])
    expected = {
        "rows asked": str(len(asked)),
        "attempts per row": "4",
        "attempts": f"{len(rewards):,}",
        "of these, could not be judged": str(len(rewards) - len(judged)),
        "pass rate": f"{100 * sum(judged) / len(judged):.1f} %",
        "pass rate among kept rows": f"{100 * sum(kept) / len(kept):.1f} %",
        "replies cut off at the token limit": f"{cut} ({100 * cut / len(rewards):.1f} %)",
        "tokens generated": f"{sum(tokens):,}",
        "tokens per attempt": number(sum(tokens) / len(tokens)),
    }
    place = ("image", "text").index(arm)
    assert {name: cells(card, name)[place] for name in expected} == expected


def test_errors(card, rows):
    """Rows per code."""
    count = sum(row["rap_error"] is not None for row in rows)
    section = card[card.index("What could not be scored: ") :]
    assert cells(section, "no_image")[:2] == [str(count), "0"]


def test_same_facts_same_card_also_from_json(selection):
    """The card depends on the facts alone, and the manifest holds all of them."""
    facts = collect_facts(selection, name="n", version="1.0.0")
    assert render_card(facts) == render_card(json.loads(json.dumps(facts)))
