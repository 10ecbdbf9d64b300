"""The arithmetic of metrics over the steps of replies: is each right, and which reply do they make the best of several?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_rap.errors import SettingError
from hf_rap.options import check, check_choice, check_number, is_number
from hf_rap.stats.arrays import seeded_order

from .rates import mean_known

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

RIGHT, WRONG, NEUTRAL = 1, -1, 0
# How the scores of the steps of a reply become one: the weakest step, the last one, their mean or their product.
AGGREGATES: dict[str, Callable[[Sequence[float]], float]] = {
    "min": min,
    "last": lambda scores: scores[-1],
    "mean": lambda scores: math.fsum(scores) / len(scores),
    "product": math.prod,
}


class StepF1(NamedTuple):
    """F1 of right and of wrong steps, in [0, 1], their mean, and how many steps were counted."""

    right: float
    wrong: float
    macro: float
    steps: int


class Steps(NamedTuple):
    """The steps that count, those of all rows behind each other: (n_steps,) each."""

    scores: NDArray[np.float64]
    right: NDArray[np.bool_]
    source: NDArray[np.int64]
    row: NDArray[np.int64]
    names: tuple[str, ...]

    def of(self, chosen: NDArray[np.bool_]) -> Steps:
        """Some of them."""
        return Steps(self.scores[chosen], self.right[chosen], self.source[chosen], self.row[chosen], self.names)


def read_steps(
    scores: Sequence[Sequence[float]], labels: Sequence[Sequence[int]], sources: Sequence[str] | None = None
) -> Steps:
    """Scores and labels of the steps of some rows; neutral steps (0) are left out.

    Args:
        scores: per row those of its steps, finite numbers.
        labels: per row 1 (right), -1 (wrong) or 0 (neutral) for each of its steps.
        sources: of each row; None: all have the same.

    Raises:
        SettingError: a row has another number of scores than of labels, or something else stands among them.

    """
    import numpy as np

    sources = ["all"] * len(scores) if sources is None else list(sources)
    if not len(scores) == len(labels) == len(sources):
        raise SettingError(
            f"{len(scores)} rows of scores, {len(labels)} of labels and {len(sources)} sources: give as many."
        )
    names = tuple(dict.fromkeys(map(str, sources)))
    flat = []
    for row, (of_row, given, source) in enumerate(zip(scores, labels, sources, strict=True)):
        if len(of_row) != len(given):
            raise SettingError(f"row {row} has {len(of_row)} scores for {len(given)} steps: give one for each.")
        for score, label in zip(of_row, given, strict=True):
            if not is_number(score) or not math.isfinite(score):
                raise SettingError(f"row {row} has the score {score!r}: it takes finite numbers.")
            if label not in (RIGHT, WRONG, NEUTRAL):
                raise SettingError(
                    f"row {row} has the label {label!r}: it takes 1 (right), -1 (wrong) and 0 (neutral)."
                )
            if label != NEUTRAL:
                flat.append((float(score), label == RIGHT, names.index(str(source)), row))
    columns = list(zip(*flat, strict=True)) if flat else [()] * 4
    return Steps(
        np.array(columns[0], dtype=np.float64),
        np.array(columns[1], dtype=bool),
        np.array(columns[2], dtype=np.int64),
        np.array(columns[3], dtype=np.int64),
        names,
    )


def step_f1(steps: Steps, threshold: float) -> StepF1:
    """A step counts as right from `threshold` on. A class that is neither there nor said has F1 0, as in the release."""
    import numpy as np

    said = steps.scores >= threshold
    right = _f1(np.count_nonzero(said & steps.right), np.count_nonzero(said != steps.right))
    wrong = _f1(np.count_nonzero(~said & ~steps.right), np.count_nonzero(said != steps.right))
    return StepF1(right, wrong, (right + wrong) / 2, len(said))


def step_f1_of_sources(steps: Steps, threshold: float) -> dict[str, StepF1]:
    """`step_f1` of each source that has a step."""
    found = {name: step_f1(steps.of(steps.source == number), threshold) for number, name in enumerate(steps.names)}
    return {name: figures for name, figures in found.items() if figures.steps}


def over_sources(figures: dict[str, StepF1]) -> float | None:
    """The mean of the sources' macro-F1, each by its steps: what the release calls "micro"."""
    steps = sum(each.steps for each in figures.values())
    return math.fsum(each.macro * each.steps for each in figures.values()) / steps if steps else None


def best_threshold(steps: Steps) -> float:
    """The smallest score from which on `over_sources` is highest.

    Only at a score of a step does any prediction change, so these are all that need trying: one sort per source, and counts
    from the top.

    Raises:
        SettingError: there is no step.

    """
    import numpy as np

    if not len(steps.scores):
        raise SettingError("No step is left to find a threshold on: leave a larger share to it, or give one.")
    candidates = np.unique(steps.scores)
    total = np.zeros(len(candidates))
    for number in range(len(steps.names)):
        here = steps.of(steps.source == number)
        if not len(here.scores):
            continue
        right = _from_on(here.scores[here.right], candidates)
        wrong = _from_on(here.scores[~here.right], candidates)
        n_right, n_wrong = np.count_nonzero(here.right), np.count_nonzero(~here.right)
        errors = (n_right - right) + wrong
        total += (_f1(right, errors) + _f1(n_wrong - wrong, errors)) / 2 * len(here.scores)
    return float(candidates[int(np.argmax(total))])


def rows_held_out(rows: int, share: float, seed: int) -> NDArray[np.bool_]:
    """The rows that a threshold is found on: a share of them, the same for the same seed."""
    import numpy as np

    chosen = np.zeros(rows, dtype=bool)
    chosen[np.argsort(seeded_order(range(rows), seed))[: round(share * rows)]] = True
    return chosen


def check_share_held_out(share: float) -> None:
    """Raise `SettingError` for anything but a share below 1."""
    check_number("held_out", share, least=0, below=1)


def best_of(
    scores: Sequence[Sequence[Sequence[float]]], rewards: Sequence[Sequence[float | None]], aggregate: str
) -> list[float | None]:
    """The reward of the reply with the best steps, of each question; the first of equal ones.

    Args:
        scores: per question, per reply, those of its steps; a reply without steps is never the best.
        rewards: per question that of each reply; None is unknown.
        aggregate: one of `AGGREGATES`.

    Raises:
        SettingError: another number of replies than of rewards.

    """
    check_choice("aggregate", aggregate, AGGREGATES)
    chosen: list[float | None] = []
    for question, (replies, of_replies) in enumerate(zip(scores, rewards, strict=True)):
        check(
            len(replies) == len(of_replies),
            "rewards",
            len(of_replies),
            f"one for each reply of question {question}, {len(replies)}",
        )
        places = [place for place, steps in enumerate(replies) if len(steps)]
        best = max(places, key=lambda place, replies=replies: AGGREGATES[aggregate](replies[place]), default=None)  # type: ignore[misc]
        chosen.append(None if best is None else of_replies[best])
    return chosen


def mean_of_first(rewards: Sequence[Sequence[float | None]]) -> float | None:
    """What one takes without a reward model: the mean over all replies of a question, then over questions."""
    return mean_known([mean_known(of_replies) for of_replies in rewards])


def _from_on(scores: NDArray[np.float64], candidates: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many scores are at least each candidate."""
    import numpy as np

    count: NDArray[np.int64] = len(scores) - np.searchsorted(np.sort(scores), candidates, side="left")
    return count


def _f1(hits: Any, errors: Any) -> Any:
    """2 tp / (2 tp + fp + fn), where `errors` is fp + fn; 0 without any."""
    import numpy as np

    both = 2 * np.asarray(hits) + errors
    value = np.divide(2 * np.asarray(hits), both, out=np.zeros(np.shape(both)), where=both > 0)
    return value if np.ndim(value) else float(value)
