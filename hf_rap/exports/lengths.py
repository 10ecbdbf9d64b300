"""How many tokens a prompt has at most, at the pixel limits of a trainer, without the processor of its model.

Five images of 84 x 60 are 30 tokens to the processor of Qwen2.5-VL, and 1,650 in EasyR1, which enlarges them first. A
trainer leaves out a prompt that is too long, without a word; so the lines to paste set a length that no row exceeds.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from .pictures import scale, size_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Width and height of what becomes one token in Qwen2-VL and Qwen2.5-VL: two by two patches of 14. Those of Qwen3-VL are
# larger, so its prompts are shorter.
TOKEN_SIDE = 28
# What its processor does with an image that the trainer leaves as it is.
PROCESSOR_PIXELS = (4 * TOKEN_SIDE**2, 16384 * TOKEN_SIDE**2)
# Around a turn: who speaks, and the end of it. The system turn that a chat template puts where none is sent has no more.
_TURN, _IMAGE, _FIRST = 8, 2, 32
_STEP = 64  # what lengths are rounded up to


def image_tokens(width: int, height: int, pixels: tuple[int, int]) -> int:
    """At most so many tokens are an image, with limits of pixels.

    Source: `smart_resize` of transformers, models/qwen2_vl: sides become multiples of 28, within the limits.

    >>> image_tokens(84, 60, (262144, 4194304))
    352
    """
    for limits in (pixels, PROCESSOR_PIXELS):
        factor = scale(width, height, *limits) or 1.0
        width, height = math.ceil(width * factor), math.ceil(height * factor)
    return math.ceil(width / TOKEN_SIDE) * math.ceil(height / TOKEN_SIDE)


def most_tokens(chat: Iterable[Mapping[str, Any]], images: Iterable[dict[str, Any]], pixels: tuple[int, int]) -> int:
    """Of a prompt: a token of its text has at least one byte.

    Args:
        chat: turns of text.
        images: of the row, as {"bytes", "path"}.
        pixels: the fewest and the most of an image in the trainer.
    """
    text = sum(len(turn["content"].encode("utf-8", "surrogatepass")) + _TURN for turn in chat)
    return _FIRST + text + sum(image_tokens(*size_of(image), pixels) + _IMAGE for image in images)


def rounded(tokens: int) -> int:
    """Up to a multiple of 64."""
    return math.ceil(tokens / _STEP) * _STEP
