"""Which of a model's inputs go with the tokens of a prompt, and so have to grow and be repeated with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch


def per_token(inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The inputs that say something of every token, of shape (rows, tokens, ...).

    Ids and masks; kinds of tokens; in Mllama also which pictures a token sees, (rows, tokens, pictures, tiles).
    """
    shape = inputs["input_ids"].shape
    return {name: value for name, value in inputs.items() if value.ndim >= 2 and value.shape[:2] == shape}
