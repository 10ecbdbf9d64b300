"""Rows of several sources: equal ones count once, quotas, and rows without an image."""

import numpy as np
import pytest
from datasets import Dataset

from hf_rap import difficulty_score, select_cognitive, stability
from hf_rap.errors import MissingColumnError, SettingError
from hf_rap.scorers.base import add_scores
from hf_rap.scorers.cde import cde_score
from hf_rap.select.methods import METHODS
from hf_rap.select.predicates import untrue_reasons
from hf_rap.select.top import select_top

ONES, NONE = [1.0] * 5, [0.0] * 5


def scored(rows):
    """(id, image rewards, text rewards, error, source) of each row, with cde and difficulty."""
    names = ("rap_id", "rap_image_rewards", "rap_text_rewards", "rap_error", "source")
    ds = Dataset.from_dict({name: [row[place] for row in rows] for place, name in enumerate(names)})
    return add_scores(ds, cde_score, difficulty_score)


NEEDED = ("a", [1.0, 1.0, 1.0, 1.0, 0.0], NONE, None, "geo")


def test_equal_rows_are_kept_once():
    """The first of them; the others are dropped with their reason, and the funnel counts them."""
    ds = scored([NEEDED, ("b", NONE, NONE, None, "geo"), NEEDED, NEEDED])

    selection = select_cognitive(ds, replace_easy=False)

    assert selection.scored["rap_keep"][:] == [True, False, False, False]
    assert selection.scored["rap_reason"][:] == ["image_needed", "never_solved", "duplicate", "duplicate"]
    assert [(step.name, step.rows) for step in selection.funnel[:3]] == [("rows", 4), ("distinct", 2), ("scored", 2)]
    assert selection.method["reasons"]["duplicate"].startswith("the same row stands earlier")
    assert untrue_reasons(selection, METHODS["rap"]) == []


def test_every_method_keeps_equal_rows_once():
    """They are left out before the method decides, so that a budget counts different rows."""
    ds = scored([NEEDED, NEEDED, ("b", [1.0, 0.0, 0.0, 0.0, 0.0], NONE, None, "geo")])

    for method in ("random", "hardest"):
        selection = select_cognitive(ds, method=method, budget=2, min_cde=0.5)
        assert selection.scored["rap_keep"][:] == [True, False, True]


def test_rows_without_an_id_are_all_different():
    """Nobody knows that they are equal."""
    ds = scored([(None, *NEEDED[1:])] * 3)

    assert len(select_cognitive(ds, replace_easy=False).selected) == 3


def test_stability_counts_equal_rows_once():
    """A rerun would drop them too."""
    ds = scored([NEEDED] * 6 + [(str(n), ONES, NONE, None, "geo") for n in range(30)])
    selection = select_cognitive(ds, replace_easy=False)

    assert len(selection.selected) == stability(ds, selection.rule).kept == 31


TEXT = "no_image: the row has no image"


def with_text():
    """A needed row, and rows without an image with pass rates 1, 0.6, 0."""
    return scored(
        [
            NEEDED,
            ("t1", None, ONES, TEXT, "text"),
            ("t2", None, [1.0, 1.0, 1.0, 0.0, 0.0], TEXT, "text"),
            ("t3", None, NONE, TEXT, "text"),
        ]
    )


def test_rows_without_an_image_are_dropped_as_such():
    """What happens when nothing is said."""
    selection = select_cognitive(with_text(), replace_easy=False)

    assert selection.scored["rap_reason"][:] == ["image_needed", "no_image", "no_image", "no_image"]
    assert "text_rows" not in selection.rule


def test_rows_without_an_image_are_kept_in_the_band():
    """0.6 is between 0.084 and 0.87; 1 and 0 are not."""
    selection = select_cognitive(with_text(), replace_easy=False, text_rows="band")

    assert selection.scored["rap_reason"][:] == [
        "image_needed",
        "text_outside_band",
        "text_in_band",
        "text_outside_band",
    ]
    assert selection.scored["rap_keep"][:] == [True, False, True, False]
    assert [tuple(step) for step in selection.funnel[-2:]] == [("text_in_band", 2, 1), ("selected", 2, 0)]
    assert selection.rule["text_rows"] == "band"
    assert untrue_reasons(selection, METHODS["rap"]) == []


def test_a_rerun_judges_them_by_their_text():
    """The rule for other counts keeps the same rows for the same counts."""
    from hf_rap.select.again import decide_again
    from hf_rap.stats.counts import read_counts

    ds = with_text()
    selection = select_cognitive(ds, replace_easy=False, text_rows="band")

    again = decide_again(ds, selection.rule)(*read_counts("test", ds, "text"))

    assert np.array_equal(again, selection.scored["rap_keep"][:])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": 1}, "a budget counts rows by their cde"),
        ({"min_probability": 0.5}, "min_probability is of the cde"),
    ],
)
def test_the_band_does_not_go_with_what_counts_cde(options, message):
    """It says which."""
    with pytest.raises(SettingError, match=message):
        select_cognitive(with_text(), replace_easy=False, text_rows="band", **options)


def test_the_band_needs_the_difficulty():
    """A score that says how often the text alone is solved."""
    with pytest.raises(MissingColumnError, match="rap_difficulty"):
        select_cognitive(with_text().remove_columns("rap_difficulty"), replace_easy=False, text_rows="band")


def several():
    """Six needed rows of geo and three of chart, which differ in their ids."""
    return scored(
        [(f"g{n}", *NEEDED[1:4], "geo") for n in range(6)] + [(f"c{n}", *NEEDED[1:4], "chart") for n in range(3)]
    )


@pytest.mark.parametrize("method", ["rap", "random", "hardest"])
def test_each_source_has_its_quota(method):
    """Rows of others get none."""
    selection = select_cognitive(several(), method=method, budget={"geo": 2}, stratify_by="source")

    assert sorted(selection.selected["source"][:]) == ["geo", "geo"]
    both = select_cognitive(several(), method=method, budget={"geo": 2, "chart": 3}, stratify_by="source")
    assert sorted(both.selected["source"][:]) == ["chart"] * 3 + ["geo"] * 2
    assert both.rule["asked"]["budget"] == {"geo": 2, "chart": 3}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": {"geo": 2}}, r"says of which column: stratify_by='source'"),
        (
            {"budget": {"math": 2}, "stratify_by": "source"},
            "budget has 'math', and source has no such value: chart, geo",
        ),
        (
            {"budget": {"chart": 4}, "stratify_by": "source"},
            "budget asks for 4 rows of source 'chart', and only 3 could be in",
        ),
        ({"budget": {"chart": -1}, "stratify_by": "source"}, "budget is {'chart': -1}: it takes"),
    ],
)
def test_a_quota_that_cannot_be_met_is_refused(options, message):
    """It names the source."""
    with pytest.raises(SettingError, match=message):
        select_cognitive(several(), **options)


@pytest.mark.parametrize("method", ["rap", "random"])
def test_a_budget_without_a_row_says_what_to_do(method):
    """Not "ask for 0 or fewer"."""
    ds = scored([("a", None, None, "gold_unreadable: x", "geo")])

    with pytest.raises(SettingError, match=r"none of 1 (could be in|can be ranked).*`hf-rap inspect` says which rows"):
        select_cognitive(ds, method=method, budget=1)


def test_the_top_of_a_score_holds_equal_rows_once():
    """As the other methods; rows without an id are all different."""
    ds = scored(
        [NEEDED, NEEDED, ("b", [1.0, 0.0, 0.0, 0.0, 0.0], NONE, None, "geo"), (None, *NEEDED[1:]), (None, *NEEDED[1:])]
    )

    selection = select_top(ds, by="rap_cde", count=4, per=None)

    assert selection.scored["rap_reason"][:] == ["top", "duplicate", "top", "top", "top"]
    assert selection.method["reasons"]["duplicate"].startswith("the same row stands earlier")


@pytest.mark.parametrize(("ties", "how"), [("first", "their order in the dataset"), ("random", "a draw by the seed")])
def test_a_top_that_ties_decide_says_so(ties, how):
    """Scores of few attempts are equal for many rows; where a quota ends between scores there is nothing to say."""
    low = [1.0, 0.0, 0.0, 0.0, 0.0]
    ds = scored([("a", *NEEDED[1:])] + [(str(n), low, NONE, None, "geo") for n in range(5)])

    assert select_top(ds, by="rap_cde", count=3, per=None, ties=ties).remarks == (
        f"Level in rap_cde: 2 of the 3 kept rows and 3 of those that are not. Between them {how} has decided, not the score.",
    )
    assert select_top(ds, by="rap_cde", count=1, per=None, ties=ties).remarks == ()
    assert select_top(ds, by="rap_cde", count=6, per=None, ties=ties).remarks == ()
