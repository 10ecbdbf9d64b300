"""Easy to hard, seeded, nothing lost."""

import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_rap.errors import LayoutError, MissingColumnError, SettingError
from hf_rap.training import order_curriculum


def rows(difficulty):
    names = [str(number) for number in range(len(difficulty))]
    return Dataset.from_dict({"rap_difficulty": difficulty, "rap_id": names})


def test_rows_come_out_from_easy_to_hard():
    """Ties keep their order unless they are shuffled."""
    ds = rows([0.4, 0.0, 0.4, 0.2])
    assert order_curriculum(ds, shuffle_within=False)["rap_id"][:] == ["1", "3", "0", "2"]


def test_buckets_are_of_about_equal_size_and_never_tear_equal_rows_apart():
    """Ten rows in two buckets: the five zeros, then the rest in their order."""
    ds = rows([0.9, 0.0, 0.8, 0.0, 0.7, 0.0, 0.6, 0.0, 0.5, 0.0])
    expected = ["1", "3", "5", "7", "9", "0", "2", "4", "6", "8"]
    assert order_curriculum(ds, buckets=2, shuffle_within=False)["rap_id"][:] == expected
    assert order_curriculum(ds, buckets=3, shuffle_within=False)["rap_id"][:5] == expected[:5]


def test_buckets_can_be_given_by_their_bounds():
    """Up to 0.25, up to 0.5, above; a row at a bound is in the easier one."""
    ds = rows([0.9, 0.5, 0.25, 0.3, 0.1])
    assert order_curriculum(ds, buckets=[0.25, 0.5], shuffle_within=False)["rap_id"][:] == ["2", "4", "1", "3", "0"]


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.integers(0, 3), st.randoms())
def test_the_shuffle_depends_on_seed_and_id_alone(fifths, seed, random):
    """Every row comes out once, in ascending order, whatever order it came in."""
    ds = rows([count / 5 for count in fifths])
    ordered = order_curriculum(ds, seed=seed)
    assert ordered["rap_difficulty"][:] == sorted(ds["rap_difficulty"])
    assert sorted(ordered["rap_id"]) == sorted(ds["rap_id"])
    mixed = ds.select(random.sample(range(len(ds)), len(ds)))
    assert order_curriculum(mixed, seed=seed)["rap_id"][:] == ordered["rap_id"][:]


def test_another_seed_is_another_order():
    """Inside a bucket."""
    orders = {tuple(order_curriculum(rows([0.5] * 20), seed=seed)["rap_id"]) for seed in range(5)}
    assert len(orders) == 5


def test_rows_without_a_score_have_no_place():
    """They are counted, not put anywhere."""
    with pytest.raises(LayoutError, match="1 of 2 rows have no 'rap_difficulty', the first is row 1"):
        order_curriculum(rows([0.5, None]))


def test_bad_options_are_refused():
    """With what would work."""
    for buckets in (0, [0.5, 0.2], True, "3"):
        with pytest.raises(SettingError, match="it takes a number above 0, or an ascending list"):
            order_curriculum(rows([0.5]), buckets=buckets)
    with pytest.raises(MissingColumnError, match="'rap_ace'"):
        order_curriculum(rows([0.5]), by="rap_ace")
