"""The reward function for MM-EUREKA: `--remote_rm_url FILE`.

It gets the prompt as the JSON of a chat and the whole sequence as decoded text, special tokens included, and has no
way to say that nobody knows (the gold answer cannot be read): that gets 0.0, and `unreadable` counts it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hf_rap.verify.finding import SPECIAL_TOKEN

from .rewards import judge_reply

if TYPE_CHECKING:
    from collections.abc import Sequence

# How the chat template of Qwen2.5-VL, the only one that it trains, opens the turn of the model.
_TURN = "<|im_start|>assistant\n"


def reward_func(queries: Sequence[str], prompts: Sequence[str], labels: Sequence[str]) -> dict[str, Any]:
    """Rewards, and what to log, as tensors."""
    import torch  # MM-EUREKA's own

    rewards = [
        judge_reply(reply_of(query), label, json.loads(prompt)).reward
        for query, prompt, label in zip(queries, prompts, labels, strict=True)
    ]
    scores = torch.tensor([reward or 0.0 for reward in rewards])
    unreadable = torch.tensor([float(reward is None) for reward in rewards])
    return {"rewards": scores, "accuracy_rewards": scores, "unreadable": unreadable}


def reply_of(query: str) -> str:
    """The model's turn: what stands behind the first opening of it, since a chat of ours has one."""
    return SPECIAL_TOKEN.sub("\n", query.partition(_TURN)[2]).rstrip()
