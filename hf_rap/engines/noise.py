"""Sampling that does not depend on batch size, row order or the number of processes.

Gumbel-max: argmax(log p + g) with independent Gumbel noise g is an exact sample from p. The noise
comes from a counter-based generator, a hash of (seed, row, arm, attempt, step, token), so that any
subset of the rows, computed anywhere, draws the same tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers import LogitsProcessor

if TYPE_CHECKING:
    from collections.abc import Sequence


_BLOCK = 1 << 18  # tokens whose 64-bit numbers stay in the cache of a CPU: 2 MB


def gumbel(keys: torch.Tensor, step: int, width: int) -> torch.Tensor:
    """Standard Gumbel noise of shape (len(keys), width), float32; `keys` is int64 of shape (n,)."""
    tokens = torch.arange(width, dtype=torch.int64, device=keys.device)
    streams = _mix(keys + _signed(step * 0x9E3779B97F4A7C15 % (1 << 64)))
    bits = _mix(streams[:, None] + tokens[None, :] * _GOLDEN)
    # 53 random bits; the half keeps u away from 0. Small u becomes the large noise, and floats are
    # finest near 0, so the tail that decides between unlikely tokens is exact. No float64: mps has none.
    # In place from here on, with the signs of u and of the logarithm turned: each pass is over all logits of a step.
    minus_uniform = _shift(bits, 11).to(torch.float32).add_(0.5).mul_(-(2.0**-53))
    exponential = minus_uniform.clamp_(min=2.0**-24 - 1).log1p_().neg_()
    return exponential.log_().neg_()


class GumbelNoise(LogitsProcessor):  # type: ignore[misc]
    """Adds the noise of each reply's stream; greedy decoding then samples.

    `keys` holds one stream key per row of the batch, `prompt_length` the tokens before the reply.

    On a CPU rows are taken a few at a time, so that the bits of their tokens stay in its cache. On a GPU the noise of the
    next step is drawn in a stream of its own while the model computes that step: it does not depend on what the model
    says, and a GPU idles between the many small kernels of a decode step.
    """

    def __init__(self, keys: Sequence[int], prompt_length: int) -> None:
        self.keys = torch.tensor(keys, dtype=torch.int64)
        self.prompt_length = prompt_length
        self._beside: Any = None  # the stream in which the next step's noise is drawn
        self._next: tuple[int, torch.Tensor] | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores of shape (batch, vocabulary) plus noise; -inf stays -inf."""
        self.keys = self.keys.to(scores.device)
        step = input_ids.shape[1] - self.prompt_length
        if scores.device.type == "cuda":
            return scores + self._drawn_ahead(step, scores.shape[1])
        noisy = torch.empty_like(scores)
        rows = max(1, _BLOCK // scores.shape[1])
        for start in range(0, len(scores), rows):
            part = slice(start, start + rows)
            torch.add(scores[part], gumbel(self.keys[part], step, scores.shape[1]), out=noisy[part])
        return noisy

    def _drawn_ahead(self, step: int, width: int) -> torch.Tensor:
        """The noise of this step; that of the next one is begun."""
        here = torch.cuda.current_stream(self.keys.device)
        self._beside = self._beside or torch.cuda.Stream(self.keys.device)  # type: ignore[no-untyped-call]
        if self._next is None or self._next[0] != step:
            noise = gumbel(self.keys, step, width)
        else:
            here.wait_stream(self._beside)
            noise = self._next[1]
            noise.record_stream(here)
        self._beside.wait_stream(here)
        with torch.cuda.stream(self._beside):
            self._next = (step + 1, gumbel(self.keys, step + 1, width))
        return noise


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
