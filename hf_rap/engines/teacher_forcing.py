"""Replies that are there already, read again by a model in memory: where did its last layer look?"""

from __future__ import annotations

from itertools import accumulate, chain, groupby
from typing import TYPE_CHECKING

from hf_rap.errors import RowError, warnings_stay_warnings

from .answers import answering
from .base import Reply, ReplyAttention, Request
from .forced_passes import behind_shared_prompts, whole
from .loaded_model import estimated_tokens, likeness
from .probe import AttentionProbe
from .texts import THINKING, beyond_context, not_finite, other_prompt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .loaded_model import LoadedModel
    from .probe import Columns

_PROMPT_END = 16  # tokens, in which the start of a thought fits however it is spelled


@warnings_stay_warnings()
def attend(loaded: LoadedModel, replies: Sequence[Reply], *, window: int) -> list[ReplyAttention | RowError]:
    """The attention inside each reply, or the error of that reply alone.

    The tokens are those that the model wrote, where the reply has them. Else they are those of the stored text, cut anew:
    white space at its ends is lost, control tokens are ordinary text, and where a model spelled a word unusually the usual
    spelling stands in. The end token is left out, since nothing is said after it.

    A prompt is run once for all replies to the same `Request` object. Requests that share a batch
    are of one kind (`LoadedModel.kind_of`) and of similar length.
    """
    if not replies:
        return []
    probe = AttentionProbe(loaded.model, _ordinary_token(loaded))
    tokens = [
        loaded.texts.reply_tokens(reply.text) if reply.token_ids is None else loaded.texts.without_ends(reply.token_ids)
        for reply in replies
    ]

    def run(part: list[int]) -> list[ReplyAttention | RowError]:
        return _attend_batch(
            loaded, probe, [replies[index] for index in part], [tokens[index] for index in part], window
        )

    def run_groups(groups: list[list[int]]) -> list[ReplyAttention | RowError]:
        return loaded.in_halves(list(chain(*groups)), run)

    def prompt_and_replies(group: list[int]) -> float:
        return estimated_tokens(replies[group[0]].request) + sum(len(tokens[index]) for index in group)

    of_request: dict[int, list[int]] = {}  # request -> its replies
    for index, reply in enumerate(replies):
        of_request.setdefault(id(reply.request), []).append(index)
    kinds = {key: loaded.kind_of(replies[group[0]].request) for key, group in of_request.items()}
    order = sorted(of_request, key=lambda key: (kinds[key], likeness(replies[of_request[key][0]].request)))
    with answering(len(replies)) as answers:
        for _, keys in groupby(order, key=lambda key: kinds[key]):
            groups = [of_request[key] for key in keys]
            for batch, answered in loaded.in_batches("attention", groups, prompt_and_replies, run_groups):
                answers.add(list(chain(*batch)), answered)
        return answers.all()


def _attend_batch(
    loaded: LoadedModel, probe: AttentionProbe, replies: list[Reply], tokens: list[list[int]], window: int
) -> list[ReplyAttention | RowError]:
    errors: list[RowError | None] = [
        _unusable(ids) or loaded.texts.other_tokens(reply) for ids, reply in zip(tokens, replies, strict=True)
    ]
    if not all(errors):
        requests, owners = _distinct(replies)
        inputs = loaded.encode(requests)
        prompts = inputs["attention_mask"].sum(dim=1).tolist()
        errors = [
            error
            or other_prompt(reply, prompts[owner])
            or beyond_context(prompts[owner], len(ids), loaded.context_tokens)
            for error, reply, owner, ids in zip(errors, replies, owners, tokens, strict=True)
        ]
    if any(errors):
        fine = [place for place, error in enumerate(errors) if error is None]
        rest = _attend_batch(loaded, probe, [replies[p] for p in fine], [tokens[p] for p in fine], window)
        answers = iter(rest)
        return [error or next(answers) for error in errors]
    if not replies:
        return []
    opened = [_opens_thinking(loaded, ids) for ids in inputs["input_ids"].tolist()]
    texts = [loaded.texts.token_texts(ids) for ids in tokens]
    thinking = [thinking_tokens(words, opened=opened[owner]) for words, owner in zip(texts, owners, strict=True)]
    # Thinking that is all of the reply, or nothing, needs no reading of its own.
    cuts = [count if count < len(ids) else 0 for count, ids in zip(thinking, tokens, strict=True)]
    read = behind_shared_prompts(loaded, probe, inputs, owners, tokens, cuts=cuts, window=window)
    if read is None:
        read = whole(loaded, probe, [reply.request for reply in replies], tokens, cuts=cuts, window=window)
    loaded.answered = True
    return [
        _as_lists(words, columns, count, sees_image=sees_image)
        for words, count, (columns, sees_image) in zip(texts, thinking, read, strict=True)
    ]


def _distinct(replies: list[Reply]) -> tuple[list[Request], list[int]]:
    """The requests, each object once, and for every reply the place of its own."""
    requests = {id(reply.request): reply.request for reply in replies}
    places = {key: place for place, key in enumerate(requests)}
    return list(requests.values()), [places[id(reply.request)] for reply in replies]


def _ordinary_token(loaded: LoadedModel) -> int:
    return loaded.texts.reply_tokens("a")[-1]


def _unusable(tokens: list[int]) -> RowError | None:
    if not tokens:
        return RowError("reply_empty", "the reply has no text")
    if len(tokens) == 1:
        return RowError("reply_too_short", "the reply has a single token, so no token looks at another")
    return None


def _opens_thinking(loaded: LoadedModel, prompt: list[int]) -> bool:
    """The prompt ends with the start of a thought, as some chat templates have it."""
    end: str = loaded.processor.tokenizer.decode(prompt[-_PROMPT_END:])
    return end.rstrip().endswith(THINKING[0])


def thinking_tokens(tokens: Sequence[str], *, opened: bool) -> int:
    """How many tokens of a reply are its thinking: all up to the last `</think>`, that included.

    A thought that is never closed is all of the reply; a reply without any has none.

    Args:
        tokens: their texts.
        opened: the prompt has begun the thought.

    >>> thinking_tokens(["<think>", " 3", " so", "</think>", " 3"], opened=False)
    4
    >>> thinking_tokens([" 3", " so"], opened=True), thinking_tokens([" 3", " so"], opened=False)
    (2, 0)
    """
    start, end = THINKING
    text = "".join(tokens)
    close = text.rfind(end)
    if close < 0:
        return len(tokens) if opened or start in text else 0
    lengths = accumulate(len(token) for token in tokens)
    return 1 + next(place for place, length in enumerate(lengths) if length >= close + len(end))


def _as_lists(tokens: list[str], columns: Columns, thinking: int, *, sees_image: bool) -> ReplyAttention | RowError:
    """Numbers as Python has them; no image share where no token of the prompt is known to be an image's."""
    entropies = columns.entropy.tolist()
    if error := not_finite(entropies, "attention weights"):
        return error
    kinds = (columns.products, columns.windows, columns.cut_products, columns.cut_windows)
    products, windows, thinking_products, thinking_windows = (
        {reading: values.tolist() for reading, values in kind.items()} for kind in kinds
    )
    return ReplyAttention(
        tokens=tokens,
        products=products,
        windows=windows,
        image_shares=columns.image.tolist() if sees_image else [],
        entropies=entropies,
        thinking=thinking,
        thinking_products=thinking_products,
        thinking_windows=thinking_windows,
    )
