"""The reward function for verl: `reward.custom_reward_function.path=FILE`.

verl calls it in threads, where it gives the verdicts of scoring. It has no way to say that nobody knows (the gold
answer cannot be read): that gets 0.0, and `unreadable` counts it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .rewards import judge_reply

if TYPE_CHECKING:
    from collections.abc import Mapping


def compute_score(
    data_source: str,  # noqa: ARG001 - verl passes it by name
    solution_str: str,
    ground_truth: object,
    extra_info: Mapping[str, Any] | None = None,
    **_: Any,
) -> dict[str, float | str]:
    """The score of one reply; all `accepted` answers of `extra_info` count, and its `options` are read with them.

    With `trainer.rollout_data_dir` verl writes what is returned beside each reply, so `rap_id` says whose reward it is.
    """
    info = extra_info or {}
    accepted, options = info.get("accepted"), info.get("options")
    gold = list(accepted) if accepted is not None and len(accepted) else ground_truth
    options = list(options) if options is not None and len(options) else None
    reward = judge_reply(solution_str, gold, info.get("question") or "", options).reward
    # A text in any case: verl takes means of all else.
    identity = str(info.get("id") or "")
    return {"score": reward or 0.0, "acc": reward or 0.0, "unreadable": float(reward is None), "rap_id": identity}
