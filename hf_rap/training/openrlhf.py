"""The reward function for OpenRLHF: `--reward.remote_url=FILE`.

It gets the prompt and the reply as one decoded text, calls this in a thread and has no way to say that nobody
knows (the gold answer cannot be read): that gets 0.0, and `unreadable` counts it.

OpenRLHF decodes special tokens too, and they are taken out here as the verifier takes them out everywhere: what
opens and ends a turn says nothing. `<|begin_of_box|>` is kept, since it marks an answer. Where OpenRLHF was
told to skip special tokens, that mark is gone, and such a reply is read as one that marks nothing: by its last line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_rap.verify.finding import SPECIAL_TOKEN

from .rewards import judge_reply

if TYPE_CHECKING:
    from collections.abc import Sequence


def reward_func(queries: Sequence[str], prompts: Sequence[str], labels: Sequence[str], **_: Any) -> dict[str, Any]:
    """Rewards, scores and what to log, as tensors."""
    import torch  # OpenRLHF's own

    rewards = [
        judge_reply(reply_of(query, prompt), label, SPECIAL_TOKEN.sub("\n", prompt)).reward
        for query, prompt, label in zip(queries, prompts, labels, strict=True)
    ]
    scores = torch.tensor([reward or 0.0 for reward in rewards])
    unreadable = torch.tensor([float(reward is None) for reward in rewards])
    return {"rewards": scores, "scores": scores, "extra_logs": {"unreadable": unreadable}}


def reply_of(query: str, prompt: str) -> str:
    """What stands behind the prompt in the query.

    The prompt is not simply its beginning: one image token stands in it where the query has
    hundreds. But the part behind the last image is the same in both.
    """
    low, high = 0, len(prompt)  # the longest end of the prompt that is in the query
    while low < high:
        middle = (low + high + 1) // 2
        if prompt[len(prompt) - middle :] in query:
            low = middle
        else:
            high = middle - 1
    end = prompt[len(prompt) - low :]
    return SPECIAL_TOKEN.sub("\n", query[query.find(end) + len(end) :]).rstrip()
