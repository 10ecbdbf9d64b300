"""Numbers as the fractions that they stand for."""

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hf_rap.stats.exact import as_double, complement, exact, in_double, total


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_a_quotient_is_read_as_the_fraction_that_it_was(above, below):
    """Denominators up to a million."""
    assert exact(above / below) == Fraction(above, below)


@given(st.floats(0, 1, allow_nan=False))
def test_what_is_read_is_rounded_to_the_same_double(value):
    """So no information is lost, whatever the number."""
    assert float(exact(value)) == value


@given(st.lists(st.sampled_from([0.0, 1.0, 0.1, 0.9, 0.25, 1 / 3]), max_size=12), st.randoms())
def test_a_sum_is_exact_and_has_no_order(rewards, random):
    """Against fractions written out."""
    told = {0.1: Fraction(1, 10), 0.9: Fraction(9, 10), 1 / 3: Fraction(1, 3)}
    assert total(rewards) == sum(told.get(reward, Fraction(reward)) for reward in rewards)
    assert total(random.sample(rewards, len(rewards))) == total(rewards)


def test_one_less_a_share():
    """`1 - 0.7` is another double than 0.3."""
    assert (complement(0.7), complement(0.87), complement(0.0), complement(1.0)) == (0.3, 0.13, 1.0, 0.0)


def test_single_precision_becomes_the_double_that_it_stands_for():
    """All quotients of up to 64 attempts, and negative ones."""
    for below in (1, 3, 5, 7, 11, 32, 49, 64, 992):
        quotients = np.arange(-below, below + 1) / below
        assert (in_double(quotients.astype(np.float32)) == quotients).all()


def test_single_precision_that_is_no_quotient_is_read_as_its_shortest_decimal():
    """An attention confidence or a likelihood; infinity and NaN stay what they are."""
    found = in_double(np.array([0.1234567, 1.5e-9, np.nan, np.inf, -np.inf], dtype=np.float32))
    np.testing.assert_array_equal(found, [0.1234567, 1.5e-9, np.nan, np.inf, -np.inf])


def test_scalars_of_numpy():
    """A double stays a double, a float32 is read."""
    assert [as_double(one) for one in (np.float32(0.2), np.float64(0.3), 1, np.int64(2))] == [0.2, 0.3, 1, 2]
