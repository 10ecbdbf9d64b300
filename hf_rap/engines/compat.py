"""What engines use of transformers and torch that is not public, or has been renamed: each part in one function.

Nothing else in the package touches these parts, and `tests/engines/test_compat.py` says which of them a new release
has moved. Versions that were seen: transformers 5.0, 5.23 and 5.24, torch 2.13.
"""

from __future__ import annotations

import copy
import sys
from contextlib import contextmanager
from dataclasses import fields
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from transformers import AttentionInterface, DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer
from transformers.generation import GenerateDecoderOnlyOutput
from transformers.integrations import sdpa_attention

from hf_rap.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

# What `generate` calls the cache that it takes, and that it gives back: "past_key_values" until 5.23, "cache" from 5.24
# on, where the old name warns until 6.0 takes it away. The signature of `generate` has neither (both go through
# **kwargs), and the two were renamed together, so the field of the result tells.
CACHE = "cache" if "cache" in {field.name for field in fields(GenerateDecoderOnlyOutput)} else "past_key_values"

# The layers of a cache that keep every token, and those that keep the tokens of a window.
PlainLayer, SlidingLayer = DynamicLayer, DynamicSlidingWindowLayer

# Options by which models tell their attention function how to weigh, and that a reader of the weights has to follow.
READ_OPTIONS = ("scaling", "softcap", "s_aux", "sliding_window")
# Those of them that sdpa alone does not know.
BESIDE_SDPA = ("softcap", "s_aux")
# Others that change the weights and are not followed: biases and sinks of Inkling, chosen keys of sparse attention.
UNREAD_OPTIONS = ("position_bias", "sinks", "indices", "block_indices")


def go_on_from(model: Any, cache: Any, **options: Any) -> torch.Tensor:
    """What `model.generate` makes of `options` behind the tokens of a cache."""
    made: torch.Tensor = model.generate(**options, **{CACHE: cache})
    return made


def cache_of(output: Any) -> Any:
    """The cache in what `generate` or a forward pass returns as an object."""
    return getattr(output, CACHE)


def keeps_all_tokens(cache: Any) -> bool:
    """Whether every layer of a cache holds keys and values of every token, in order.

    Layers of other kinds (sliding windows, states of linear attention, chosen keys) are subclasses, and say of
    themselves whether they can be cropped, which windows can: there is no public word for this, hence the exact type.
    """
    return all(type(layer) is DynamicLayer for layer in cache.layers)


def rows_of_cache(cache: Any, rows: torch.Tensor) -> DynamicCache:
    """A new cache with these rows of one that keeps all tokens; `batch_select_indices` would change the one there is."""
    chosen = DynamicCache()
    for number, layer in enumerate(cache.layers):
        chosen.update(
            layer.keys.index_select(0, rows.to(layer.keys.device)),
            layer.values.index_select(0, rows.to(layer.values.device)),
            number,
        )
    return chosen


def reorder_tokens(cache: Any, columns: torch.Tensor) -> None:
    """Puts the tokens of a cache that keeps all of them into another order; a cache itself can only cut off its end.

    Args:
        cache: changed in place; its layers have keys and values of shape (rows, heads, tokens, n).
        columns: for each row the old place of each token, (rows, tokens).

    """
    for layer in cache.layers:
        for name in ("keys", "values"):
            stored = getattr(layer, name)
            index = columns[:, None, :, None].to(stored.device).expand(stored.shape)
            setattr(layer, name, stored.gather(2, index))


def input_device(model: Any) -> torch.device:
    """Where a model takes its inputs. One that accelerate has spread may have its first weights on no device at all."""
    place = getattr(getattr(model, "_hf_hook", None), "execution_device", None)
    place = model.device if place is None else place
    return torch.device("cuda", place) if isinstance(place, int) else torch.device(place)


def rope_offsets(model: Any) -> list[tuple[Any, torch.Tensor]]:
    """Modules that keep the rotary offset of each row from one call to the next, and those offsets, (rows, 1).

    Qwen-VL and about twenty families like it do so, and take them back neither as an argument nor in the cache.
    """
    kept = [(module, getattr(module, "rope_deltas", None)) for module in model.modules()]
    return [(module, offsets) for module, offsets in kept if offsets is not None]


def set_rope_offsets(offsets: Sequence[tuple[Any, torch.Tensor]], rows: torch.Tensor | None) -> None:
    """Leaves the offsets of these rows, numbers into `offsets`, on their modules; None leaves none."""
    for module, of_rows in offsets:
        module.rope_deltas = None if rows is None else of_rows[rows.to(of_rows.device)]


def attention_name(config: Any) -> str | None:
    """The name of the kernel that modules with this config use, "sdpa" say; None where there is none.

    It can be set publicly (`set_attn_implementation`), but not asked for.
    """
    name: str | None = getattr(config, "_attn_implementation", None)
    return name


def with_attention(config: Any, name: str) -> Any:
    """A copy of a module's config by which its attention goes to the function that is registered as `name`.

    `set_attn_implementation` is for whole models, and the setter behind the public name reaches sub-configs, which the
    copy shares with the original.
    """
    copied = copy.copy(config)
    copied._attn_implementation_internal = name
    return copied


def attention_function(module: Any) -> Callable[..., Any]:
    """The function that computes a module's attention, as the module itself looks it up.

    Eager attention, and the functions that a family has replaced, stand beside the module's class and are registered
    nowhere.
    """
    beside = sys.modules[type(module).__module__]
    functions = getattr(beside, "ALL_ATTENTION_FUNCTIONS", None)
    name = attention_name(module.config)
    eager = getattr(beside, "eager_attention_forward", None) if name == "eager" else None
    function: Callable[..., Any] | None = (AttentionInterface() if functions is None else functions).get(name, eager)
    if function is None:
        raise EngineError(f"The attention function {name!r} of {type(module).__name__} is not where it should be.")
    return function


@contextmanager
def rerouted(modules: Sequence[Any], name: str, **marks: Any) -> Iterator[None]:
    """Sends the attention of these modules to the function that is registered as `name`.

    Each gets a copy of its config, with `marks` on it for the function to read. The model's own configs keep their
    names: under one that transformers does not know it builds no padding mask, and kernels such as flash attention
    look their own name up again.
    """
    originals = [module.config for module in modules]
    for module, original in zip(modules, originals, strict=True):
        module.config = with_attention(original, name)
        for key, value in {**marks, "hf_rap_original": original}.items():
            setattr(module.config, key, value)
    try:
        yield
    finally:
        for module, original in zip(modules, originals, strict=True):
            module.config = original


def usual_attention(module: Any, *args: Any, **options: Any) -> Any:
    """What a module that is rerouted would have computed otherwise."""
    config = module.config
    module.config = config.hf_rap_original  # kernels look up the name they go by
    try:
        return attention_function(module)(module, *args, **options)
    finally:
        module.config = config


def sdpa_repeats_keys() -> bool:
    """Whether sdpa repeats keys and values for every query head in decode steps with a mask, as it did until 5.22."""
    return not hasattr(sdpa_attention, "pack_gqa")


class KernelOptions(NamedTuple):
    """How an attention function weighs, beside query, key and mask; None is what it does by itself."""

    scaling: float | None
    cap: float | None
    sinks: torch.Tensor | None
    """A learned logit per head that takes part and attends to nothing."""
    window: int | None


def kernel_options(options: Mapping[str, Any]) -> KernelOptions:
    """What the options of a call to an attention function say; their names are agreed on nowhere but in the models.

    Raises:
        EngineError: one of them changes the weights in a way that is not followed here.

    """
    unread = [name for name in UNREAD_OPTIONS if options.get(name) is not None]
    if unread:
        raise EngineError(
            f"The attention is called with {' and '.join(unread)}, which changes its weights in a way that hf_rap does "
            "not read: leave attention (ACE) out for this model."
        )
    return KernelOptions(*(options.get(name) for name in READ_OPTIONS))


def is_forked_from_cuda() -> bool:
    """Whether this process was forked from one that had used the GPU, and so cannot use it.

    Publicly it shows only as an error of the first call, told apart from others by its English text.
    """
    forked: bool = torch.cuda._is_in_bad_fork()
    return forked
