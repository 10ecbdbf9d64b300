"""How likely a model in memory finds a given text behind a prompt: one forward pass, nothing is generated."""

from __future__ import annotations

import inspect
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

import torch

from hf_rap.errors import RowError, warnings_stay_warnings

from .answers import answering
from .base import LogLikelihood, Reply
from .forced_passes import with_replies
from .loaded_model import estimated_tokens, likeness
from .texts import beyond_context, not_finite, other_prompt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .loaded_model import LoadedModel


@warnings_stay_warnings()
def log_likelihoods(loaded: LoadedModel, replies: Sequence[Reply]) -> list[LogLikelihood | RowError]:
    """The log-probability of each reply behind prompt and prefix, in nats at temperature 1, or the error of that reply.

    The tokens from the first one on that the prefix alone does not have are counted (`Texts.spelled`), in every arm alike.

    Replies that share a batch are of one kind (`LoadedModel.kind_of`) and of similar length.
    """
    spelled: dict[int, tuple[list[int], int]] = {}
    unusable: dict[int, RowError] = {}
    for index, reply in enumerate(replies):
        try:
            spelled[index] = loaded.texts.spelled(reply)
        except RowError as error:
            unusable[index] = error
    kinds = {index: loaded.kind_of(replies[index].request) for index in spelled}
    order = sorted(spelled, key=lambda index: (kinds[index], likeness(replies[index].request)))

    def run(part: list[int]) -> list[LogLikelihood | RowError]:
        return _read_batch(loaded, [replies[index] for index in part], [spelled[index] for index in part])

    def prompt_and_text(index: int) -> float:
        return estimated_tokens(replies[index].request) + len(spelled[index][0])

    with answering(len(replies)) as answers:
        answers.add(list(unusable), list(unusable.values()))
        for _, group in groupby(order, key=lambda index: kinds[index]):
            for batch, answered in loaded.in_batches(
                "likelihood", list(group), prompt_and_text, lambda part: loaded.in_halves(part, run)
            ):
                answers.add(batch, answered)
        return answers.all()


def _read_batch(
    loaded: LoadedModel, replies: list[Reply], spelled: list[tuple[list[int], int]]
) -> list[LogLikelihood | RowError]:
    inputs = loaded.encode([replace(reply.request, prefix="") for reply in replies])
    prompts = inputs["attention_mask"].sum(dim=1).tolist()
    errors = [
        other_prompt(reply, prompt) or beyond_context(prompt, len(ids), loaded.context_tokens)
        for reply, prompt, (ids, _) in zip(replies, prompts, spelled, strict=True)
    ]
    if any(errors):
        fine = [place for place, error in enumerate(errors) if error is None]
        rest = [replies[place] for place in fine], [spelled[place] for place in fine]
        answers = iter(_read_batch(loaded, *rest) if fine else [])
        return [error or next(answers) for error in errors]
    return _run(loaded, inputs, spelled)


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
        logprobs = scores.log_softmax(dim=-1).gather(1, tokens[:, None])[:, 0]
        each = tuple(logprobs.tolist())
        texts = tuple(loaded.texts.token_texts(ids)[first:])
        answers.append(not_finite(each) or LogLikelihood(float(logprobs.sum()), len(tokens), each, texts))
    return answers


def _logits(loaded: LoadedModel, sequences: dict[str, torch.Tensor], wanted: list[int]) -> torch.Tensor:
    """Logits of shape (rows, wanted, vocabulary): those of whole prompts would fill the memory."""
    if "logits_to_keep" in inspect.signature(loaded.model.forward).parameters:
        # A list, not a tensor: of a model on several devices that would be moved to another than the logits are on.
        kept: torch.Tensor = loaded.model(**sequences, use_cache=False, logits_to_keep=wanted).logits
        return kept
    whole: torch.Tensor = loaded.model(**sequences, use_cache=False).logits
    return whole[:, wanted]
