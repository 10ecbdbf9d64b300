"""How many tokens a question and its images take in a model's chat template."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hf_rap.errors import EngineError, first_line
from hf_rap.rows.images import open_image
from hf_rap.rows.prompts import image_messages

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class PromptTokens:
    """Counts with the processor of a model; its weights are not loaded.

    The question is bare, as exports hold it: what a trainer adds (a system prompt, an instruction)
    comes on top.

    Args:
        model: a Hub id or a local folder.
        revision: branch, tag or commit of a Hub model.

    Raises:
        EngineError: on first use, when the processor cannot be loaded.

    """

    model: str
    revision: str | None = None

    def __call__(self, question: str, images: Sequence[Any]) -> int:
        """Tokens of the prompt, the start of the reply included."""
        prompt = self._processor.apply_chat_template(
            image_messages(question, instruction=""), add_generation_prompt=True, tokenize=False
        )
        opened = [open_image(image) for image in images]
        made = self._processor(text=[prompt], images=opened or None, add_special_tokens=False)
        tokens: list[int] = made["input_ids"][0]
        return len(tokens)

    @cached_property
    def _processor(self) -> Any:
        from transformers import AutoProcessor

        try:
            return AutoProcessor.from_pretrained(self.model, revision=self.revision)
        except (OSError, ValueError, ImportError) as error:
            raise EngineError(f"The processor of {self.model!r} cannot be loaded: {first_line(error)}") from error
