"""The arithmetic of the metrics. Unknown is no wrong answer: it is left out and counted."""

from __future__ import annotations

from math import comb
from typing import TYPE_CHECKING, Any

from hf_rap.options import check_whole
from hf_rap.stats.settings import CORRECT
from hf_rap.training.rewards import judge_reply

if TYPE_CHECKING:
    from collections.abc import Sequence


def rewards_of(
    predictions: Sequence[Any], references: Sequence[Any], questions: Sequence[str] | None = None
) -> list[float | None]:
    """1.0, 0.0 or None for each reply. A reference may be a list of accepted answers."""
    texts = questions if questions is not None else [""] * len(predictions)
    return [
        judge_reply(reply, gold, question).reward
        for reply, gold, question in zip(predictions, references, texts, strict=True)
    ]


def mean_known(values: Sequence[float | None]) -> float | None:
    """The mean of what is known; None where nothing is."""
    numbers = [value for value in values if value is not None]
    return sum(numbers) / len(numbers) if numbers else None


def pass_at_k(rewards: Sequence[float | None], k: int, correct: float = CORRECT) -> float | None:
    """The chance that at least one of k replies to a question is correct; None with fewer than k judged ones.

    1 - C(n - c, k) / C(n, k) for c correct among n judged replies, without bias for any n >= k. Correct is a reward of
    at least `correct`, as in the scores.

    Source: arXiv 2107.03374, equation 1.

    >>> pass_at_k([1.0, 0.0, 0.0, 0.0], 2)
    0.5

    """
    check_whole("k", k, least=1)
    judged = [reward for reward in rewards if reward is not None]
    right = sum(reward >= correct for reward in judged)
    if len(judged) < k:
        return None
    return 1 - comb(len(judged) - right, k) / comb(len(judged), k)
