"""Rows that were stopped early, beside others."""

import json

from datasets import Dataset, Features, List, Value

from hf_rap.scorers import add_scores, cde_score, difficulty_score
from hf_rap.select import METHODS, Step, select_cognitive
from hf_rap.select.predicates import untrue_reasons

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
    assert selection.scored["rap_reason"][:] == ["image_needed", "image_helps_little"]


def test_a_step_is_counted_where_every_row_is_certain():
    """A row that is above in any case, one below, and one that failed: none of them is unsure."""
    selection = select(SURE, ([0.0] * 5, [0.0] * 5, None, TOLD), FAILED)
    assert selection.scored["rap_reason"][:] == ["image_needed", "never_solved", "engine_failed"]
    assert Step("image_needed", 1) in selection.funnel


def test_a_row_that_is_outside_for_one_of_two_reasons_says_stopped_early():
    """Its place is certain, not why: the step is not counted then. Always solved rows leave, above 0.5 or not."""
    rule = {**json.loads(TOLD), "replace_easy": True, "min_replacement_cde": 0.9}
    told = json.dumps(rule)
    rows = [([1.0] * 5, [0.0, 0.0], None, told), ([1.0, 1.0, 0.0, 0.0, 0.0], [0.0] * 5, None, told)]
    columns = dict(zip(FEATURES, map(list, zip(*rows, strict=True)), strict=True))
    scored = add_scores(Dataset.from_dict(columns, FEATURES), cde_score, difficulty_score)
    selection = select_cognitive(scored, min_cde=0.5, min_replacement_cde=0.9)
    assert selection.scored["rap_reason"][:] == ["stopped_early", "image_helps_little"]
    assert "image_needed" not in [step.name for step in selection.funnel]


def test_a_row_that_was_stopped_below_does_not_say_what_its_attempts_would_have_told():
    """Three wrong replies with the image settle it: whether it is ever solved, nobody asked."""
    selection = select(SURE, ([0.0] * 3, [], None, TOLD), ([0.0] * 5, [0.0] * 5, None, TOLD))
    assert selection.scored["rap_reason"][:] == ["image_needed", "stopped_below", "never_solved"]
    assert untrue_reasons(selection, METHODS["rap"]) == []
