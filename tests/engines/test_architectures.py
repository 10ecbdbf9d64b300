"""Every architecture through the same engine: no batch, order or cache trick may change a token.

Each reply is held against a slow path that shares nothing with the engine: `generate` on the row
alone, or one full forward pass per token.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import pytest
import torch

from hf_rap.engines.base import Completion, Request, Sampling, stream_key
from hf_rap.engines.loaded_model import LoadedModel
from hf_rap.engines.noise import gumbel

from .tiny_models import FAMILIES, ask, build, picture

if TYPE_CHECKING:
    from hf_rap.errors import RowError

SAMPLING = Sampling(temperature=1.0, max_new_tokens=8, seed=7)
GREEDY = Sampling(temperature=0.0, max_new_tokens=8)

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("family", FAMILIES)]  # each builds a model


class Strict(LoadedModel):
    """Raises where the engine would try the halves of a batch: one row alone hides many a mistake."""

    def _complete_or_halve(self, requests: list[Request], sampling: Sampling) -> list[list[Completion] | RowError]:
        return self._complete_batch(requests, sampling)


def picture_rows() -> list[Request]:
    """Seven rows: pictures of different sizes, questions of different lengths, one to two pictures."""
    return [
        ask("a", "<image>What is this?", picture(20, 30, seed=1)),
        ask(
            "b",
            "<image>How many of the shapes in this picture are red, and which one stands at the left?",
            picture(33, 10, 2),
        ),
        ask("c", "In <image>, left?", picture(8, 8, 3)),
        ask("d", "<image>x", picture(40, 40, 4)),
        ask(
            "e", "<image>Compare it with <image> and say which one is brighter.", picture(17, 25, 5), picture(30, 12, 6)
        ),
        ask("f", "Is the same thing shown in <image> and in <image>?", picture(9, 31, 7), picture(9, 31, 8)),
        ask("g", "<image>Question with \u4e2d\u6587 and \U0001f600.", picture(26, 26, 9)),
    ]


def text_rows() -> list[Request]:
    """The questions alone, as the other arm asks them."""
    return [
        ask("a", "What is this?", arm="text"),
        ask("b", "How many of the shapes in this picture are red, and which one stands at the left?", arm="text"),
        ask("c", "2 + 2", arm="text"),
    ]


def answer(
    family: str, requests: list[Request], sampling: Sampling = SAMPLING, batch_size: int = 16
) -> list[list[Completion]]:
    answers = Strict(*build(family), batch_size=batch_size).complete(requests, sampling)
    for reply in answers:
        assert isinstance(reply, list), reply
    return answers


@cache
def alone(family: str) -> list[list[Completion]]:
    """The picture rows and the text rows, each in a call of its own: what every other way is held against."""
    return [answer(family, [request])[0] for request in picture_rows() + text_rows()]


@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_batch_size_does_not_change_a_token(family: str, batch_size: int) -> None:
    """Rows of different lengths are padded, and the padding is never seen."""
    assert answer(family, picture_rows() + text_rows(), batch_size=batch_size) == alone(family)


def test_order_of_rows_does_not_change_a_token(family: str) -> None:
    """Replies follow their row, wherever it stands."""
    requests = picture_rows() + text_rows()
    order = [9, 3, 0, 7, 5, 2, 8, 6, 4, 1]
    shuffled = answer(family, [requests[index] for index in order], batch_size=4)
    assert shuffled == [alone(family)[index] for index in order]


def test_attempts_and_rows_differ(family: str) -> None:
    """The replies carry information: otherwise the other tests would show nothing."""
    texts = [reply.text for replies in alone(family) for reply in replies]
    assert len(texts) == 30
    assert len(set(texts)) >= 28  # a reply may end at once


def test_picture_changes_the_reply(family: str) -> None:
    """The same row with another picture gets another reply: the picture reaches the model."""
    one, other = (ask("a", "<image>What is this?", picture(24, 24, seed), attempts=8) for seed in (1, 2))
    assert answer(family, [one]) != answer(family, [other])


def test_greedy_replies_equal_plain_generate(family: str) -> None:
    """`model.generate` on the row alone, without prefill, repeated cache or padding, is the reference."""
    model, processor = build(family)
    loaded = Strict(model, processor)
    requests = picture_rows() + text_rows()
    expected = []
    for request in requests:
        inputs = encode(loaded, request)
        with torch.inference_mode():
            tokens = model.generate(**inputs, do_sample=False, max_new_tokens=GREEDY.max_new_tokens)
        expected.append(until_the_end(processor, tokens[0, inputs["input_ids"].shape[1] :].tolist()))
    answers = loaded.complete(requests, GREEDY)
    found = [[(reply.token_ids, reply.tokens) for reply in replies] for replies in answers]
    assert found == [[one] * 3 for one in expected]


@pytest.mark.parametrize("kind", ["image", "text"])
def test_sampled_tokens_equal_a_full_forward_pass_per_token(family: str, kind: str) -> None:
    """argmax(log p / T + g), with p of a forward pass over the whole sequence: no cache, no generate."""
    sampling = Sampling(temperature=0.8, max_new_tokens=6, seed=3)
    batch = [replace(row, attempts=8) for row in (picture_rows() if kind == "image" else text_rows())]
    loaded = Strict(*build(family))
    expected = [sample_slowly(loaded, batch[0], sampling, attempt) for attempt in range(8)]
    replies = [(reply.token_ids, reply.tokens) for reply in loaded.complete(batch, sampling)[0]]
    assert [reply for reply, slow in zip(replies, expected, strict=True) if slow] == [slow for slow in expected if slow]
    assert sum(slow is not None for slow in expected) >= 2


def test_batches_with_and_without_pictures_do_not_disturb_each_other(family: str) -> None:
    """Some models keep positions of the last call; they must not reach the next one."""
    requests = picture_rows() + text_rows()
    batches = [(0, 1, 2), (7, 8, 9), (3, 4, 5, 6), (7,), (0,)]
    one_model = Strict(*build(family))
    for batch in batches:
        assert one_model.complete([requests[index] for index in batch], SAMPLING) == [alone(family)[i] for i in batch]


def test_replies_do_not_depend_on_what_another_call_left_behind(family: str) -> None:
    """The user may have called the model before, on other rows than ours."""
    model, processor = build(family)
    loaded = Strict(model, processor)
    expected = loaded.complete(text_rows(), SAMPLING)
    model.generate(**encode(loaded, picture_rows()[4]), max_new_tokens=2, do_sample=False)
    assert loaded.complete(text_rows(), SAMPLING) == expected


def encode(loaded: Strict, request: Request) -> dict[str, torch.Tensor]:
    """The inputs of one row, by the processor alone."""
    processor = loaded.processor
    text = processor.apply_chat_template(request.messages, tokenize=False, add_generation_prompt=True)
    begin = processor.tokenizer.bos_token
    return dict(
        processor(
            text=[text],
            images=[list(request.images)] if request.images else None,
            add_special_tokens=not (begin and text.startswith(begin)),
            return_tensors="pt",
        )
    )


def until_the_end(processor, tokens: list[int]) -> tuple[tuple[int, ...], int]:
    """Tokens up to the first end token, and their number."""
    end = processor.tokenizer.eos_token_id
    tokens = tokens[: tokens.index(end) + 1] if end in tokens else tokens
    return tuple(tokens), len(tokens)


@torch.inference_mode()
def sample_slowly(
    loaded: Strict, request: Request, sampling: Sampling, attempt: int
) -> tuple[tuple[int, ...], int] | None:
    """One reply, token by token, each from a forward pass over everything before it.

    None when an image token is drawn: to a fresh forward pass it would stand for a picture.
    """
    inputs = encode(loaded, request)
    key = torch.tensor([stream_key(sampling.seed, request.row_id, request.arm, attempt)])
    reply: list[int] = []
    for step in range(sampling.max_new_tokens):
        for module in loaded.model.modules():
            if hasattr(module, "rope_deltas"):
                module.rope_deltas = None
        logits = loaded.model(**inputs, use_cache=False).logits[0, -1].float()
        noisy = torch.log_softmax(logits / sampling.temperature, dim=-1) + gumbel(key, step, len(logits))[0]
        reply.append(int(noisy.argmax()))
        if reply[-1] == loaded.processor.tokenizer.eos_token_id:
            break
        if reply[-1] in set(loaded.processor.tokenizer.all_special_ids):
            return None
        for name, filler in {
            "input_ids": reply[-1],
            "attention_mask": 1,
            "token_type_ids": 0,
            "mm_token_type_ids": 0,
        }.items():
            if name in inputs:
                inputs[name] = torch.cat([inputs[name], torch.tensor([[filler]])], dim=1)
        if "cross_attention_mask" in inputs:  # a token of the reply sees the pictures that the prompt's last one sees
            mask = inputs["cross_attention_mask"]
            inputs["cross_attention_mask"] = torch.cat([mask, mask[:, -1:]], dim=1)
    return until_the_end(loaded.processor, reply)
