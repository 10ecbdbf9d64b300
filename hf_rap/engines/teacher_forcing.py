"""Replies that are there already, read again by a model in memory: where did its last layer look?"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import torch

from hf_rap.errors import RowError

from .base import Reply, ReplyAttention
from .probe import AttentionProbe, Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .loaded_model import LoadedModel
    from .probe import Columns

# Of the inputs with one number per token, what a token of a reply has; other such inputs are 0 there.
_OF_REPLY = {"attention_mask": 1}


def attend(loaded: LoadedModel, replies: Sequence[Reply], *, window: int) -> list[ReplyAttention | RowError]:
    """The attention inside each reply, or the error of that reply alone.

    The tokens are those of the stored text, cut anew: white space at its ends and control tokens
    are lost, and where a model spelled a word unusually the usual spelling stands in. The end
    token is left out, since nothing is said after it.

    Replies that share a batch have images or have none and are of similar length.
    """
    if not replies:
        return []
    probe = AttentionProbe(loaded.model, _ordinary_token(loaded))
    tokens = [_tokens(loaded, reply.text) for reply in replies]
    order = sorted(range(len(replies)), key=lambda index: (_has_images(replies[index]), len(tokens[index])))
    answers: dict[int, ReplyAttention | RowError] = {}

    def run(part: list[int]) -> list[ReplyAttention | RowError]:
        return _attend_batch(
            loaded, probe, [replies[index] for index in part], [tokens[index] for index in part], window
        )

    for _, group in groupby(order, key=lambda index: _has_images(replies[index])):
        waiting = list(group)
        while waiting:
            batch, waiting = waiting[: loaded.batch_size], waiting[loaded.batch_size :]
            answers.update(zip(batch, loaded.in_halves(batch, run), strict=True))
    return [answers[index] for index in range(len(replies))]


def _attend_batch(
    loaded: LoadedModel, probe: AttentionProbe, replies: list[Reply], tokens: list[list[int]], window: int
) -> list[ReplyAttention | RowError]:
    errors: list[RowError | None] = [_unusable(ids) for ids in tokens]
    fitting = [place for place, error in enumerate(errors) if error is None]
    if fitting:
        inputs = loaded.encode([replies[place].request for place in fitting])
        prompts = inputs["attention_mask"].sum(dim=1).tolist()
        for place, prompt in zip(fitting, prompts, strict=True):
            errors[place] = _changed(replies[place], prompt) or _too_long(loaded, prompt, len(tokens[place]))
    if any(errors):
        fine = [place for place, error in enumerate(errors) if error is None]
        rest = _attend_batch(loaded, probe, [replies[p] for p in fine], [tokens[p] for p in fine], window)
        found = iter(rest)
        return [error or next(found) for error in errors]
    if not replies:
        return []
    sequences, spans = _with_replies(inputs, tokens, loaded)
    images = _image_tokens(loaded, sequences["input_ids"], spans)
    with loaded.positions() as positions:
        for module in positions():  # left by an earlier call of the user's
            module.rope_deltas = None
        columns = probe.run(sequences, spans, image_tokens=images, window=window)
    loaded.answered = True
    return [
        _as_lists(loaded, ids, one, sees_image=images is not None and bool(images[row].any()))
        for row, (ids, one) in enumerate(zip(tokens, columns, strict=True))
    ]


def _with_replies(
    inputs: dict[str, torch.Tensor], tokens: list[list[int]], loaded: LoadedModel
) -> tuple[dict[str, torch.Tensor], list[Span]]:
    """The prompts with their replies behind them, padded on the right, and where the replies are.

    Padding on the right leaves every position where it is without padding, and no token can see it.
    """
    prompt = inputs["input_ids"]
    real = inputs["attention_mask"].bool()
    lengths = real.sum(dim=1).tolist()
    spans = [
        Span(row, length, length + len(ids)) for row, (length, ids) in enumerate(zip(lengths, tokens, strict=True))
    ]
    width = max(span.stop for span in spans)
    padding = {"input_ids": loaded.processor.tokenizer.pad_token_id}
    sequences = dict(inputs)
    for name, value in inputs.items():
        if value.shape != prompt.shape:
            continue
        longer = value.new_full((len(spans), width), padding.get(name, 0))
        for span, ids in zip(spans, tokens, strict=True):
            longer[span.row, : span.start] = value[span.row][real[span.row]]
            of_reply = torch.tensor(ids) if name == "input_ids" else torch.tensor(_OF_REPLY.get(name, 0))
            longer[span.row, span.start : span.stop] = of_reply.to(value)
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


def _tokens(loaded: LoadedModel, text: str) -> list[int]:
    """The tokens of a reply; what spells a control token in it is text."""
    ids: list[int] = loaded.processor.tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids
    return ids


def _ordinary_token(loaded: LoadedModel) -> int:
    return _tokens(loaded, "a")[-1]


def _unusable(tokens: list[int]) -> RowError | None:
    if not tokens:
        return RowError("reply_empty", "the reply has no text")
    if len(tokens) == 1:
        return RowError("reply_too_short", "the reply has a single token, so no token looks at another")
    return None


def _changed(reply: Reply, prompt: int) -> RowError | None:
    if reply.prompt_tokens is None or reply.prompt_tokens == prompt:
        return None
    return RowError(
        "image_tokens_changed",
        f"the prompt has {prompt} tokens here, but had {reply.prompt_tokens} when the reply was generated; use the "
        "same processor options (pixel limits), chat template and instruction",
    )


def _too_long(loaded: LoadedModel, prompt: int, reply: int) -> RowError | None:
    if loaded.context_tokens is None or prompt + reply <= loaded.context_tokens:
        return None
    return RowError(
        "too_long",
        f"the prompt has {prompt} tokens and the reply {reply}, but the model's context is {loaded.context_tokens}",
    )


def _has_images(reply: Reply) -> bool:
    return bool(reply.request.images)


def _as_lists(loaded: LoadedModel, ids: list[int], columns: Columns, *, sees_image: bool) -> ReplyAttention:
    """Numbers as Python has them; no image share where no token of the prompt is known to be an image's."""
    return ReplyAttention(
        tokens=_texts(loaded.processor.tokenizer, ids),
        products={heads: values.tolist() for heads, values in columns.products.items()},
        windows={heads: values.tolist() for heads, values in columns.windows.items()},
        image_shares=columns.image.tolist() if sees_image else [],
        entropies=columns.entropy.tolist(),
    )


def _texts(tokenizer: Any, ids: list[int]) -> list[str]:
    """The text of each token where it stands: some tokenizers drop the space before a lone token."""
    texts = [tokenizer.decode(ids[:1])]
    for place in range(1, len(ids)):
        before = tokenizer.decode(ids[place - 1 : place])
        texts.append(tokenizer.decode(ids[place - 1 : place + 1])[len(before) :])
    return texts
