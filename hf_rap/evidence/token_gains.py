"""How much likelier the image makes each token of a reply that was read again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_rap.errors import LayoutError

if TYPE_CHECKING:
    from collections.abc import Mapping


def token_gains(reply: Mapping[str, Any], arm: str) -> list[float] | None:
    """Of one entry of `rap_reply_logprobs`, per token, log p(image) - log p(arm); None where one of them is not known.

    Raises:
        LayoutError: the arms have different numbers of tokens.
    """
    image, other = reply.get("image"), reply.get(arm)
    if image is None or other is None:
        return None
    if len(image) != len(other):
        raise LayoutError(f"A reply has {len(image)} tokens with the image and {len(other)} of the arm {arm!r}.")
    return [with_image - without for with_image, without in zip(image, other, strict=True)]
