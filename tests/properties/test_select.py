"""What holds for the selection from any scores."""

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hf_rap.columns import ERROR_CODES
from hf_rap.errors import SettingError
from hf_rap.select import decide, select_cognitive
from hf_rap.select.rap import RAP, seeded_order

KEEPS = {reason.name: reason.kept for reason in RAP.reasons}
UNKNOWN = st.just(float("nan"))
fifths = st.integers(0, 5).map(lambda count: count / 5)


@st.composite
def tables(draw):
    """Arrays as `decide` takes them, with every kind of gap."""
    row = st.tuples(
        st.integers(-5, 5).map(lambda count: count / 5) | UNKNOWN,
        st.sampled_from([0.0, 0.05, 0.1, 0.2]) | UNKNOWN,
        fifths | UNKNOWN,
        st.integers(0, 2),
    )
    rows = draw(st.lists(row, min_size=1, max_size=40))
    cde, ace, difficulty, strata = (np.array(column) for column in zip(*rows, strict=True))
    return {
        "cde": cde,
        "ace": ace,
        "difficulty": difficulty,
        "strata": strata,
        "order": seeded_order(range(len(rows)), seed=0),
        "max_ace": 0.1,
        "replace_easy": draw(st.booleans()),
    }


thresholds = st.integers(-10, 10).map(lambda count: count / 10)


@given(tables(), thresholds)
def test_every_row_gets_one_reason_that_fits_its_decision(table, min_cde):
    """Kept and dropped rows are all rows, and the funnel ends with the kept."""
    keep, reason, funnel = decide(**table, min_cde=min_cde)
    assert [KEEPS[word] for word in reason] == keep.tolist()
    assert set(reason) <= set(KEEPS)
    assert (funnel[0].rows, funnel[-1].rows) == (len(keep), keep.sum())


@given(tables(), thresholds, st.integers(1, 40) | st.none())
def test_a_funnel_only_falls_but_for_what_came_in(table, min_cde, budget):
    """Rows that were in from the start get fewer with each step; those that came in are told apart."""
    could_enter = (table["ace"] <= 0.1) & ~np.isnan(table["cde"]) & (table["difficulty"] != 0)
    assume(budget is None or budget <= could_enter.sum())
    keep, reason, funnel = decide(**table, min_cde=min_cde, budget=budget)
    stay = [step.rows - step.came_in for step in funnel]
    assert stay == sorted(stay, reverse=True)
    came_in = np.isin(reason, ["hard_replacement", "filled_to_budget"])
    assert (stay[-1], funnel[-1].came_in) == ((keep & ~came_in).sum(), came_in.sum())


@given(tables(), thresholds)
def test_a_row_without_a_score_is_never_kept(table, min_cde):
    """Nor one that has not passed the attention step."""
    keep, _, _ = decide(**table, min_cde=min_cde)
    assert not np.isnan(table["cde"][keep]).any()
    assert (table["ace"][keep] <= 0.1).all()


@given(tables(), thresholds, thresholds)
def test_raising_min_cde_never_keeps_more_before_replacements(table, one, other):
    """Rows only leave."""
    table["replace_easy"] = False
    low, high = (decide(**table, min_cde=min_cde)[0] for min_cde in sorted((one, other)))
    assert not (high & ~low).any()


@given(tables(), thresholds)
def test_replacing_easy_rows_keeps_the_size_where_enough_rows_qualify(table, min_cde):
    """And never makes it larger."""
    table["replace_easy"] = True
    _, reason, funnel = decide(**table, min_cde=min_cde)
    steps = {step.name: step.rows for step in funnel}
    before, after = steps["attention_unbiased"], steps["selected"]
    passes = (table["ace"] <= 0.1) & ~np.isnan(table["cde"])
    solvable = (table["difficulty"] > 0) & (table["difficulty"] < 1)
    qualify = np.count_nonzero(passes & solvable & (reason != "image_needed"))
    assert after == min(before, steps["not_always_solved"] + qualify)


@given(tables(), thresholds, st.data())
def test_a_budget_is_exact_or_refused(table, min_cde, data):
    """Refused exactly when fewer rows could be in."""
    passes = (table["ace"] <= 0.1) & ~np.isnan(table["cde"])
    if table["replace_easy"]:
        passes &= table["difficulty"] != 0
    budget = data.draw(st.integers(1, len(passes)))
    if budget > passes.sum():
        with pytest.raises(SettingError, match="budget asks for"):
            decide(**table, min_cde=min_cde, budget=budget)
    else:
        keep, reason, _ = decide(**table, min_cde=min_cde, budget=budget)
        assert keep.sum() == budget
        assert [KEEPS[word] for word in reason] == keep.tolist()
        exact = budget * np.bincount(table["strata"][passes], minlength=3) / passes.sum()
        assert (abs(np.bincount(table["strata"][keep], minlength=3) - exact) < 1).all()


@given(tables(), thresholds, st.booleans(), st.randoms())
def test_the_order_of_the_rows_does_not_matter(table, min_cde, with_budget, random):
    """Shuffled rows get their decisions."""
    shuffle = np.array(random.sample(range(len(table["cde"])), len(table["cde"])))
    other = {name: value[shuffle] if isinstance(value, np.ndarray) else value for name, value in table.items()}
    could_enter = (table["ace"] <= 0.1) & ~np.isnan(table["cde"]) & (table["difficulty"] != 0)
    budget = max(1, could_enter.sum() // 2) if with_budget else None
    assume(not with_budget or could_enter.any())
    keep, reason, funnel = decide(**table, min_cde=min_cde, budget=budget)
    keep_other, reason_other, funnel_other = decide(**other, min_cde=min_cde, budget=budget)
    assert keep[shuffle].tolist() == keep_other.tolist()
    assert reason[shuffle].tolist() == reason_other.tolist()
    assert funnel == funnel_other


@settings(max_examples=20, deadline=None)
@given(tables(), thresholds)
def test_selecting_twice_changes_nothing(table, min_cde):
    """A decision does not read an earlier one."""
    columns = {f"rap_{name}": table[name].tolist() for name in ("cde", "ace", "difficulty")}
    errors = [code for _, code in zip(table["cde"], [*ERROR_CODES] * len(table["cde"]), strict=False)]
    ds = Dataset.from_dict({**columns, "rap_error": errors})
    once = select_cognitive(ds, min_cde=min_cde)
    twice = select_cognitive(once.scored, min_cde=min_cde)
    assert twice.scored["rap_reason"][:] == once.scored["rap_reason"][:]
    assert (twice.rule, twice.funnel, twice.reasons) == (once.rule, once.funnel, once.reasons)
    assert len(once.selected) + len(once.rejected) == len(ds) == sum(once.reasons.values())
