"""A model that overflows on some texts, as many do in half precision: the error of these rows alone, and never replies of "!"."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from dataclasses import replace

import pytest

from hf_rap.engines.base import Sampling
from hf_rap.engines.loaded_model import LoadedModel
from hf_rap.engines.states import prompt_states
from hf_rap.errors import EngineError

from .tiny_models import ask, build, picture

FAMILY = "qwen2_5_vl"
REQUESTS = [
    ask("a", "<image>What is this?", picture(24, 24, 1)),
    ask("b", "How many shapes are red, and which is left? ~", arm="text"),
    ask("c", "How many shapes are red, and which is left? .", arm="text"),
    ask("d", "<image>Is it left? ~", picture(33, 10, 2)),
]
SAYS = (
    "engine_failed: the model gives {} that are not finite numbers; with another dtype (bfloat16, float32) it may not"
)


def loaded(*ends):
    """A model whose replies also end with these tokens."""
    model, processor = build(FAMILY)
    model = copy.deepcopy(model)
    model.generation_config.eos_token_id = list(ends)
    return LoadedModel(model, processor, batch_size=16)


@contextmanager
def overflowing(model, token, *, only_replies=False):
    """Within, texts with this token are NaN from there on; with `only_replies` prompts may have it."""
    embedding = model.model.get_input_embeddings()

    def overflow(_module, inputs, output):
        (ids,) = inputs
        if not (only_replies and ids.shape[1] > 1):
            output[ids == token] = float("nan")

    hook = embedding.register_forward_hook(overflow)
    try:
        yield
    finally:
        hook.remove()


def token_of(model, text):
    (token,) = model.texts.reply_tokens(text)
    return token


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_prompt_that_overflows_is_the_error_of_its_row(temperature):
    """Its neighbours in the batch have the replies that they have without it."""
    model, sampling = loaded(), Sampling(max_new_tokens=6, temperature=temperature)
    requests = [replace(request, attempts=3) for request in REQUESTS]
    expected = model.complete(requests, sampling)
    with overflowing(model, token_of(model, "~")):
        answers = model.complete(requests, sampling)
    assert [answers[0], answers[2]] == [expected[0], expected[2]]
    assert [str(answers[1]), str(answers[3])] == [SAYS.format("logits")] * 2


def test_a_reply_that_overflows_on_its_way_is_found():
    """The reply with a token, unless that is its last; what a batch writes behind the end of a reply is none of it."""
    model, sampling = loaded(), Sampling(max_new_tokens=6)
    requests = [replace(request, attempts=1) for request in REQUESTS]
    expected = model.complete(requests, sampling)
    replies = [list(reply.token_ids) for (reply,) in expected]
    token = replies[0][2]
    spoilt = [token in reply[:-1] for reply in replies]
    assert spoilt[0]
    assert not all(spoilt)
    with overflowing(model, token, only_replies=True):
        answers = model.complete(requests, sampling)
    for answer, plain, bad in zip(answers, expected, spoilt, strict=True):
        assert str(answer) == SAYS.format("logits") if bad else answer == plain


def test_what_stands_behind_the_end_of_a_reply_is_none_of_it():
    """A batch goes on to its longest reply, and fills the others up."""
    sampling, requests = Sampling(max_new_tokens=6), [replace(request, attempts=1) for request in REQUESTS]
    second = loaded().complete(requests, sampling)[0][0].token_ids[1]
    model = loaded(second)
    ended = model.complete(requests, sampling)
    written = [list(reply.token_ids) for (reply,) in ended]
    pad = model.processor.tokenizer.pad_token_id
    assert len(written[0]) == 2
    assert max(map(len, written)) > 2
    assert all(pad not in reply[:-1] for reply in written)
    with overflowing(model, pad, only_replies=True):
        assert model.complete(requests, sampling) == ended


def test_states_that_overflow_are_the_error_of_their_row():
    """Not the end of the run, as of an engine that gives something else than numbers."""
    model = loaded()
    expected = prompt_states(model, REQUESTS, depths=(0.5, 1.0))
    with overflowing(model, token_of(model, "~")):
        answers = prompt_states(model, REQUESTS, depths=(0.5, 1.0))
    assert (answers[0] == expected[0]).all()
    assert (answers[2] == expected[2]).all()
    assert [str(answers[1]), str(answers[3])] == [SAYS.format("hidden states")] * 2


def test_a_model_that_overflows_on_everything_ends_the_run():
    """Before an evening of it: nothing but failures from the start."""
    model = loaded()
    with (
        overflowing(model, token_of(model, "?")),
        pytest.raises(EngineError, match=r"failed on all of its first 2 rows"),
    ):
        model.complete([replace(REQUESTS[0], attempts=2), replace(REQUESTS[1], attempts=2)], Sampling(max_new_tokens=4))
