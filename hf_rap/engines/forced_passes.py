"""Forward passes over replies that are given: behind a prompt that is run once, or as whole sequences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from . import compat
from .inputs import per_token
from .probe import Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .base import Request
    from .loaded_model import LoadedModel
    from .probe import AttentionProbe, Columns

    Read = list[tuple[Columns, bool]]  # per reply, and whether its image tokens are known

# Of the inputs with one number per token, what a token of a reply has; other such inputs are 0 there. Where there are
# several numbers, it has those of the prompt's last token: which pictures it sees.
_OF_REPLY = {"attention_mask": 1}


@torch.inference_mode()
def behind_shared_prompts(
    loaded: LoadedModel,
    probe: AttentionProbe,
    inputs: dict[str, torch.Tensor],
    owners: Sequence[int],
    tokens: Sequence[list[int]],
    *,
    cuts: Sequence[int],
    window: int,
) -> Read | None:
    """What the probe reads in each reply; every prompt is run once, and its cache repeated per reply.

    Args:
        loaded: the model.
        probe: of that model.
        inputs: the prompts, padded on the left (`LoadedModel.encode`).
        owners: for each reply, the row of `inputs` that it answers.
        tokens: ids of each reply.
        cuts: how many of these are read by themselves as well, see `Span`.
        window: see `AttentionProbe.run`.

    Returns:
        None where the model's cache does not hold every token, so that a pass cannot go on from it.

    """
    if not loaded.shares_prefixes:
        return None
    prompt = inputs["input_ids"]
    with loaded.own_positions():
        cache = loaded.run_prompts(inputs)
        if not loaded.keeps_all_tokens(cache):
            return None
        offsets = compat.rope_offsets(loaded.model)
        readings: dict[int, tuple[Columns, bool]] = {}
        for chunk in _of_like_length(tokens, loaded.replies_at_once):
            rows = torch.tensor([owners[place] for place in chunk], device=prompt.device)
            repeated = {name: value[rows] for name, value in per_token(inputs).items()}
            sequences, spans = with_replies(repeated, [tokens[place] for place in chunk], width=prompt.shape[1])
            spans = [span._replace(cut=cuts[place]) for span, place in zip(spans, chunk, strict=True)]
            images = _image_tokens(loaded, sequences["input_ids"], spans)
            compat.set_rope_offsets(offsets, rows)
            with probe.reading(spans, image_tokens=images, window=window) as columns:
                # One token is asked for, and so there is one pass, over all tokens that are not in the cache.
                compat.go_on_from(
                    loaded.model, compat.rows_of_cache(cache, rows), **sequences, max_new_tokens=1, do_sample=False
                )
            readings.update(zip(chunk, _with_sight(columns, images), strict=True))
    return [readings[place] for place in range(len(tokens))]


def whole(
    loaded: LoadedModel,
    probe: AttentionProbe,
    requests: Sequence[Request],
    tokens: Sequence[list[int]],
    *,
    cuts: Sequence[int],
    window: int,
) -> Read:
    """What the probe reads in each reply; its request is run with it, once per reply."""
    readings: dict[int, tuple[Columns, bool]] = {}
    for chunk in _of_like_length(tokens, loaded.replies_at_once):
        inputs = loaded.encode([requests[place] for place in chunk])
        sequences, spans = with_replies(inputs, [tokens[place] for place in chunk])
        spans = [span._replace(cut=cuts[place]) for span, place in zip(spans, chunk, strict=True)]
        images = _image_tokens(loaded, sequences["input_ids"], spans)
        with loaded.own_positions():
            columns = probe.run(sequences, spans, image_tokens=images, window=window)
        readings.update(zip(chunk, _with_sight(columns, images), strict=True))
    return [readings[place] for place in range(len(tokens))]


def _of_like_length(tokens: Sequence[list[int]], size: int) -> list[list[int]]:
    order = sorted(range(len(tokens)), key=lambda place: len(tokens[place]))
    return [order[start : start + size] for start in range(0, len(order), size)]


def with_replies(
    inputs: dict[str, torch.Tensor], tokens: Sequence[list[int]], *, width: int | None = None
) -> tuple[dict[str, torch.Tensor], list[Span]]:
    """The prompts with their replies behind them, padded on the right, and where the replies are.

    Padding on the right leaves every position where it is without padding, and no token can see it. It
    is an ordinary token, since `generate` warns of a padding token on the right.

    Args:
        inputs: prompts, padded on the left.
        tokens: ids of the reply to each.
        width: every prompt keeps this width, padding included; None takes the padding off.

    """
    prompt = inputs["input_ids"]
    real = inputs["attention_mask"].bool() if width is None else torch.ones_like(prompt, dtype=torch.bool)
    lengths = real.sum(dim=1).tolist()
    spans = [
        Span(row, length, length + len(ids)) for row, (length, ids) in enumerate(zip(lengths, tokens, strict=True))
    ]
    longest = max(span.stop for span in spans)
    sequences = dict(inputs)
    for name, value in per_token(inputs).items():
        longer = value.new_full((len(spans), longest, *value.shape[2:]), tokens[0][0] if name == "input_ids" else 0)
        for span, ids in zip(spans, tokens, strict=True):
            longer[span.row, : span.start] = value[span.row][real[span.row]]
            of_reply = torch.tensor(ids) if name == "input_ids" else torch.tensor(_OF_REPLY.get(name, 0))
            longer[span.row, span.start : span.stop] = of_reply.to(value) if value.ndim == 2 else value[span.row, -1]
        sequences[name] = longer
    return sequences, spans


def _image_tokens(loaded: LoadedModel, ids: torch.Tensor, spans: list[Span]) -> torch.Tensor | None:
    """True where an image stands in a prompt; None for a model that does not say which token that is."""
    config = loaded.model.config
    token = getattr(config, "image_token_id", getattr(config, "image_token_index", None))
    if token is None:
        return None
    images: torch.Tensor = ids == token
    for span in spans:
        images[span.row, span.start :] = False
    return images


def _with_sight(columns: list[Columns], images: torch.Tensor | None) -> Read:
    return [(reading, images is not None and bool(images[row].any())) for row, reading in enumerate(columns)]
