"""What a training run takes, as its user says it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hf_rap.errors import SettingError
from hf_rap.options import check, check_flags, check_text, check_whole

_MOST_HELD_OUT = 64
PromptTokens = Callable[..., int]
"""Chat, images and, by name, arguments of the chat template -> tokens of the prompt, see `hf_rap.engines.prompt_tokens`."""


@dataclass(frozen=True)
class Limits:
    """What the user's training run takes; None sets no limit.

    Args:
        max_prompt_tokens: of the prompt and its images in the model's chat template; needs `prompt_tokens`.
        prompt_tokens: counts them, given the chat, its images and the arguments of the chat template.
        min_pixels: width times height of an image.
        max_pixels: the same.
        max_images: in one row.
        rollout_batch: prompts per step; fewer rows than that are refused.
        val_rows: rows that are held out, in a file of their own to validate on; None takes a tenth, up to 64, for trainers
            that do not start without.
        hold_out: hold rows out also for a trainer that starts without.
        gpus: of the machine to train on.
        group: replies to a prompt.
        model: that is trained, for the lines to paste; None takes Qwen2.5-VL with 3B parameters.
        usual_verifier: refuse golds that the trainer's own reward cannot read, instead of only
            counting them. Not needed with the reward function of `hf_rap.training`.

    """

    max_prompt_tokens: int | None = None
    prompt_tokens: PromptTokens | None = None
    min_pixels: int | None = None
    max_pixels: int | None = None
    max_images: int | None = None
    rollout_batch: int | None = None
    val_rows: int | None = None
    hold_out: bool = False
    gpus: int = 1
    group: int = 8
    model: str | None = None
    usual_verifier: bool = False

    def __post_init__(self) -> None:
        for name in ("max_prompt_tokens", "min_pixels", "max_pixels", "max_images", "rollout_batch"):
            check_whole(name, getattr(self, name), least=1, none=True)
        check_whole("val_rows", self.val_rows, least=0, none=True)
        check_whole("gpus", self.gpus, least=1)
        check_whole("group", self.group, least=2)
        check_text("model", self.model, none=True, empty=False)
        count = self.prompt_tokens
        check(count is None or callable(count), "prompt_tokens", count, "a function of chat and images, or None")
        check_flags(usual_verifier=self.usual_verifier, hold_out=self.hold_out)
        if self.min_pixels and self.max_pixels and self.min_pixels > self.max_pixels:
            raise SettingError(f"min_pixels ({self.min_pixels}) is above max_pixels ({self.max_pixels}).")
        if self.max_prompt_tokens and self.prompt_tokens is None:
            raise SettingError("max_prompt_tokens needs a model, whose processor counts the tokens.")

    def held_out(self, ready: int, *, needed: bool) -> int:
        """How many of the rows that are ready are to validate on.

        Args:
            ready: how many there are.
            needed: the trainer does not start without any.
        """
        if self.val_rows is None:
            return max(1, min(_MOST_HELD_OUT, ready // 10)) if (needed or self.hold_out) and ready > 1 else 0
        return self.val_rows
