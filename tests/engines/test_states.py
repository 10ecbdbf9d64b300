"""Hidden states of prompts: padded batches against one plain forward pass per row, in float64, on all architectures."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from hf_rap.engines.asking import half, prompt_states
from hf_rap.engines.base import Sampling
from hf_rap.engines.loaded_model import LoadedModel
from hf_rap.engines.states import prompt_states as read_states
from hf_rap.errors import EngineError, RowError

from .tiny_models import CONTEXT, FAMILIES, ask, build, picture

REQUESTS = [
    ask("a", "<image>What is this?", picture(24, 24, 1)),
    ask("b", "<image>How many shapes are red, and which is left?", picture(33, 10, 2)),
    ask("t", "2 + 2?", arm="text"),
    ask("u", "What is the sum of two and two, and why?", arm="text"),
    ask("c", "In <image>, left?", picture(8, 8, 3)),
]


def loaded(family: str, batch_size: int = 16) -> LoadedModel:
    model, processor = build(family)
    return LoadedModel(copy.deepcopy(model).double(), processor, batch_size=batch_size)


def plain(model: LoadedModel, request) -> torch.Tensor:
    """What leaves each text layer at the last token, (layers, width): the model's own `output_hidden_states`, unpadded.

    Its last entry has gone through the norm behind the layers, so that one is left out.
    """
    inputs = model.encode([request])
    for module in model.model.modules():
        if hasattr(module, "rope_deltas"):
            module.rope_deltas = None
    with torch.no_grad():
        states = model.model(**inputs, output_hidden_states=True).hidden_states
    return torch.stack([state[0, -1] for state in states[1:-1]])


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_states_are_those_of_a_plain_pass(family):
    """Of every layer but the last, whatever shares the batch; to what half precision holds."""
    model = loaded(family)
    layers = len(model._text_layers)
    depths = [(number + 1) / layers for number in range(layers)]
    states = read_states(model, REQUESTS, depths=depths)
    for request, of_request in zip(REQUESTS, states, strict=True):
        expected = plain(model, request).numpy()
        assert of_request.shape == (layers, expected.shape[1])
        if (
            len(expected) == layers
        ):  # Mllama runs a layer more where there is a picture, which is none of those that read text
            assert family == "mllama"
            closest = [np.abs(expected - state).max(axis=1).argmin() for state in of_request[:-1]]
            assert closest == sorted(set(closest))
            expected = expected[closest]
        np.testing.assert_allclose(of_request[:-1], expected, rtol=2e-3, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_replies_come_with_the_states_of_their_prompts(family):
    """The same as those of a pass over the prompt alone, however many replies; and the replies are the same ones."""
    model = loaded(family)
    depths = (0.01, 1.0)
    sampling = Sampling(max_new_tokens=3)
    plainly = [replace(request, attempts=2) for request in REQUESTS]
    answers = model.complete([replace(request, depths=depths) for request in plainly], sampling)
    assert answers == model.complete(plainly, sampling)
    states = read_states(model, REQUESTS, depths=depths)
    for (first, second), of_request in zip(answers, states, strict=True):
        assert second.states is None
        np.testing.assert_allclose(first.states, of_request, rtol=4e-3, atol=4e-3)


def test_the_last_layer_is_what_the_head_reads():
    """Its norm and the head make the logits of the next token out of it."""
    model = loaded("qwen2_5_vl")
    (states,) = read_states(model, REQUESTS[:1], depths=(1.0,))
    inputs = model.encode(REQUESTS[:1])
    with torch.no_grad():
        logits = model.model(**inputs).logits[0, -1]
        made = model.model.lm_head(model.model.model.language_model.norm(torch.tensor(states[0], dtype=torch.float64)))
    assert torch.allclose(made, logits, atol=5e-3)


def test_depths_name_layers():
    """1 is the last, 0.5 the middle; the smallest is the first."""
    model = loaded("qwen2_5_vl")
    layers = len(model._text_layers)
    (every,) = read_states(model, REQUESTS[:1], depths=[(number + 1) / layers for number in range(layers)])
    (some,) = read_states(model, REQUESTS[:1], depths=(0.01, 0.5, 1.0))
    assert np.array_equal(some, every[[0, round(0.5 * layers) - 1, layers - 1]])


def test_a_prompt_that_is_too_long_is_a_row_error():
    """The others have their states."""
    long = ask("l", "word " * CONTEXT, arm="text")
    error, states = read_states(loaded("qwen2_5_vl"), [long, REQUESTS[2]], depths=(1.0,))
    assert isinstance(error, RowError)
    assert error.code == "too_long"
    assert states.ndim == 2


def test_numbers_that_half_precision_cannot_hold_become_its_largest():
    """Some models have a few such dimensions; infinities would spoil every fit."""
    assert half(np.array([1e6, -1e6, 0.5])).tolist() == [65504.0, -65504.0, 0.5]


class Stated:
    """An engine of somebody else, which gives what it is told to."""

    def __init__(self, given):
        self.given = given

    def prompt_states(self, requests, *, depths):
        del depths
        return [self.given] * len(requests)


def test_an_engine_of_your_own_gives_arrays():
    """Anything that numpy reads, of the right shape; or a sentence says what came."""
    (states,) = prompt_states(Stated([[1.0, 2.0], [3.0, 4.0]]), REQUESTS[:1], depths=(0.5, 1.0))
    assert states.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert states.dtype == np.float16
    for given in ([1.0, 2.0], [[1.0], [float("nan")]], "text", [[1.0]]):
        with pytest.raises(EngineError, match=r"it takes finite numbers of shape \(2, width\)"):
            prompt_states(Stated(given), REQUESTS[:1], depths=(0.5, 1.0))


def test_attempts_of_a_request_change_nothing():
    """Nothing is generated."""
    model = loaded("qwen2_5_vl")
    (one,) = read_states(model, REQUESTS[:1], depths=(1.0,))
    (five,) = read_states(model, [replace(REQUESTS[0], attempts=5)], depths=(1.0,))
    assert np.array_equal(one, five)
