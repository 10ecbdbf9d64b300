"""What a model in memory holds of a prompt before it answers: the hidden states of the prompt's last token."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hf_rap.errors import RowError, warnings_stay_warnings

from .answers import answering
from .loaded_model import estimated_tokens, likeness
from .probe import last_logits_only
from .text_layers import LastTokens
from .texts import overflowed, too_long

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .base import Request
    from .loaded_model import LoadedModel


@warnings_stay_warnings()
def prompt_states(
    loaded: LoadedModel, requests: Sequence[Request], *, depths: Sequence[float]
) -> list[NDArray[np.float16] | RowError]:
    """Per request (n_depths, width): what leaves the text layers at these depths at the prompt's last token, or its error.

    One pass over each prompt; nothing is generated. Requests that share a batch are of one kind (`LoadedModel.kind_of`)
    and of similar length.
    """
    if not requests:
        return []
    chosen = loaded.layers_at(depths)
    order = sorted(range(len(requests)), key=lambda index: (loaded.kind_of(requests[index]), likeness(requests[index])))

    def run(part: list[int]) -> list[NDArray[np.float16] | RowError]:
        return _read_batch(loaded, [requests[index] for index in part], chosen)

    with answering(len(requests)) as answers:
        for _, group in groupby(order, key=lambda index: loaded.kind_of(requests[index])):
            for batch, answered in loaded.in_batches(
                "states",
                list(group),
                lambda index: estimated_tokens(requests[index]),
                lambda part: loaded.in_halves(part, run),
            ):
                answers.add(batch, answered)
        return answers.all()


def _read_batch(
    loaded: LoadedModel, requests: list[Request], layers: list[Any]
) -> list[NDArray[np.float16] | RowError]:
    inputs = loaded.encode(requests)
    lengths = inputs["attention_mask"].sum(dim=1).tolist()
    errors = [too_long(length, 0, loaded.context_tokens) for length in lengths]
    if any(errors):
        fitting = [request for request, error in zip(requests, errors, strict=True) if error is None]
        answers = iter(_read_batch(loaded, fitting, layers) if fitting else [])
        return [error or next(answers) for error in errors]
    with torch.inference_mode(), loaded.own_positions(), LastTokens(layers) as states:
        loaded.model(**inputs, use_cache=False, **last_logits_only(loaded.model))
    read = [overflowed("hidden states") if np.isnan(row).any() else row for row in states.of_rows()]
    loaded.answered |= any(not isinstance(row, RowError) for row in read)
    return read
