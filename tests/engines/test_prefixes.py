"""Replies that are continued from a prefix, and the cache that prefixes of one response share."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from hf_rap.engines.base import Completion, Sampling
from hf_rap.engines.loaded_model import LoadedModel

from .tiny_models import FAMILIES, ask, build, picture

SAMPLING = Sampling(max_new_tokens=10, seed=3)
RESPONSE = "First there is a red one, then two are blue. So it is 3"
ENDS = (12, 25, 40, len(RESPONSE))


def continued(row_id: str = "row", question: str = "<image>How many?", seed: int = 1):
    """One request per prefix of one response, and one row of another question in between."""
    image = picture(14, 22, seed)
    base = ask(row_id, question, image, attempts=2)
    requests = [replace(base, arm=f"step {n}", prefix=RESPONSE[:end]) for n, end in enumerate(ENDS)]
    other = replace(ask("other", "<image>And this longer question here?", picture(20, 12, 5), attempts=2), prefix="A b")
    return [*requests[:2], other, *requests[2:]]


@pytest.mark.parametrize("family", FAMILIES)
def test_shared_cache_gives_the_replies_of_separate_prompts(family):
    """Whatever the architecture, alone or together, with temperature 0 and with noise."""
    loaded = LoadedModel(*build(family), batch_size=8)
    apart = LoadedModel(*build(family), batch_size=8)
    apart.shares_prefixes = False
    for sampling in (SAMPLING, replace(SAMPLING, temperature=0.0)):
        together = loaded.complete(continued(), sampling)
        assert together == apart.complete(continued(), sampling)
        assert together == [apart.complete([request], sampling)[0] for request in continued()]
        assert all(isinstance(one, Completion) for replies in together for one in replies)


def test_only_the_longest_prompt_of_a_response_is_run():
    """Two prompts for five requests; the other row has its own."""
    model, processor = build("llava_llama")
    loaded = LoadedModel(model, processor, batch_size=8)
    ran = []
    original = loaded.run_prompts
    loaded.run_prompts = lambda inputs: ran.append(len(inputs["input_ids"])) or original(inputs)
    loaded.complete(continued(), SAMPLING)
    assert ran == [2]


def test_rows_with_other_pictures_share_nothing():
    """The same id with another picture is another prompt."""
    loaded = LoadedModel(*build("llava_llama"), batch_size=8)
    first, second = continued(seed=1)[0], continued(seed=2)[4]
    assert loaded.complete([first, second], SAMPLING) == [
        loaded.complete([request], SAMPLING)[0] for request in (first, second)
    ]


def test_the_order_of_requests_does_not_matter():
    """Neither to what is shared nor to the noise."""
    loaded = LoadedModel(*build("llava_llama"), batch_size=3)
    requests = continued()
    order = random.Random(0).sample(range(len(requests)), len(requests))
    straight = loaded.complete(requests, SAMPLING)
    assert loaded.complete([requests[place] for place in order], SAMPLING) == [straight[place] for place in order]


def test_prefix_changes_the_reply_and_is_not_part_of_it():
    """The completion is what comes after the prefix."""
    loaded = LoadedModel(*build("llava_llama"))
    plain = replace(continued()[0], prefix="")
    with_prefix = replace(plain, prefix="So it is")
    (first,), (second,) = loaded.complete([plain], SAMPLING), loaded.complete([with_prefix], SAMPLING)
    assert first != second
    assert not any(one.text.startswith("So it is") for one in second)


def test_control_tokens_in_a_prefix_are_ordinary_text():
    """A response that quotes the image token adds no image."""
    loaded = LoadedModel(*build("llava_llama"))
    (answer,) = loaded.complete([replace(continued()[0], prefix="I see <image> and more")], SAMPLING)
    assert isinstance(answer, list)
