"""The planner of sequential mode: where attempts go, when it stops, and what it expects of itself."""

import numpy as np
import pytest

from hf_rap.adaptive.sequential import believe, expected_agreement, plan, worth_of
from hf_rap.adaptive.state import State
from hf_rap.adaptive.stopping import Sequential
from hf_rap.errors import SettingError


def fresh(n_rows, most):
    nothing = np.zeros((n_rows, 2), dtype=np.int64)
    return State(nothing, nothing, nothing + most)


def collect(rates, rule, budget, seed):
    """The state after a collection from rows with these pass rates, and its rounds."""
    random, state, rounds = np.random.default_rng(seed), fresh(len(rates), rule.most), 0
    while (wanted := plan(state, state.judged, rule, budget)).any():
        assert (wanted <= state.left).all()
        solved = random.binomial(wanted, rates)
        state, rounds = state.after(solved, wanted - solved), rounds + 1
    return state, rounds


def simulated_rates(rows):
    random = np.random.default_rng(0)
    image = random.beta(0.6, 0.6, rows)
    return np.stack([image, image * random.random(rows)], axis=1)


def jaccard(one, other):
    return np.count_nonzero(one & other) / np.count_nonzero(one | other)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_it_agrees_more_than_the_same_attempts_for_every_row():
    """2,000 simulated rows, 12.5 attempts per row and arm: far above what 12 for all give, and told beforehand."""
    rates, rule = simulated_rates(2_000), Sequential(most=256)
    (first, _), (second, _) = (collect(rates, rule, 12.5, seed) for seed in (1, 2))
    one, other = (believe(state, rule) > 0.5 for state in (first, second))
    assert first.judged.sum() == 12.5 * 2 * 2_000
    random = np.random.default_rng(3)
    fixed = [np.diff(random.binomial(12, rates)[:, ::-1])[:, 0] / 12 > 0.5 for _ in range(2)]
    assert jaccard(one, other) > 0.57 > 0.54 > jaccard(*fixed)
    assert abs(expected_agreement(believe(first, rule)) - jaccard(one, other)) < 0.06


def test_rows_far_from_the_threshold_get_few_attempts():
    """Attempts go to rows whose decision is open, and to none beyond `most`."""
    rates = np.repeat([[0.05, 0.0], [0.6, 0.1], [1.0, 0.0]], 60, axis=0)
    state, _ = collect(rates, Sequential(most=40), 10, seed=0)
    spent = state.judged.sum(axis=1).reshape(3, 60).mean(axis=1)
    assert spent[1] > 2 * spent[0]
    assert spent[1] > 2 * spent[2]
    assert state.judged.max() <= 40


@pytest.mark.slow
def test_it_stops_at_the_agreement_that_was_asked_for():
    """A lower agreement takes fewer attempts, and is reached."""
    rates = simulated_rates(400)
    cheap, dear = (collect(rates, Sequential(agreement=share), 40, seed=1)[0] for share in (0.4, 0.6))
    assert cheap.judged.sum() < dear.judged.sum() < 40 * 2 * 400
    assert expected_agreement(believe(dear, Sequential())) >= 0.6


def test_rows_that_cannot_be_judged_take_no_part():
    """An arm without any attempt left or judged: no attempts, no decision, and none of the budget."""
    state = fresh(40, 8)
    state.left[0] = 0
    assert plan(state, state.judged, Sequential(most=8), 4)[0].tolist() == [0, 0]
    solved = np.tile([[2, 0]], (40, 1))
    asked = State(solved, np.full((40, 2), 2), np.full((40, 2), 6))
    for array in asked:
        array[0] = 0
    assert np.isnan(believe(asked, Sequential(most=8))[0])


def test_worth_falls_with_certainty_and_with_attempts():
    """One attempt is worth more where the decision is open and where few attempts were made; nothing where it is sure."""
    worth = worth_of(np.array([0.5, 0.3, 0.1, 0.001, 0.0]), np.full(5, 10.0))
    assert (np.diff(worth) < 0).all()
    assert worth[-1] == 0
    assert (np.diff(worth_of(np.full(3, 0.3), np.array([4.0, 20.0, 100.0]))) < 0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": 1}, "budget is 1: it takes a number between 2 and 64, or None"),
        ({"agreement": 1.5}, r"agreement is 1\.5: it takes a number above 0 and up to 1, or None"),
        ({"start": 0}, "start is 0: it takes a whole number of 1 or more"),
        ({"most": 1}, "most is 1: it takes a whole number of 2 or more"),
        ({"min_cde": "q0.9"}, "known beforehand"),
    ],
)
def test_impossible_rules_are_refused(options, message):
    """Each option out of its range."""
    with pytest.raises(SettingError, match=message):
        Sequential(**options)
