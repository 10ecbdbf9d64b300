"""Where a model has no logits any more: half precision ends at 65,504, and on some texts and pictures that is too little."""

from __future__ import annotations

import torch
from transformers import LogitsProcessor


class FiniteSteps(LogitsProcessor):  # type: ignore[misc]
    """Counts the steps of each reply before the first at which a logit is NaN, or the largest is no finite number.

    The most likely token is then the one with the number 0, up to the limit: in many vocabularies a reply of nothing but "!".
    """

    def __init__(self) -> None:
        self._finite: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """The scores, (batch, vocabulary), as they are."""
        del input_ids
        self._finite.append(scores.amax(dim=-1).isfinite())  # the largest is NaN where any is
        return scores

    def of_rows(self) -> list[int]:
        """That count for each row of the batch."""
        counts: list[int] = torch.stack(self._finite).cpu().long().cumprod(dim=0).sum(dim=0).tolist()
        return counts
