"""Difficulty-weighted rewards by hand, without a trainer."""

import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hf_rap.errors import SettingError
from hf_rap.training import WEIGHTS, difficulty_weighted, weigh_groups


def known(prompts, rewards, **_):
    """A reward function that is told its rewards."""
    assert len(prompts) == len(rewards)
    return rewards


def test_each_group_is_scaled_by_its_own_accuracy():
    """Accuracies 0.25 and 0.75 with w = 1.5 - p."""
    rewards = [1, 0, 0, 0, 1, 1, 1, 0]
    weighted = weigh_groups(rewards, ["a"] * 4 + ["b"] * 4, group_size=4, weight="linear")
    assert weighted == [1.25, 0, 0, 0, 0.75, 0.75, 0.75, 0]


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_fall_with_the_accuracy_and_stay_above_zero(name):
    """Harder weighs more, at every step."""
    values = [WEIGHTS[name](step / 100) for step in range(101)]
    assert values == sorted(set(values), reverse=True)
    assert values[-1] > 0


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("linear", (1.5, 1.0, 0.5)),
        ("inverse", (2.0, 1.0, 2 / 3)),
        ("quadratic", (2.25, 1.0, 0.25)),
        ("exponential", (math.e, 1.0, 1 / math.e)),
        # 0.4 + 1.1 / (1 + e^-7.5), (1 + e^-2.5), (1 + e^2.5)
        ("logistic", (1.4993919, 1.4165560, 0.4834440)),
    ],
)
def test_weights_are_those_of_the_table(name, ends):
    """At 0, one half and 1."""
    assert [WEIGHTS[name](accuracy) for accuracy in (0, 0.5, 1)] == pytest.approx(ends)


@given(
    st.lists(st.lists(st.sampled_from([0.0, 0.1, 0.9, 1.0]), min_size=4, max_size=4), min_size=1, max_size=5),
    st.sampled_from(sorted(WEIGHTS)),
)
def test_centred_weighted_rewards_are_w_times_centred_rewards(groups, name):
    """So that a trainer which subtracts the mean gets w (r - mean); equal rewards give 0."""
    rewards = [reward for group in groups for reward in group]
    prompts = [place // 4 for place in range(len(rewards))]
    weighted = weigh_groups(rewards, prompts, group_size=4, weight=name)
    for start, group in zip(range(0, len(rewards), 4), groups, strict=True):
        mean = sum(group) / 4
        got = weighted[start : start + 4]
        advantages = [reward - sum(got) / 4 for reward in got]
        assert advantages == pytest.approx([WEIGHTS[name](mean) * (reward - mean) for reward in group])


def test_nulls_stay_null_and_count_in_no_accuracy():
    """1 of 2 known is one half; a group that is all null has no accuracy at all."""
    rewards = [1, None, 0, math.nan, None, None, None, None]
    weighted = weigh_groups(rewards, [0] * 4 + [1] * 4, group_size=4, weight=lambda accuracy: accuracy)
    assert weighted == [0.5, None, 0, None, None, None, None, None]


def test_rewards_of_any_scale_work_when_told_what_is_correct():
    """-1 and 1: the accuracy is the share above 0."""
    weighted = weigh_groups([1, -1, -1, -1], "aaaa", group_size=4, weight="linear", correct=lambda reward: reward > 0)
    assert weighted == [1.25, -1.25, -1.25, -1.25]
    with pytest.raises(SettingError, match=r"rewards \[1, -1\]\. .* say what is correct"):
        weigh_groups([1, -1], "aa", group_size=2)


def test_groups_are_checked():
    """Sizes that do not divide, groups that mix prompts, the same words about another picture."""
    with pytest.raises(SettingError, match="A batch of 6 attempts is not made of groups of 4"):
        weigh_groups([1] * 6, "a" * 6, group_size=4)
    with pytest.raises(SettingError, match="Attempts 2 and 3 of the batch are at different prompts"):
        weigh_groups([1] * 4, "aaab", group_size=2)
    red, blue = (
        [{"role": "user", "content": [{"type": "image", "image": Image.new("RGB", (2, 2), colour)}]}]
        for colour in ("red", "blue")
    )
    again = [{"role": "user", "content": [{"type": "image", "image": Image.new("RGB", (2, 2), "red")}]}]
    assert weigh_groups([1, 0], [red, again], group_size=2, weight="linear") == [1.0, 0.0]
    with pytest.raises(SettingError, match="Attempts 0 and 1 of the batch are at different prompts"):
        weigh_groups([1, 0], [red, blue], group_size=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"group_size": 1}, "group_size is 1: it takes a whole number of 2 or more"),
        ({"group_size": True}, "group_size is True"),
        ({"group_size": 2, "weight": "steep"}, "weight is 'steep': it takes one of linear, inverse, quadratic"),
    ],
)
def test_bad_options_are_refused_when_the_function_is_wrapped(options, message):
    """Not after an hour of generation."""
    with pytest.raises(SettingError, match=message):
        difficulty_weighted(known, **options)


def test_a_weight_that_is_no_weight_is_refused():
    """Negative or infinite."""
    for weight in (lambda _: -1, lambda _: math.inf):
        with pytest.raises(SettingError, match=r"for the rewards \[1, 0\]: a weight is a number of 0 or more"):
            weigh_groups([1, 0], "aa", group_size=2, weight=weight)


def test_an_asynchronous_reward_function_is_refused():
    """Its rewards would be a coroutine."""

    async def later(**_):
        return []

    with pytest.raises(SettingError, match="later is asynchronous"):
        difficulty_weighted(later, group_size=2)


def test_the_wrapper_keeps_name_and_arguments_and_tells_what_was_weighed():
    """As TRL calls it; ids come from a column of the dataset."""
    told = {}
    wrapped = difficulty_weighted(known, "linear", group_size=2, id_column="id")
    weighted = wrapped(prompts=["a", "a"], rewards=[1, 0], id=[7, 7], log_extra=told.__setitem__)
    assert (weighted, wrapped.__name__) == ([1.0, 0.0], "known")
    assert told == {"known_unweighted": [1, 0], "rap_id": ["7", "7"]}
    with pytest.raises(SettingError, match="at different prompts"):
        wrapped(prompts=["a", "a"], rewards=[1, 0], id=[7, 8])
    with pytest.raises(
        SettingError, match=r"id_column is 'id', which the trainer does not hand on \(it has: rewards\)"
    ):
        wrapped(prompts=["a", "a"], rewards=[1, 0])


def test_a_reward_function_that_loses_attempts_is_refused():
    """One reward belongs to each attempt."""
    with pytest.raises(SettingError, match="known_short gave 1 rewards for 2 attempts"):
        difficulty_weighted(known_short, group_size=2)(prompts=["a", "a"])


def known_short(prompts, **_):
    return [1.0]


def test_the_wrapper_pickles():
    """As trainers with several processes need it."""
    wrapped = difficulty_weighted(known_short, "inverse", group_size=4)
    assert pickle.loads(pickle.dumps(wrapped)) == wrapped
