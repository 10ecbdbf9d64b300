"""Rewards that make hard problems weigh more, by wrapping the reward function of a trainer.

Group-relative trainers compute advantages as r - mean(r) over the attempts at one prompt. Scaling all
rewards of the group by w scales the advantages by w, so this needs no change to any trainer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from math import fsum
from typing import TYPE_CHECKING, Any

from hf_rap.errors import SettingError
from hf_rap.options import check, check_text, check_whole

from .reward_log import check_plain, name_of
from .rewards import log_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Reward = float | None


def linear(accuracy: float) -> float:
    """1.5 - p, from 1.5 down to 0.5."""
    return 1.5 - accuracy


def inverse(accuracy: float) -> float:
    """1 / (p + 0.5), from 2 down to 0.67."""
    return 1 / (accuracy + 0.5)


def quadratic(accuracy: float) -> float:
    """(1.5 - p)^2, from 2.25 down to 0.25."""
    return (1.5 - accuracy) ** 2


def exponential(accuracy: float) -> float:
    """exp(2 (0.5 - p)), from 2.72 down to 0.37."""
    return math.exp(2 * (0.5 - accuracy))


def logistic(accuracy: float) -> float:
    """0.4 + 1.1 / (1 + exp(10 (p - 0.75))), from 1.5 down to 0.48; the constants of arXiv 2504.09696."""
    return 0.4 + 1.1 / (1 + math.exp(10 * (accuracy - 0.75)))


# Decreasing in the accuracy p of a group. All but `logistic`, whose constants are published, are 1 at
# p = 0.5: switching between them leaves the learning rate for a half-solved prompt as it was.
WEIGHTS: Mapping[str, Callable[[float], float]] = {
    "linear": linear,
    "inverse": inverse,
    "quadratic": quadratic,
    "exponential": exponential,
    "logistic": logistic,
}


def weigh_groups(
    rewards: Sequence[Reward],
    prompts: Sequence[Any],
    *,
    group_size: int,
    weight: str | Callable[[float], float] = "exponential",
    correct: Callable[[float], bool] | None = None,
) -> list[Reward]:
    """Each group of rewards times w(accuracy of the group): plain Python, for a reward function of any trainer.

    Args:
        rewards: one per attempt, in the order of the trainer; null (or NaN) where it was not judged. It stays
            null and counts in no accuracy: what a trainer does with it is the trainer's.
        prompts: what was asked in each attempt: the prompt, a row id, or whatever else says that two
            attempts belong together.
        group_size: attempts per prompt, consecutive.
        weight: a name in `WEIGHTS`, or a function of the accuracy in [0, 1] that gives 0 or more.
        correct: whether a reward counts as correct; by default the accuracy is the mean of the rewards,
            which then have to be in [0, 1].

    Raises:
        SettingError: an option is out of its range; the number of rewards is not a multiple of
            group_size; the prompts inside a group differ; rewards outside [0, 1] without `correct`.

    Examples:
        >>> weigh_groups([1, 0, 1, 1], ["a", "a", "b", "b"], group_size=2, weight="linear")
        [1.0, 0.0, 0.5, 0.5]

    """
    _check_groups(rewards, prompts, group_size)
    weigh = _weight(weight)
    weighted: list[Reward] = []
    for start in range(0, len(rewards), group_size):
        group = [
            None if reward is None or math.isnan(reward) else reward for reward in rewards[start : start + group_size]
        ]
        values = [reward for reward in group if reward is not None]
        if not values:
            weighted += group
            continue
        factor = weigh(_accuracy(values, correct, start))
        if not (math.isfinite(factor) and factor >= 0):
            raise SettingError(f"weight gave {factor!r} for the rewards {values}: a weight is a number of 0 or more.")
        weighted += [None if reward is None else factor * reward for reward in group]
    return weighted


@dataclass(frozen=True)
class DifficultyWeighted:
    """A reward function for TRL's `GRPOTrainer` whose groups are weighed by difficulty; see `difficulty_weighted`."""

    reward_func: Callable[..., Sequence[Reward]]
    weight: str | Callable[[float], float] = "exponential"
    group_size: int = 8
    correct: Callable[[float], bool] | None = None
    id_column: str | None = None

    def __post_init__(self) -> None:
        check_plain(self.reward_func)
        _weight(self.weight)
        check_whole("group_size", self.group_size, least=2)
        correct = self.correct
        check(correct is None or callable(correct), "correct", correct, "a function of a reward, or None")
        check_text("id_column", self.id_column, none=True, empty=False)

    @property
    def __name__(self) -> str:
        """The name of the wrapped function, under which a trainer logs."""
        return name_of(self.reward_func)

    def __call__(self, *, prompts: Sequence[Any], **columns: Any) -> list[Reward]:
        """The weighted rewards of a batch. Takes and hands on what the trainer gives."""
        rewards = list(self.reward_func(prompts=prompts, **columns))
        if len(rewards) != len(prompts):
            raise SettingError(f"{self.__name__} gave {len(rewards)} rewards for {len(prompts)} attempts.")
        ids = _ids(self.id_column, prompts, columns)
        weighted = weigh_groups(
            rewards,
            prompts if ids is None else ids,
            group_size=self.group_size,
            weight=self.weight,
            correct=self.correct,
        )
        if "log_extra" in columns:  # TRL: columns of the completions Parquet
            columns["log_extra"](f"{self.__name__}_unweighted", rewards)
            log_ids(columns["log_extra"], ids, columns.get("completions"))
        return weighted


def difficulty_weighted(
    reward_func: Callable[..., Sequence[Reward]],
    weight: str | Callable[[float], float] = "exponential",
    *,
    group_size: int,
    correct: Callable[[float], bool] | None = None,
    id_column: str | None = None,
) -> DifficultyWeighted:
    """`reward_func` with every group of rewards scaled by w(accuracy), a weight that falls with the accuracy.

    With standard-deviation scaling off, the advantages of the trainer become exactly w (r - mean(r)). A group
    that is all right or all wrong gives 0, as ever. In TRL:

        GRPOTrainer(
            reward_funcs=difficulty_weighted(accuracy, "exponential", group_size=8),
            args=GRPOConfig(num_generations=8, scale_rewards="none", ...),
        )

    w(p), with p the accuracy of the group in [0, 1]:

    | weight | w(p) | w(0) | w(0.5) | w(1) |
    |---|---|---|---|---|
    | linear | 1.5 - p | 1.5 | 1 | 0.5 |
    | inverse | 1 / (p + 0.5) | 2 | 1 | 0.67 |
    | quadratic | (1.5 - p)^2 | 2.25 | 1 | 0.25 |
    | exponential | exp(2 (0.5 - p)) | 2.72 | 1 | 0.37 |
    | logistic | 0.4 + 1.1 / (1 + exp(10 (p - 0.75))) | 1.5 | 1.42 | 0.48 |

    Wrap the function that says whether an answer is right. Of several reward functions, each is summed with its
    own scale: one that is not wrapped (a format reward) is not weighed. The unweighted rewards go into TRL's
    completions Parquet as `<name>_unweighted`.

    Groups are found by the order of the trainer and checked. In TRL that takes a per-device batch (times
    steps_per_generation) that is a multiple of num_generations on every process, and `num_generations_eval` equal
    to num_generations. docs/difficulty/training.md has the settings of other trainers.

    Args:
        reward_func: called with keywords, as TRL does: prompts, completions and the columns of the dataset;
            gives one reward per attempt, null where it cannot judge.
        weight: a name above, or a function of the accuracy that gives 0 or more.
        group_size: attempts per prompt: `num_generations`.
        correct: whether a reward counts as correct, for the accuracy; by default that is the mean reward.
        id_column: column that names the rows. Groups are checked by it, not by comparing prompts with their
            images, and it goes into the completions Parquet as `rap_id`, which `add_epoch_rewards` reads.

    Raises:
        SettingError: here, for options out of their range; when called, as `weigh_groups` does.

    Source:
        arXiv 2505.13261, difficulty-aware reweighting. Its steep exponential was not published with
        constants: those above are ours, but for the logistic weight (arXiv 2504.09696).

    """
    return DifficultyWeighted(reward_func, weight, group_size, correct, id_column)


def _ids(column: str | None, prompts: Sequence[Any], columns: Mapping[str, Any]) -> Sequence[Any] | None:
    if column is None:
        return None
    ids = columns.get(column)
    if ids is None or len(ids) != len(prompts):
        has = ", ".join(name for name, values in columns.items() if isinstance(values, list)) or "no columns"
        raise SettingError(f"id_column is {column!r}, which the trainer does not hand on (it has: {has}).")
    return list(ids)


def _weight(weight: str | Callable[[float], float]) -> Callable[[float], float]:
    if callable(weight):
        return weight
    check(weight in tuple(WEIGHTS), "weight", weight, f"one of {', '.join(WEIGHTS)}, or a function of the accuracy")
    return WEIGHTS[weight]


def _check_groups(rewards: Sequence[Reward], prompts: Sequence[Any], group_size: int) -> None:
    check_whole("group_size", group_size, least=2)
    if len(rewards) != len(prompts):
        raise SettingError(f"There are {len(rewards)} rewards for {len(prompts)} prompts: one belongs to each attempt.")
    if len(rewards) % group_size:
        raise SettingError(
            f"A batch of {len(rewards)} attempts is not made of groups of {group_size}. Give every process whole groups "
            "(a batch that is a multiple of the attempts per prompt) and that number as group_size."
        )
    for start in range(0, len(prompts), group_size):
        for place in range(start + 1, start + group_size):
            if prompts[place] != prompts[start]:
                raise SettingError(
                    f"Attempts {start} and {place} of the batch are at different prompts, but stand in one group of "
                    f"{group_size}. group_size has to be the trainer's number of attempts per prompt, and their order "
                    "that of the trainer."
                )


def _accuracy(rewards: Sequence[float], correct: Callable[[float], bool] | None, start: int) -> float:
    if correct is not None:
        return sum(bool(correct(reward)) for reward in rewards) / len(rewards)
    if not all(0 <= reward <= 1 for reward in rewards):
        raise SettingError(
            f"The group that starts at attempt {start} has the rewards {list(rewards)}. The accuracy is the mean of rewards "
            "in [0, 1]; for others say what is correct: correct=lambda reward: reward > 0."
        )
    return fsum(rewards) / len(rewards)
