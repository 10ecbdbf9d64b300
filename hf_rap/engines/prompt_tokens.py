"""How many tokens a prompt and its images take in a model's chat template."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hf_rap.errors import EngineError, first_line
from hf_rap.rows.images import open_image

from .texts import render

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class PromptTokens:
    """Counts with the processor of a model; its weights are not loaded.

    Args:
        model: a Hub id or a local folder.
        revision: branch, tag or commit of a Hub model.

    Raises:
        EngineError: on first use, when the processor cannot be loaded.

    """

    model: str
    revision: str | None = None

    def __call__(self, chat: list[dict[str, Any]], images: Sequence[Any], **arguments: Any) -> int:
        """Tokens of a chat of blocks, the start of the reply included; `arguments` are of the chat template."""
        prompt = render(self._processor, chat, **arguments)
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
