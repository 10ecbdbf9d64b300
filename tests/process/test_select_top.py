"""The best of every source: quotas, ties, caps, duplicates."""

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from hf_rap import select_top
from hf_rap.errors import MissingColumnError, SettingError
from hf_rap.select import Step
from hf_rap.select.top import TOP, quotas_of


def scored(bis, **columns):
    return Dataset.from_dict({"rap_bis": bis, **columns})


def kept(selection):
    return np.flatnonzero(selection.scored["rap_keep"][:]).tolist()


def test_every_reason_by_hand():
    """One row per reason, with the funnel that counts them."""
    ds = scored(
        #    0    1    2    3    4     5    6
        [0.3, 0.3, 0.2, 0.9, 0.1, None, None],
        source=["a"] * 7,
        question=["q", "q", "q", "r", "s", "t", "t"],
        response=["x", "x", "y", "x", "x", "x", "x"],
        rap_error=[None] * 5 + ["score_invalid: f.jsonl line 6: null", None],
    )
    selection = select_top(ds, ratio=0.5, max_per_question=1, drop_duplicates=True)
    assert selection.scored["rap_reason"][:] == [
        "top",  # 0.3, second
        "duplicate",  # the same rollout as row 0
        "question_full",  # row 0 is better
        "top",
        "below_quota",  # half of the 4 distinct rows is 2
        "score_invalid",
        "not_scored",
    ]
    assert selection.scored["rap_keep"][:] == [reason == "top" for reason in selection.scored["rap_reason"]]
    assert selection.funnel == (
        Step("rows", 7),
        Step("scored", 5),
        Step("distinct", 4),
        Step("within_question_cap", 3),
        Step("selected", 2),
    )
    assert {"below_quota", "question_full", "duplicate"} <= {reason.name for reason in TOP.reasons if not reason.kept}


def test_ties_keep_the_earlier_row_and_the_order_stays():
    """Equal scores by position; what is kept stands as it stood."""
    assert kept(select_top(scored([0.1, 0.5, 0.5, 0.5, 0.1], source=["a"] * 5), ratio=0.4)) == [1, 2]
    assert kept(select_top(scored([0.1, 0.2, 0.3], source=["a"] * 3), ratio=0.7)) == [1, 2]


def test_lowest_ranks_the_other_way():
    """Of null and numbers the smallest numbers, also within a question; ties keep the earlier row."""
    ds = Dataset.from_dict({"loss": [0.3, None, 0.1, 0.2, 0.1], "question": ["q", "q", "q", "r", "s"]})
    assert kept(select_top(ds, by="loss", count=2, per=None, lowest=True)) == [2, 4]
    assert kept(select_top(ds, by="loss", count=2, per=None)) == [0, 3]
    once = select_top(ds, by="loss", count=4, per=None, lowest=True, max_per_question=1)
    assert once.scored["rap_reason"][:] == ["question_full", "not_scored", "top", "top", "top"]
    assert once.rule["lowest"] is True


def test_rows_without_a_score_count_in_no_quota():
    """A quarter of the four scored rows, not of eight."""
    assert kept(select_top(scored([None] * 4 + [0.1, 0.2, 0.3, 0.4], source=["a"] * 8), ratio=0.25)) == [7]


def test_each_source_has_its_quota_and_at_least_one_row():
    """Null is a source too; one without a scored row has none."""
    ds = scored([0.9] * 10 + [0.1, 0.2, 0.1, None], source=["a"] * 10 + ["b", "b", None, "c"])
    assert kept(select_top(ds, ratio=0.2)) == [0, 1, 11, 12]
    assert kept(select_top(ds, ratio=0.2, per=None)) == [0, 1]


@pytest.mark.parametrize(("ratio", "size", "quota"), [(0.29, 100, 29), (0.1, 30, 3), (0.07, 100, 7), (1.0, 9, 9)])
def test_ratios_are_exact(ratio, size, quota):
    """`int(100 * 0.29)` is 28."""
    assert quotas_of(np.array([size]), ratio=ratio, count=None).tolist() == [quota]


@given(st.lists(st.integers(0, 50), min_size=1, max_size=8).filter(any), st.data())
def test_counts_are_exact_and_in_proportion(sizes, data):
    """The sum is the count, every source with rows has at least one and no more than it has."""
    sizes = np.array(sizes)
    count = data.draw(st.integers(int((sizes > 0).sum()), int(sizes.sum())))
    quotas = quotas_of(sizes, ratio=None, count=count)
    assert quotas.sum() == count
    assert ((quotas <= sizes) & ((quotas > 0) == (sizes > 0))).all()
    fair = [Fraction(int(size) * count, int(sizes.sum())) for size in sizes]
    if all(share >= 1 for share in fair if share):
        assert all(abs(quota - share) < 1 for quota, share in zip(quotas.tolist(), fair, strict=True))


@given(
    st.lists(st.tuples(st.none() | st.integers(0, 3), st.sampled_from("abc")), min_size=1, max_size=40),
    st.floats(0.01, 1),
)
def test_kept_and_dropped_are_all_rows_and_selecting_twice_changes_nothing(rows, ratio):
    """And in every source nothing better was left out."""
    if all(score is None for score, _ in rows):
        return
    ds = scored([None if score is None else score / 4 for score, _ in rows], source=[source for _, source in rows])
    selection = select_top(ds, ratio=ratio)
    assert len(selection.selected) + len(selection.rejected) == len(rows)
    again = select_top(selection.scored, ratio=ratio)
    assert again.scored.to_list() == selection.scored.to_list()
    per_source = Counter(source for score, source in rows if score is not None)
    assert Counter(selection.selected["source"]) == {
        source: max(1, int(Fraction(str(ratio)) * count)) for source, count in per_source.items()
    }
    for source in per_source:
        left = [r["rap_bis"] for r in selection.rejected if r["source"] == source and r["rap_bis"] is not None]
        assert max(left, default=0) <= min(r["rap_bis"] for r in selection.selected if r["source"] == source)


def test_alpha_follows_the_ratio_and_replaces_the_score():
    """0.2 at 10 %, 0.05 at 25 %, or as asked; the score that decided is the one that is stored."""
    ds = scored([0.5, 0.5], source=["a", "a"], rap_bis_mixture=[0.25, 0.0], rap_bis_reliability=[0.25, 1.0])
    small, large = select_top(ds, ratio=0.1), select_top(ds, ratio=0.25)
    assert (small.rule["alpha"], large.rule["alpha"]) == (0.2, 0.05)
    assert kept(small) == [1]  # 0.45 / 4 against 0.2
    assert kept(large) == [0]  # 0.3 / 4 against 0.05
    assert large.scored["rap_bis"][:] == [(0.25 + 0.05) * 0.25, 0.05]
    assert select_top(ds, ratio=0.1, alpha=0.05).scored["rap_bis"][:] == large.scored["rap_bis"][:]


def test_wrong_options_are_refused():
    """With what was given and what fits."""
    ds = scored([0.1, None], source=["a", "b"], other=["x", "y"])
    for options, message in (
        ({}, "either a ratio"),
        ({"ratio": 0.1, "count": 1}, "either a ratio"),
        ({"ratio": 0.0}, r"ratio is 0\.0: it takes a number above 0 and up to 1"),
        ({"count": 0}, "count is 0: it takes a whole number of 1 or more"),
        ({"count": 2}, r"count is 2: it takes .* at most the 1 rows that have a score"),
        ({"ratio": 0.5, "max_per_question": 0}, "max_per_question is 0: it takes a whole number of 1 or more"),
        ({"ratio": 0.5, "alpha": 0.1}, "alpha weighs 'rap_bis_mixture'"),
        ({"ratio": 0.5, "by": "other"}, "ranks numbers, but 'other' holds string"),
    ):
        with pytest.raises(SettingError, match=message):
            select_top(ds, **options)
    with pytest.raises(MissingColumnError, match=r"'rap_bis'.*score --bis"):
        select_top(ds.remove_columns("rap_bis"), ratio=0.5)
    with pytest.raises(MissingColumnError, match="'nowhere'"):
        select_top(ds, ratio=0.5, per="nowhere")
    with pytest.raises(SettingError, match="None of the 1 rows"):
        select_top(ds.select([1]), ratio=0.5)


def test_identical_rollouts_need_the_same_steps():
    """Lists and structs compare by content: "ab", "c" is not "a", "bc"."""
    steps = [["ab", "c"], ["a", "bc"], ["ab", "c"]]
    ds = scored(
        [0.1, 0.1, 0.1],
        source=["a"] * 3,
        image=[["i"], ["i"], ["i"]],
        question=["q"] * 3,
        steps_with_score=[[{"step": text, "score": 0.5} for text in row] for row in steps],
    )
    assert select_top(ds, ratio=1.0, drop_duplicates=True).scored["rap_reason"][:] == ["top", "top", "duplicate"]
