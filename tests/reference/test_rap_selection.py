"""The selection against a second, plain implementation of the published rule.

Written from the text of arXiv 2506.04755 with lists and exact fractions, one row at a time, sharing
no code with hf_rap. Intended differences to the paper, which both implementations have:
attempts that were not judged are left out of the means; rows without a score are dropped; a row
whose attention is not known is dropped; ties that are left over follow an order that is given.
"""

import json
import random
from fractions import Fraction
from functools import cache
from pathlib import Path

import pytest
from datasets import Dataset, Features, List, Value

from hf_rap.scorers import add_scores, cde_score, difficulty_score
from hf_rap.select import select_cognitive
from hf_rap.select.rap import seeded_order


def mean(rewards):
    known = [int(reward) for reward in rewards if reward is not None]
    return Fraction(sum(known), len(known)) if known else None


def select_by_the_paper(rows, ties, lambda_c, lambda_a, *, replace, floor=None, budget=None):
    """The ids of the selected rows."""
    scored = []
    for row, tie in zip(rows, ties, strict=True):
        p1, p0 = mean(row["rap_image_rewards"]), mean(row["rap_text_rewards"])
        if p1 is not None and p0 is not None and row["rap_ace"] is not None and row["rap_ace"] <= lambda_a:
            attempts = sum(reward is not None for reward in row["rap_image_rewards"])
            scored.append({"id": row["rap_id"], "tie": tie, "cde": p1 - p0, "d": 1 - p1, "m": attempts})
    kept = [row for row in scored if row["cde"] > lambda_c]
    if replace:
        easy = [row for row in kept if row["d"] == 0]
        outside = [row for row in scored if row not in kept]
        kept = [row for row in kept if row not in easy]
        scored = [row for row in scored if row["d"] > 0]
        hard = [row for row in outside if Fraction(1, row["m"]) <= row["d"] < 1]
        if floor is not None:
            hard = [row for row in hard if row["cde"] > floor]
        hard.sort(key=lambda row: (-row["d"], -row["cde"], row["tie"]))
        kept += hard[: len(easy)]
    if budget is not None:
        rest = [row for row in scored if row not in kept]
        for group in (kept, rest):
            group.sort(key=lambda row: (-row["cde"], -row["d"], row["tie"]))
        kept = (kept + rest)[:budget]
    return {row["id"] for row in kept}


def random_rows(seed, n_rows=300):
    rng = random.Random(seed)

    def attempts(rate):
        return [None if rng.random() < 0.05 else float(rng.random() < rate) for _ in range(rng.choice([1, 3, 5, 5, 8]))]

    ids = [f"{seed}-{number}" for number in range(n_rows)]
    return [
        {
            "rap_id": name,
            "rap_image_rewards": attempts(rng.choice([0, 0.3, 0.7, 1])),
            "rap_text_rewards": attempts(rng.choice([0, 0, 0.3, 0.9])),
            "rap_ace": rng.choice([0.0, 0.0, 0.05, 0.1, 0.2, None]),
        }
        for name in ids
    ]


@cache
def scored_rows(seed):
    """Random evidence, and the same as a dataset with its scores."""
    rows = random_rows(seed)
    rewards = List(Value("float64"))
    features = Features(
        {
            "rap_id": Value("string"),
            "rap_image_rewards": rewards,
            "rap_text_rewards": rewards,
            "rap_ace": Value("float64"),
        }
    )
    return rows, add_scores(Dataset.from_list(rows, features=features), cde_score, difficulty_score)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("min_cde", ["0.5", "0.2", "0", "-0.2"])
@pytest.mark.parametrize(
    "options",
    [
        {"replace_easy": False},
        {"replace_easy": True},
        {"replace_easy": True, "min_replacement_cde": 0.2},
        {"replace_easy": True, "budget": 40},
        {"replace_easy": False, "budget": 120},
    ],
    ids=str,
)
def test_selection_equals_the_plain_implementation(seed, min_cde, options):
    """Row by row, on random evidence with gaps."""
    rows, ds = scored_rows(seed)
    floor = options.get("min_replacement_cde")
    expected = select_by_the_paper(
        rows,
        seeded_order([row["rap_id"] for row in rows], seed).tolist(),
        Fraction(min_cde),
        0.1,
        replace=options["replace_easy"],
        floor=None if floor is None else Fraction(str(floor)),
        budget=options.get("budget"),
    )
    options = {"min_replacement_cde": None, **options}
    selection = select_cognitive(ds, min_cde=float(min_cde), seed=seed, **options)
    assert set(selection.selected["rap_id"]) == expected
    assert expected, "a comparison of nothing proves nothing"


GOLDEN = json.loads((Path(__file__).parent / "rap_paper_rows.json").read_text())


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: f"rows {case['rows']}, {case['options']}")
def test_the_paper_to_the_letter_keeps_the_rows_that_it_always_kept(case):
    """`rap-paper` against rows written down when it was what `rap` did: kept rows, and those that replace others."""
    _, ds = scored_rows(case["rows"])
    selection = select_cognitive(ds, method="rap-paper", **case["options"])
    assert selection.kept_rows.tolist() == case["kept"]
    replaced = [row for row, why in enumerate(selection.scored["rap_reason"]) if why == "hard_replacement"]
    assert replaced == case["replaced"]
