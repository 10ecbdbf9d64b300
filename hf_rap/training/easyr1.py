"""The reward function for EasyR1: `worker.reward.reward_function=FILE:compute_score`.

It has no column for several accepted answers, and no way to say that nobody knows: what cannot be
judged gets 0.0, and the metric `unreadable` counts it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .rewards import judge_reply


def compute_score(reward_inputs: Any, **_: Any) -> Any:
    """Scores of a batch, or of one reply where `worker.reward.reward_type` is `sequential`.

    Args:
        reward_inputs: {"response", "response_length", "ground_truth"}, or a list of them.

    """
    if isinstance(reward_inputs, Mapping):
        return _score(reward_inputs)
    assert isinstance(reward_inputs, Sequence)
    return [_score(reply) for reply in reward_inputs]


def _score(reply: Mapping[str, Any]) -> dict[str, float]:
    reward = judge_reply(reply["response"], reply["ground_truth"]).reward
    return {"overall": reward or 0.0, "accuracy": reward or 0.0, "unreadable": float(reward is None)}
