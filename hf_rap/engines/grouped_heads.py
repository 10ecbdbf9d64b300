"""Decode steps in which grouped keys are read once.

Where several query heads share a head of keys and values, and there is a padding mask, older versions of transformers
repeat keys and values for every query head: at each step the whole cache is written again, several times over. Here the
query heads of a group are taken as the rows of one query, which attends to the keys as they are.

The modules concerned are rerouted as in `probe`, so the model builds sdpa's masks as ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers import AttentionInterface

from . import compat

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

_NAME = "hf_rap_grouped"
_KERNEL = "sdpa"  # the only one that repeats keys; flash attention takes them as they are
# Options that change what a token sees in a way that is not followed here.
_NOT_FOLLOWED = (*compat.BESIDE_SDPA, *compat.UNREAD_OPTIONS)


def grouped_attention(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: Any, **options: Any
) -> tuple[torch.Tensor, None]:
    """Sdpa for one new token per row; everything else goes to the model's own function.

    Args:
        module: the attention module.
        query: (rows, heads, n, dim).
        key: (rows, key heads, tokens, dim).
        value: as `key`.
        attention_mask: (rows, 1, n, tokens) or None.
        options: of the model's own function.

    Returns:
        (rows, n, heads, dim), and None for the weights.
    """
    rows, heads, new, dim = query.shape
    plain = all(options.get(name) is None for name in _NOT_FOLLOWED)
    same_mask = attention_mask is None or attention_mask.shape[1] == 1
    if not plain or new != 1 or not same_mask or heads == key.shape[1]:
        result: tuple[torch.Tensor, None] = compat.usual_attention(module, query, key, value, attention_mask, **options)
        return result
    grouped = query.reshape(rows, key.shape[1], heads // key.shape[1], dim)
    seen = torch.nn.functional.scaled_dot_product_attention(
        grouped, key, value, attn_mask=attention_mask, scale=options.get("scaling")
    )
    return seen.reshape(rows, 1, heads, value.shape[-1]), None


AttentionInterface.register(_NAME, grouped_attention)


def grouped_modules(model: Any) -> list[Any]:
    """The attention modules in which query heads share keys, of a model that runs on sdpa."""
    return [
        module
        for module in model.modules()
        if getattr(module, "num_key_value_groups", 1) > 1
        and compat.attention_name(getattr(module, "config", None)) == _KERNEL
    ]


def reads_grouped_keys_once(modules: Sequence[Any]) -> AbstractContextManager[None]:
    """Within, the attention of these modules goes through `grouped_attention`."""
    return compat.rerouted(modules, _NAME)
