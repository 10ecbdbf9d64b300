"""The planner of exact mode: stopping never changes what is selected. Checked against all outcomes, and by chance."""

from itertools import product

import numpy as np
import pytest

from hf_rap.adaptive.exact import plan, settle
from hf_rap.adaptive.state import State, cde_of, difficulty_of
from hf_rap.adaptive.stopping import Exact
from hf_rap.errors import SettingError
from hf_rap.scorers import cde_score, difficulty_score
from hf_rap.select import decide

RULES = [
    Exact(replace_easy=False),
    Exact(min_cde=0.2, replace_easy=False),
    Exact(),
    Exact(min_cde=0.0, min_replacement_cde=-0.2),
    Exact(min_cde=0.34, min_replacement_cde=0.1),
    Exact(min_replacement_cde=None),
    Exact(replacements=3, min_replacement_cde=0.0),
    Exact(min_cde=0.2, replacements=0.5, min_replacement_cde=None),
]


def state_of(outcomes, made):
    """The state after the first `made` (n, 2) of the outcomes (n, 2, M): 1 right, 0 wrong, -1 not judged."""
    done = np.arange(outcomes.shape[2]) < made[..., None]
    return State(((outcomes == 1) & done).sum(2), ((outcomes >= 0) & done).sum(2), outcomes.shape[2] - made)


def selected(outcomes, rule, order):
    """What the rule selects with all attempts."""
    state = state_of(outcomes, np.full(outcomes.shape[:2], outcomes.shape[2]))
    keep, _, _ = decide(
        cde_of(state),
        min_cde=rule.min_cde,
        difficulty=difficulty_of(state),
        replace_easy=rule.replace_easy,
        min_replacement_cde=rule.min_replacement_cde,
        replacements=rule.replacements,
        attempts=state.judged[:, 0],
        order=order,
    )
    return keep


def play(outcomes, rule, order):
    """Attempts made (n, 2) and the standing at the end."""
    made = np.zeros(outcomes.shape[:2], dtype=np.int64)
    while (wanted := plan(state_of(outcomes, made), rule, order)).any():
        made += wanted
        assert (made <= outcomes.shape[2]).all()
    return made, settle(state_of(outcomes, made), rule, order)


def drawn(random, n, attempts):
    """Outcomes of rows of every kind, some not judged; ties are frequent."""
    p1 = random.choice([random.beta(0.6, 0.6, n), random.choice([0, 0.5, 0.9, 1.0], n)])
    p0 = random.choice([p1 * random.random(n), random.choice([0, 0.5, 1.0], n)])
    outcomes = (random.random((n, 2, attempts)) < np.stack([p1, p0], 1)[..., None]).astype(int)
    outcomes[random.random(outcomes.shape) < random.choice([0, 0.05, 0.4])] = -1
    order = random.integers(0, random.choice([2, 2**60]), n).astype(np.uint64)
    return outcomes, order


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_stopping_never_changes_the_selection(rule):
    """On random data, unjudged attempts and ties included, the selected rows are those of all attempts."""
    random = np.random.default_rng(RULES.index(rule))
    planned = made_in_all = 0
    for _ in range(60):
        outcomes, order = drawn(random, random.integers(1, 40), random.integers(1, 7))
        made, standing = play(outcomes, rule, order)
        assert not standing.open.any()
        assert standing.inside.tolist() == selected(outcomes, rule, order).tolist()
        planned, made_in_all = planned + outcomes.size, made_in_all + made.sum()
    assert made_in_all < 0.9 * planned


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_what_is_certain_holds_for_every_outcome(rule):
    """Two rows, two attempts, halfway: all outcomes of what is left are tried, and nothing certain is ever wrong."""
    random = np.random.default_rng(7)
    certain = 0
    for _ in range(25):
        outcomes, order = drawn(random, 2, 2)
        made = random.permutation([0, 1, 2, random.integers(0, 3)]).reshape(2, 2)
        state = state_of(outcomes, made)
        standing = settle(state, rule, order)
        left = [place for place in np.ndindex(2, 2, 2) if place[2] >= made[place[:2]]]
        found = []
        for values in product([1, 0, -1], repeat=len(left)):
            every = outcomes.copy()
            for place, value in zip(left, values, strict=True):
                every[place] = value
            found.append(selected(every, rule, order))
        always, ever = np.all(found, axis=0), np.any(found, axis=0)
        assert not (standing.inside & ~always).any()
        assert not (standing.outside & ever).any()
        certain += np.count_nonzero(~standing.open)
    assert certain > 10


def test_without_replacement_no_attempt_is_wasted():
    """A row is open exactly while some outcome of its own attempts could still bring it to the other side."""
    rule, n = Exact(replace_easy=False), 3
    for numbers in product(range(n + 1), repeat=4):
        solved, failed = np.array([numbers[:2]]), np.array([numbers[2:]])
        if (solved + failed > n).any():
            continue
        state = State(solved, solved + failed, n - solved - failed)
        ends = []
        for i, j in product(range(state.left[0, 0] + 1), range(state.left[0, 1] + 1)):
            right = np.array([[i, j]])
            ends.append(bool(cde_of(state.after(right, state.left - right))[0] > 0.5))
        unjudged = (state.judged == 0).any()  # nothing may be judged there, and then there is no score
        could_differ = len(set(ends)) == 2 or (all(ends) and unjudged)
        assert settle(state, rule, np.zeros(1, np.uint64)).open[0] == could_differ


def test_text_goes_first_and_three_right_answers_without_the_image_settle_a_row():
    """M = 5 and threshold 0.5: nothing that the image does can then bring cde above it."""
    rule, order = Exact(replace_easy=False), np.zeros(1, np.uint64)
    nothing = State(*np.zeros((2, 1, 2), int), np.full((1, 2), 5))
    assert plan(nothing, rule, order).tolist() == [[0, 3]]
    given_away = nothing.after(np.array([[0, 3]]), 0)
    assert plan(given_away, rule, order).tolist() == [[0, 0]]


def test_scores_are_those_of_the_scorers():
    """The same numbers to the last bit, or a row at the threshold would fall to the other side."""
    random = np.random.default_rng(3)
    judged = random.integers(0, 9, (300, 2))
    solved = random.integers(0, judged + 1)
    state = State(solved, judged, np.zeros_like(judged))
    rewards = [
        [[1.0] * s + [0.0] * (n - s) for s, n in zip(*each, strict=True)]
        for each in zip(solved.T, judged.T, strict=True)
    ]
    batch = {"rap_image_rewards": rewards[0], "rap_text_rewards": rewards[1]}
    for ours, theirs in (
        (cde_of, cde_score(batch)["rap_cde"]),
        (difficulty_of, difficulty_score(batch)["rap_difficulty"]),
    ):
        expected = np.array([np.nan if one is None else one for one in theirs], dtype=np.float64)
        np.testing.assert_array_equal(ours(state), expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_cde": "q0.9"}, r"min_cde is 'q0\.9': .*: attempts can only be spared at one that is known beforehand"),
        ({"min_cde": 1.5}, "a number between -1 and 1"),
        ({"replace_easy": False, "min_replacement_cde": 0.3}, "replace_easy=True"),
        ({"replace_easy": False, "replacements": 2}, "replace_easy=True"),
    ],
)
def test_impossible_rules_are_refused(options, message):
    """A quantile, a number out of range, a floor for replacements that never come."""
    with pytest.raises(SettingError, match=message):
        Exact(**options)
