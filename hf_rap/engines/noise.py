"""Sampling that does not depend on batch size, row order or the number of processes.

Gumbel-max: argmax(log p + g) with independent Gumbel noise g is an exact sample from p. The noise
comes from a counter-based generator, a hash of (seed, row, arm, attempt, step, token), so that any
subset of the rows, computed anywhere, draws the same tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from transformers import LogitsProcessor

if TYPE_CHECKING:
    from collections.abc import Sequence


def gumbel(keys: torch.Tensor, step: int, width: int) -> torch.Tensor:
    """Standard Gumbel noise of shape (len(keys), width), float32; `keys` is int64 of shape (n,)."""
    tokens = torch.arange(width, dtype=torch.int64, device=keys.device)
    streams = _mix(keys + _signed(step * 0x9E3779B97F4A7C15 % (1 << 64)))
    bits = _mix(streams[:, None] + tokens[None, :] * _GOLDEN)
    # 53 random bits; the half keeps u away from 0. Small u becomes the large noise, and floats are
    # finest near 0, so the tail that decides between unlikely tokens is exact. No float64: mps has none.
    uniform = (_shift(bits, 11).to(torch.float32) + 0.5) * 2.0**-53
    exponential = -torch.log1p(-uniform.clamp(max=1 - 2.0**-24))
    return -torch.log(exponential)


class GumbelNoise(LogitsProcessor):  # type: ignore[misc]
    """Adds the noise of each reply's stream; greedy decoding then samples.

    `keys` holds one stream key per row of the batch, `prompt_length` the tokens before the reply.
    """

    def __init__(self, keys: Sequence[int], prompt_length: int) -> None:
        self.keys = torch.tensor(keys, dtype=torch.int64)
        self.prompt_length = prompt_length

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores of shape (batch, vocabulary) plus noise; -inf stays -inf."""
        self.keys = self.keys.to(scores.device)
        step = input_ids.shape[1] - self.prompt_length
        return scores + gumbel(self.keys, step, scores.shape[1])


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


# The constants of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014); int64 arithmetic wraps around.
_GOLDEN = _signed(0x9E3779B97F4A7C15)
_FIRST = _signed(0xBF58476D1CE4E5B9)
_SECOND = _signed(0x94D049BB133111EB)


def _shift(bits: torch.Tensor, by: int) -> torch.Tensor:
    """Logical shift to the right; torch shifts signed integers arithmetically."""
    return (bits >> by).bitwise_and_((1 << (64 - by)) - 1)


def _mix(bits: torch.Tensor) -> torch.Tensor:
    """The finaliser of SplitMix64; in place, since `bits` is as large as the logits of a step."""
    bits = bits.bitwise_xor_(_shift(bits, 30)).mul_(_FIRST)
    bits = bits.bitwise_xor_(_shift(bits, 27)).mul_(_SECOND)
    return bits.bitwise_xor_(_shift(bits, 31))
