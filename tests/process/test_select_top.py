"""The best of every source: quotas, ties, caps, duplicates."""

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from hf_rap import bis_score, select_top
from hf_rap.errors import MissingColumnError, SettingError
from hf_rap.scorers.base import add_scores
from hf_rap.select import Step, select_random
from hf_rap.select.again import select_again
from hf_rap.select.arrays import quotas_of
from hf_rap.select.top import TOP


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
    """Of null and numbers the smallest numbers, also within a question."""
    ds = Dataset.from_dict({"loss": [0.3, None, 0.1, 0.2, 0.1], "question": ["q", "q", "q", "r", "s"]})
    assert kept(select_top(ds, by="loss", count=2, per=None, lowest=True)) == [2, 4]
    assert kept(select_top(ds, by="loss", count=2, per=None)) == [0, 3]
    once = select_top(ds, by="loss", count=4, per=None, lowest=True, max_per_question=1)
    assert once.scored["rap_reason"][:] == ["question_full", "not_scored", "top", "top", "top"]
    assert kept(select_top(ds, by="loss", count=1, per=None, lowest=True, ties="first")) == [2]
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
@pytest.mark.slow
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


def test_alpha_is_the_papers_and_replaces_the_score():
    """0.05 at any ratio, or as asked: 0.2 is the README's of the release. The score that decided is the one that is stored."""
    ds = scored([0.5, 0.5], source=["a", "a"], rap_bis_mixture=[0.25, 0.0], rap_bis_reliability=[0.25, 1.0])
    usual, readme = select_top(ds, ratio=0.1), select_top(ds, ratio=0.1, alpha=0.2)
    assert (usual.rule["alpha"], readme.rule["alpha"]) == (0.05, 0.2)
    assert kept(usual) == [0]  # 0.3 / 4 against 0.05
    assert kept(readme) == [1]  # 0.45 / 4 against 0.2
    assert usual.scored["rap_bis"][:] == [(0.25 + 0.05) * 0.25, 0.05]


def rollouts(number=5_000):
    """Three of four rollouts are half right: their mixture is the same."""
    steps = [[{"step": "s", "score": 1.0}, {"step": "t", "score": float(row % 4 == 0)}] for row in range(number)]
    return add_scores(Dataset.from_dict({"steps_with_score": steps, "source": ["a"] * number}), bis_score)


def test_mixed_rollouts_do_not_come_from_the_head_of_the_file():
    """Of 1,000 kept rows a fifth is from the first fifth, not 750; another seed takes others."""
    ds = rollouts()
    first, other, head = (
        kept(select_top(ds, by="rap_bis_mixture", ratio=0.2, **options))
        for options in ({}, {"seed": 1}, {"ties": "first"})
    )
    assert sum(row < 1_000 for row in head) == 750
    assert 150 < sum(row < 1_000 for row in first) < 250
    assert len(first) == len(other) == len(head) == 1_000
    assert set(first) != set(other)
    mixture = ds["rap_bis_mixture"][:]
    assert sorted(mixture[row] for row in first) == sorted(mixture[row] for row in head)


def test_a_rule_of_before_ties_were_an_option_takes_the_earlier_row():
    """A version that was ranked by another score than BIS is selected anew with the same rows."""
    ds = rollouts(500)
    selection = select_top(ds, by="rap_bis_mixture", ratio=0.2, ties="first")
    rule = {name: value for name, value in selection.rule.items() if name not in ("ties", "seed", "method_version")}
    again = select_again(selection.scored, {**rule, "asked": {}})
    assert (kept(again), again.rule["ties"]) == (kept(selection), "first")


def test_a_random_control_has_the_same_quotas():
    """A tenth of each source, at least one row: also of sources with a single row."""
    sources = ["large"] * 105 + ["small"] * 9 + [f"single {number}" for number in range(5)]
    ds = scored([number / 1000 for number in range(len(sources))], source=sources)
    best, drawn = select_top(ds, ratio=0.1), select_random(ds, budget=0.1, stratify_by="source")
    assert Counter(best.selected["source"]) == Counter(drawn.selected["source"])
    assert Counter(drawn.selected["source"])["single 3"] == 1
    assert (drawn.rule["budget"], drawn.rule["asked"]["budget"]) == (16, 0.1)
    best, drawn = select_top(ds, count=20), select_random(ds, budget=20, stratify_by="source")
    assert Counter(best.selected["source"]) == Counter(drawn.selected["source"])
    assert len(select_random(ds, budget=3, stratify_by="source").selected) == 3  # fewer than there are sources


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


def test_quotas_as_the_release_computes_them():
    """int(100 * 0.29) is 28 in floats, 29 exactly; one of a small source at least; at the published ratios they are equal."""
    ds = Dataset.from_dict({"rap_bis": [number / 101 for number in range(101)], "source": ["a"] * 100 + ["b"]})
    exact, release = (select_top(ds, ratio=0.29, quotas=quotas) for quotas in ("exact", "release"))
    assert (len(exact.selected), len(release.selected)) == (30, 29)
    assert "quotas" not in exact.rule
    assert release.rule["quotas"] == "release"
    for ratio, part in ((0.25, 4), (0.1, 10)):
        assert not [rows for rows in range(1, 10_000) if int(rows * ratio) != rows // part]
    with pytest.raises(SettingError, match="quotas='release' is for a ratio"):
        select_top(ds, count=5, quotas="release")
