"""The reward function for ms-swift: `--external_plugins FILE --reward_funcs hf_rap`.

Importing this file registers it, as plugins do there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from swift.rewards import ORM, orms  # type: ignore[import-not-found]

from .rewards import accuracy_reward

if TYPE_CHECKING:
    from collections.abc import Sequence


class HfRap(ORM):  # type: ignore[misc]
    """What `accuracy_reward` says. ms-swift turns a None into 0: what cannot be judged counts as wrong there.

    A reply that was cut off is wrong, as it is in scoring.
    """

    def __call__(self, completions: Sequence[str], solution: Sequence[str], **columns: Any) -> list[float | None]:
        """One reward per completion; the columns of the dataset arrive as lists."""
        questions = [_question(messages) for messages in columns.pop("messages", None) or [[]] * len(completions)]
        golds = {name: columns[name] for name in ("accepted", "extra_info") if name in columns}
        rewards = accuracy_reward(completions, solution, problem=questions, **golds)
        truncated = columns.get("is_truncated") or [False] * len(completions)
        return [0.0 if cut else reward for reward, cut in zip(rewards, truncated, strict=True)]


def _question(messages: Sequence[Any]) -> str:
    """The text of the user's turns; the last turn is the reply already."""
    return "\n".join(str(turn["content"]) for turn in messages if turn["role"] == "user")


orms["hf_rap"] = HfRap
