"""The reward function for EasyR1: `worker.reward.reward_function=FILE:compute_score`.

It has no column for several accepted answers, and no way to say that nobody knows: what cannot be
judged gets 0.0, and the metric `unreadable` counts it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .rewards import has_form, judge_reply


def compute_score(reward_inputs: Any, format_weight: float = 0.0, **_: Any) -> Any:
    """Scores of a batch, or of one reply where `worker.reward.reward_type` is `sequential`.

    Args:
        reward_inputs: {"response", "response_length", "ground_truth"}, or a list of them.
        format_weight: what the form of a reply counts (`has_form`), in [0, 1]; its answer counts the rest. Given by
            `worker.reward.reward_function_kwargs`.

    """
    if isinstance(reward_inputs, Mapping):
        return _score(reward_inputs, format_weight)
    assert isinstance(reward_inputs, Sequence)
    return [_score(reply, format_weight) for reply in reward_inputs]


def _score(reply: Mapping[str, Any], format_weight: float) -> dict[str, float]:
    reward = judge_reply(reply["response"], reply["ground_truth"]).reward
    accuracy, form = reward or 0.0, float(has_form(reply["response"]))
    overall = (1 - format_weight) * accuracy + format_weight * form
    return {"overall": overall, "accuracy": accuracy, "format": form, "unreadable": float(reward is None)}
