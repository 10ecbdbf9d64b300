"""What makes a decode step cheap changes no token: caches that are written in place, and grouped keys that are read once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AttentionInterface, DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from hf_rap.engines import compat
from hf_rap.engines.base import Sampling
from hf_rap.engines.grouped_heads import grouped_modules, reads_grouped_keys_once
from hf_rap.engines.loaded_model import LoadedModel
from hf_rap.engines.roomy_cache import RoomyLayer, RoomySlidingLayer, make_room

from .tiny_models import FAMILIES, ask, build, picture

SAMPLING = Sampling(max_new_tokens=8, seed=7)
WINDOW = 7


def tokens(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Keys and values of 3 rows and 2 heads."""
    drawn = torch.randn(2, 3, 2, count, 4, generator=torch.Generator().manual_seed(seed))
    return drawn[0], drawn[1]


def filled(layer: Any, count: int = 5) -> Any:
    layer.update(*tokens(count, seed=0))
    return layer


def with_room(layer: Any, room: int) -> Any:
    cache = DynamicCache()
    cache.layers = [layer]
    make_room(cache, room)
    return cache.layers[0]


def kinds() -> list[Any]:
    return [DynamicLayer, lambda: DynamicSlidingWindowLayer(WINDOW)]


@pytest.mark.parametrize("kind", kinds(), ids=["full", "sliding"])
@pytest.mark.parametrize("room", [1, 3, 100])
@pytest.mark.parametrize("prompt", [2, 5, 12])
def test_a_layer_with_room_gives_what_the_layer_gives(kind: Any, room: int, prompt: int) -> None:
    """Token by token, whether the room suffices or is used up again and again; lengths and masks agree, too."""
    plain, roomy = filled(kind(), prompt), with_room(filled(kind(), prompt), room)
    assert type(roomy) in (RoomyLayer, RoomySlidingLayer)
    for step in range(12):
        new = tokens(2 if step == 4 else 1, seed=step + 1)
        for expected, got in zip(plain.update(*new), roomy.update(*new), strict=True):
            assert torch.equal(got, expected)
        assert torch.equal(roomy.keys, plain.keys)
        assert roomy.get_seq_length() == plain.get_seq_length()
        assert roomy.get_mask_sizes(1) == plain.get_mask_sizes(1)


def test_new_tokens_are_written_in_place() -> None:
    """Keys stay where they are for as long as there is room, and move once when it is used up."""
    roomy = with_room(filled(DynamicLayer()), room=3)
    places = [roomy.update(*tokens(1, seed))[0].data_ptr() for seed in range(5)]
    assert len(set(places[:3])) == 1
    assert len(set(places)) == 2


def test_rows_that_change_places_take_their_tokens_along() -> None:
    """What reorders a cache knows nothing of the room; the next token is written behind the rows as they are then."""
    plain, roomy = filled(DynamicLayer()), with_room(filled(DynamicLayer()), room=9)
    for layer in (plain, roomy):
        layer.update(*tokens(1, seed=1))
        layer.reorder_cache(torch.tensor([2, 0, 0]))
    assert torch.equal(roomy.update(*tokens(1, seed=2))[0], plain.update(*tokens(1, seed=2))[0])


def test_a_layer_that_was_cropped_goes_on_from_there() -> None:
    """As transformers crops it: the last tokens are forgotten."""
    plain, roomy = filled(DynamicLayer()), with_room(filled(DynamicLayer()), room=9)
    for layer in (plain, roomy):
        layer.update(*tokens(2, seed=1))
        layer.crop(-2)
    assert torch.equal(roomy.update(*tokens(1, seed=2))[1], plain.update(*tokens(1, seed=2))[1])


def test_layers_of_other_kinds_stay_as_they_are() -> None:
    """States of linear attention are no list of tokens; an empty layer has nothing to take over."""

    class Other(DynamicLayer):
        pass

    assert type(with_room(filled(Other()), 3)) is Other
    assert type(with_room(DynamicLayer(), 3)) is DynamicLayer


def attention_call(masked: bool) -> tuple[Any, tuple[Any, ...]]:
    """A module with 4 query heads for each of 2 key heads, and a call with left padding."""
    config = SimpleNamespace(_attn_implementation="sdpa", _attn_implementation_internal="sdpa")
    module = torch.nn.Module()
    module.config, module.num_key_value_groups, module.is_causal = config, 4, True  # type: ignore[assignment]
    generator = torch.Generator().manual_seed(0)
    query, key, value = (
        torch.randn(3, heads, count, 16, generator=generator) for heads, count in ((8, 1), (2, 9), (2, 9))
    )
    mask = torch.ones(3, 1, 1, 9, dtype=torch.bool)
    mask[1, ..., :4] = False
    return module, (query, key, value, mask if masked else None)


@pytest.mark.parametrize("masked", [True, False])
def test_grouped_heads_see_what_they_see_with_repeated_keys(masked: bool) -> None:
    """Softmax(q k / 4) v per query head, with keys and values repeated by hand and the padding at -inf."""
    module, (query, key, value, mask) = attention_call(masked)
    scores = query @ key.repeat_interleave(4, dim=1).transpose(-1, -2) / 4
    scores = scores if mask is None else scores.masked_fill(~mask, -torch.inf)
    expected = (scores.softmax(-1) @ value.repeat_interleave(4, dim=1)).transpose(1, 2)
    with reads_grouped_keys_once([module]):
        seen, weights = AttentionInterface()["hf_rap_grouped"](module, query, key, value, mask, scaling=0.25)
    assert weights is None
    assert torch.allclose(seen, expected, atol=1e-6)


@pytest.mark.parametrize("option", ["softcap", "s_aux", "position_bias", "sinks"])
def test_what_changes_the_weights_goes_to_the_models_own_function(option: str) -> None:
    """A cap on the scores or a sink is not left out without a word."""
    module, (query, key, value, mask) = attention_call(masked=True)
    module.config._attn_implementation = "of_the_model"
    AttentionInterface.register("of_the_model", lambda *_, **options: (options[option], None))
    with reads_grouped_keys_once([module]):
        function = AttentionInterface()["hf_rap_grouped"]
        assert function(module, query, key, value, mask, **{option: 30.0}) == (30.0, None)


@pytest.mark.parametrize("family", FAMILIES)
def test_grouped_heads_change_no_token(family: str) -> None:
    """Whether or not this version of transformers repeats keys: with our function and without, rows of unlike length."""
    model, processor = build(family)
    rows = [
        ask("a", "<image>What is this?", picture(20, 30, seed=1)),
        ask("b", "<image>How many of the shapes in this picture are red?", picture(33, 10, 2)),
        ask("c", "2 + 2", arm="text"),
    ]
    replies = []
    for modules in ([], grouped_modules(model)):
        loaded = LoadedModel(model, processor)
        vars(loaded)["_grouped_modules"] = modules
        replies.append(loaded.complete(rows, SAMPLING))
    # Two layers; one of two where the other is linear, three where a layer looks at pictures.
    assert len(modules) == {"qwen3_5": 1, "mllama": 3}.get(family, 2)
    assert replies[0] == replies[1]
    assert all(compat.attention_name(module.config) == "sdpa" for module in modules)
