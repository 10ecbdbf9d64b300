"""Rows that were stopped early, beside others."""

import json

from datasets import Dataset, Features, List, Value

from hf_rap.scorers import add_scores, cde_score, difficulty_score
from hf_rap.select import Step, select_cognitive

TOLD = json.dumps(
    {"mode": "exact", "min_cde": 0.5, "replace_easy": False, "min_replacement_cde": None, "seed": 0, "attempts": 5}
)
FEATURES = Features(
    {
        "rap_image_rewards": List(Value("float64")),
        "rap_text_rewards": List(Value("float64")),
        "rap_error": Value("string"),
        "rap_adaptive": Value("string"),
    }
)


def select(*rows):
    columns = dict(zip(FEATURES, map(list, zip(*rows, strict=True)), strict=True))
    scored = add_scores(Dataset.from_dict(columns, FEATURES), cde_score, difficulty_score)
    return select_cognitive(scored, min_cde=0.5, replace_easy=False)


SURE = ([1.0] * 5, [0.0] * 3, None, TOLD)  # at worst 1 - 2/5 = 0.6
FAILED = (None, None, "engine_failed: out of memory", None)


def test_rows_of_another_collection_have_all_their_attempts():
    """Three attempts, 1/3 - 0: two more with the image could bring 3/5, but nobody spared them."""
    selection = select(SURE, ([1.0, 0.0, 0.0], [0.0] * 3, None, None))
    assert selection.scored["rap_reason"][:] == ["image_needed", "image_not_needed"]


def test_a_step_is_counted_where_every_row_is_certain():
    """A row that is above in any case, one below, and one that failed: none of them is unsure."""
    selection = select(SURE, ([0.0] * 5, [0.0] * 5, None, TOLD), FAILED)
    assert selection.scored["rap_reason"][:] == ["image_needed", "image_not_needed", "engine_failed"]
    assert Step("image_needed", 1) in selection.funnel


def test_a_row_that_is_outside_for_one_of_two_reasons_says_stopped_early():
    """Its place is certain, not why: the step is not counted then. Always solved rows leave, above 0.5 or not."""
    rule = {**json.loads(TOLD), "replace_easy": True, "min_replacement_cde": 0.9}
    told = json.dumps(rule)
    rows = [([1.0] * 5, [0.0, 0.0], None, told), ([1.0, 1.0, 0.0, 0.0, 0.0], [0.0] * 5, None, told)]
    columns = dict(zip(FEATURES, map(list, zip(*rows, strict=True)), strict=True))
    scored = add_scores(Dataset.from_dict(columns, FEATURES), cde_score, difficulty_score)
    selection = select_cognitive(scored, min_cde=0.5, min_replacement_cde=0.9)
    assert selection.scored["rap_reason"][:] == ["stopped_early", "image_not_needed"]
    assert "image_needed" not in [step.name for step in selection.funnel]
