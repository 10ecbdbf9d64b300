"""How likely a model in memory finds a given text behind a prompt: one forward pass, nothing is generated."""

from __future__ import annotations

import inspect
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

import torch

from hf_rap.errors import RowError, warnings_stay_warnings

from .answers import answering
from .base import LogLikelihood, Reply
from .forced_passes import with_replies
from .loaded_model import estimated_tokens, likeness
from .teacher_forcing import reply_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .loaded_model import LoadedModel


@warnings_stay_warnings()
def log_likelihoods(loaded: LoadedModel, replies: Sequence[Reply]) -> list[LogLikelihood | RowError]:
    """The log-probability of each reply behind prompt and prefix, in nats at temperature 1, or the error of that reply.

    Prefix and text are cut into tokens together, as a model would write them, and the tokens from the
    first one on that the prefix alone does not have are counted. So where a tokenizer joins the end of
    the prefix with the start of the text, that joint token counts, in every arm alike.

    Replies that share a batch are of one kind (`LoadedModel.kind_of`) and of similar length.
    """
    spelled = [_spelled(loaded, reply) for reply in replies]
    kinds = [loaded.kind_of(reply.request) for reply in replies]
    order = sorted(range(len(replies)), key=lambda index: (kinds[index], likeness(replies[index].request)))

    def run(part: list[int]) -> list[LogLikelihood | RowError]:
        return _read_batch(loaded, [replies[index] for index in part], [spelled[index] for index in part])

    def prompt_and_text(index: int) -> float:
        return estimated_tokens(replies[index].request) + len(spelled[index][0])

    with answering(len(replies)) as answers:
        for _, group in groupby(order, key=lambda index: kinds[index]):
            for batch, answered in loaded.in_batches(
                "likelihood", list(group), prompt_and_text, lambda part: loaded.in_halves(part, run)
            ):
                answers.add(batch, answered)
        return answers.all()


def _spelled(loaded: LoadedModel, reply: Reply) -> tuple[list[int], int]:
    """The tokens of prefix and text, and how many of them belong to the prefix alone."""
    before = reply_tokens(loaded, reply.request.prefix) if reply.request.prefix else []
    whole = reply_tokens(loaded, reply.request.prefix + reply.text)
    pairs = zip(before, whole, strict=False)
    first = next(
        (place for place, (prefix_token, whole_token) in enumerate(pairs) if prefix_token != whole_token),
        min(len(before), len(whole)),
    )
    return whole, first


def _read_batch(
    loaded: LoadedModel, replies: list[Reply], spelled: list[tuple[list[int], int]]
) -> list[LogLikelihood | RowError]:
    errors = [_unusable(loaded, *spelling) for spelling in spelled]
    fitting = [place for place, error in enumerate(errors) if error is None]
    inputs: dict[str, torch.Tensor] = {}
    if fitting:
        inputs = loaded.encode([replace(replies[place].request, prefix="") for place in fitting])
        prompts = inputs["attention_mask"].sum(dim=1).tolist()
        for place, prompt in zip(fitting, prompts, strict=True):
            errors[place] = _too_long(loaded, prompt, len(spelled[place][0]))
    if any(errors):
        fine = [place for place, error in enumerate(errors) if error is None]
        rest = _read_batch(loaded, [replies[place] for place in fine], [spelled[place] for place in fine])
        answers = iter(rest)
        return [error or next(answers) for error in errors]
    return _run(loaded, inputs, spelled) if replies else []


@torch.inference_mode()
def _run(
    loaded: LoadedModel, inputs: dict[str, torch.Tensor], spelled: list[tuple[list[int], int]]
) -> list[LogLikelihood | RowError]:
    sequences, spans = with_replies(inputs, [ids for ids, _ in spelled])
    # Where the tokens that count are foretold: each by the one before it.
    places = [
        list(range(span.start + first - 1, span.stop - 1)) for span, (_, first) in zip(spans, spelled, strict=True)
    ]
    wanted = sorted({place for row in places for place in row})
    with loaded.own_positions():
        logits = _logits(loaded, sequences, wanted)
    loaded.answered = True
    column = {place: number for number, place in enumerate(wanted)}
    answers: list[LogLikelihood | RowError] = []
    for row, (needed, (ids, first)) in enumerate(zip(places, spelled, strict=True)):
        scores = logits[row, [column[place] for place in needed]]
        # In half precision the sum over a vocabulary would lose what is asked for.
        scores = scores if scores.dtype == torch.float64 else scores.float()
        tokens = torch.tensor(ids[first:], device=scores.device)
        logprobs = scores.log_softmax(dim=-1).gather(1, tokens[:, None])
        answers.append(LogLikelihood(float(logprobs.sum()), len(tokens)))
    return answers


def _logits(loaded: LoadedModel, sequences: dict[str, torch.Tensor], wanted: list[int]) -> torch.Tensor:
    """Logits of shape (rows, wanted, vocabulary): those of whole prompts would fill the memory."""
    if "logits_to_keep" in inspect.signature(loaded.model.forward).parameters:
        # A list, not a tensor: of a model on several devices that would be moved to another than the logits are on.
        kept: torch.Tensor = loaded.model(**sequences, use_cache=False, logits_to_keep=wanted).logits
        return kept
    whole: torch.Tensor = loaded.model(**sequences, use_cache=False).logits
    return whole[:, wanted]


def _unusable(loaded: LoadedModel, tokens: list[int], first: int) -> RowError | None:
    tokenizer: Any = loaded.processor.tokenizer
    if len(tokens) == first:
        return RowError("text_empty", "the tokenizer makes no token of the text")
    if tokenizer.unk_token_id is not None and tokenizer.unk_token_id in tokens[first:]:
        return RowError("text_unknown", "the tokenizer has no token for a part of the text")
    return None


def _too_long(loaded: LoadedModel, prompt: int, text: int) -> RowError | None:
    if loaded.context_tokens is None or prompt + text <= loaded.context_tokens:
        return None
    return RowError(
        "too_long",
        f"the prompt has {prompt} tokens and the text behind it {text}, but the model's context is "
        f"{loaded.context_tokens}",
    )
