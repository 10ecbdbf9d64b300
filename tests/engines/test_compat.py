"""What a new release of transformers or torch has moved, of the parts that are not public."""

from __future__ import annotations

import ast
import os
import warnings
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from hf_rap.engines import compat
from hf_rap.engines.loaded_model import LoadedModel
from hf_rap.errors import EngineError

from .tiny_models import ask, build, picture

# Options of attention functions that change no weight of a decoder that reads one sequence per row.
CHANGE_NO_WEIGHT = {
    *("query", "key", "value", "attention_mask", "dropout", "is_causal", "output_attentions", "position_ids"),
    *("cu_seq_lens_q", "cu_seq_lens_k", "max_length_q", "max_length_k", "deterministic"),
}


@pytest.fixture
def transformers_part(part_of: Any) -> Any:
    return lambda part: part_of("transformers", part, room="engines")


def prompts(family: str) -> tuple[LoadedModel, dict[str, torch.Tensor]]:
    loaded = LoadedModel(*build(family))
    questions = ("<image>What is this?", "<image>How many are red?", "<image>x")
    return loaded, loaded.encode([ask(text, text, picture(20, 30)) for text in questions])


def cache_after(family: str) -> Any:
    loaded, inputs = prompts(family)
    with loaded.own_positions(), torch.inference_mode():
        return loaded.run_prompts(inputs)


def test_generate_goes_on_from_a_cache(transformers_part: Any) -> None:
    """Behind the cache of a prompt come the tokens that plain `generate` makes, and no argument is deprecated."""
    loaded, inputs = prompts("llava_llama")
    plain = loaded.model.generate(**inputs, max_new_tokens=5, do_sample=False)
    with transformers_part("the cache that `generate` takes and gives back"), warnings.catch_warnings():
        warnings.simplefilter("error")
        text = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        made = compat.go_on_from(loaded.model, loaded.run_prompts(inputs), **text, max_new_tokens=5, do_sample=False)
        assert torch.equal(made, plain)


def test_forward_passes_give_their_cache_back(transformers_part: Any) -> None:
    """Under the same name as `generate`."""
    loaded, inputs = prompts("llava_llama")
    with transformers_part("the cache that a forward pass gives back"), torch.inference_mode():
        cache = compat.cache_of(loaded.model(**inputs, use_cache=True))
        assert cache.get_seq_length() == inputs["input_ids"].shape[1]


@pytest.mark.parametrize(
    ("family", "keeps"),
    [("qwen2_5_vl", True), ("llava_llama", True), ("gemma3", False), ("llava_mistral", False), ("qwen3_5", False)],
)
def test_layers_that_forget_are_told_from_those_that_do_not(transformers_part: Any, family: str, keeps: bool) -> None:
    """Full attention keeps every token; sliding windows and linear attention do not."""
    with transformers_part("DynamicLayer, the type of the layers of a cache that keeps every token"):
        assert compat.keeps_all_tokens(cache_after(family)) == keeps


def test_rows_of_a_cache_are_a_cache_of_their_own(transformers_part: Any) -> None:
    """Row 2 twice and row 0; what they came from stays as it was."""
    cache = cache_after("llava_llama")
    with transformers_part("keys and values of the layers of a cache"):
        before = [(layer.keys.clone(), layer.values.clone()) for layer in cache.layers]
        rows = torch.tensor([2, 2, 0])
        chosen = compat.rows_of_cache(cache, rows)
        for layer, old, (keys, values) in zip(chosen.layers, cache.layers, before, strict=True):
            assert torch.equal(layer.keys, keys[rows])
            assert torch.equal(layer.values, values[rows])
            assert torch.equal(old.keys, keys)
        assert len(chosen.layers) == 2


def test_tokens_of_a_cache_change_places(transformers_part: Any) -> None:
    """Backwards in the first row, as they were in the others."""
    cache = cache_after("llava_llama")
    with transformers_part("keys and values of the layers of a cache"):
        before = [(layer.keys.clone(), layer.values.clone()) for layer in cache.layers]
        length = cache.get_seq_length()
        columns = torch.arange(length).repeat(3, 1)
        columns[0] = columns[0].flip(0)
        compat.reorder_tokens(cache, columns)
        for layer, (keys, values) in zip(cache.layers, before, strict=True):
            assert torch.equal(layer.keys[0], keys[0].flip(1))
            assert torch.equal(layer.values[0], values[0].flip(1))
            assert torch.equal(layer.keys[1:], keys[1:])


@pytest.mark.parametrize("family", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_5"])
def test_rotary_offsets_are_found_and_set(transformers_part: Any, family: str) -> None:
    """One module keeps one offset per row; they can be repeated, and forgotten."""
    loaded, inputs = prompts(family)
    with transformers_part("rope_deltas, which Qwen-VL models keep between two calls"):
        loaded.model.generate(**inputs, max_new_tokens=1, do_sample=False)
        ((module, offsets),) = compat.rope_offsets(loaded.model)
        assert offsets.shape == (3, 1)
        compat.set_rope_offsets([(module, offsets)], torch.tensor([2, 0]))
        ((_, chosen),) = compat.rope_offsets(loaded.model)
        assert torch.equal(chosen, offsets[[2, 0]])
        compat.set_rope_offsets([(module, offsets)], None)
        assert compat.rope_offsets(loaded.model) == []


def test_models_without_rotary_offsets_have_none() -> None:
    """LLaVA counts positions anew in each call."""
    loaded, inputs = prompts("llava_llama")
    loaded.model.generate(**inputs, max_new_tokens=1, do_sample=False)
    assert compat.rope_offsets(loaded.model) == []


def llama(attention: str) -> Any:
    config = transformers.LlamaConfig(
        vocab_size=32, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2
    )
    return transformers.AutoModelForCausalLM.from_config(config, attn_implementation=attention)


def test_the_device_of_inputs_is_known(transformers_part: Any) -> None:
    """That of the weights, or the one on which accelerate runs parts that lie elsewhere."""
    from accelerate.hooks import AlignDevicesHook, add_hook_to_module

    model = llama("sdpa")
    assert compat.input_device(model) == torch.device("cpu")
    with transformers_part("the hook of accelerate, model._hf_hook.execution_device"):
        add_hook_to_module(model, AlignDevicesHook(execution_device="cpu", offload=True, place_submodules=True))
        assert next(model.parameters()).device.type == "meta"
        assert compat.input_device(model) == torch.device("cpu")


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_the_kernel_of_a_model_can_be_asked_for(transformers_part: Any, attention: str) -> None:
    """The name is part of the description of an engine."""
    with transformers_part("config._attn_implementation"):
        assert compat.attention_name(llama(attention).config) == attention
    assert compat.attention_name(None) is None


def test_one_module_gets_another_kernel_by_its_config(transformers_part: Any) -> None:
    """The copy has the name; neither the original nor a sub-config that both share has it."""
    config = build("llava_llama")[0].config
    with transformers_part("config._attn_implementation_internal"):
        before = (compat.attention_name(config), compat.attention_name(config.text_config))
        copied = compat.with_attention(config, "sdpa_of_ours")
        assert compat.attention_name(copied) == "sdpa_of_ours"
        assert (compat.attention_name(config), compat.attention_name(config.text_config)) == before
        assert copied.text_config is config.text_config


def test_modules_are_rerouted_and_come_back(transformers_part: Any) -> None:
    """Within, their attention goes to the named function, which can still call the usual one; the model keeps its name."""
    model = llama("sdpa").eval()
    module = model.model.layers[0].self_attn
    calls = []

    def counted(module: Any, *args: Any, **options: Any) -> Any:
        calls.append(module.config.told)
        return compat.usual_attention(module, *args, **options)

    transformers.AttentionInterface.register("counted", counted)
    ids = torch.tensor([[1, 2, 3]])
    expected = model(input_ids=ids).logits
    with transformers_part("the config that a module looks its attention function up in"):
        with compat.rerouted([module], "counted", told=7):
            assert torch.equal(model(input_ids=ids).logits, expected)
            assert compat.attention_name(model.config) == "sdpa"
        assert calls == [7]
        assert compat.attention_name(module.config) == "sdpa"


def test_eager_attention_stands_beside_its_module(transformers_part: Any) -> None:
    """It is registered nowhere; the others are."""
    from transformers.models.llama import modeling_llama

    with transformers_part("ALL_ATTENTION_FUNCTIONS and eager_attention_forward beside a model's classes"):
        eager, sdpa = (llama(name).model.layers[0].self_attn for name in ("eager", "sdpa"))
        assert compat.attention_function(eager) is modeling_llama.eager_attention_forward
        assert compat.attention_function(sdpa) is modeling_llama.ALL_ATTENTION_FUNCTIONS["sdpa"]


def test_a_familys_own_attention_functions_are_used(transformers_part: Any) -> None:
    """Doge has a registry of its own, with a function that the common one does not have."""
    from transformers.models.doge import modeling_doge

    config = transformers.DogeConfig(hidden_size=16, num_attention_heads=2, num_hidden_layers=1)
    with transformers_part("ALL_ATTENTION_FUNCTIONS beside a model's classes"):
        module = modeling_doge.DogeAttention(compat.with_attention(config, "doge_flex_attention"), 0)
        assert compat.attention_function(module) is modeling_doge.flex_attention_forward


def test_an_attention_function_that_is_nowhere_is_an_error() -> None:
    """Never another kernel in its place."""
    module = llama("sdpa").model.layers[0].self_attn
    module.config = compat.with_attention(module.config, "no_such_kernel")
    with pytest.raises(EngineError, match=r"^The attention function 'no_such_kernel' of LlamaAttention is not where"):
        compat.attention_function(module)


def test_whether_sdpa_repeats_keys_is_known(transformers_part: Any) -> None:
    """It did until 5.22, in every step with a padding mask."""
    with transformers_part("pack_gqa beside sdpa's attention function"):
        version = tuple(map(int, transformers.__version__.split(".")[:2]))
        assert compat.sdpa_repeats_keys() == (version < (5, 23))


def options_passed(folder: Path) -> dict[str, set[str]]:
    """Names that models pass to their attention functions by keyword -> the families that do."""
    passed: dict[str, set[str]] = {}
    for path in folder.glob("*/modeling_*.py"):
        text = path.read_text(encoding="utf-8")
        start = text.find(" = attention_interface(")
        while start >= 0:
            call = text[start + 3 :]
            depths = accumulate((letter == "(") - (letter == ")") for letter in call)
            end = next(place for place, depth in enumerate(depths) if depth == 0 and call[place] == ")")
            (parsed,) = ast.parse(call[: end + 1]).body
            assert isinstance(parsed, ast.Expr)
            assert isinstance(parsed.value, ast.Call)
            for keyword in parsed.value.keywords:
                if keyword.arg is not None:
                    passed.setdefault(keyword.arg, set()).add(path.parent.name)
            start = text.find(" = attention_interface(", start + 1)
    return passed


def test_every_option_of_attention_functions_is_known(transformers_part: Any) -> None:
    """A new one may change the weights that ACE is made of: then it is read, or refused."""
    passed = options_passed(Path(transformers.__file__).parent / "models")
    known = {*compat.READ_OPTIONS, *compat.UNREAD_OPTIONS, *CHANGE_NO_WEIGHT}
    with transformers_part("the set of options that attention functions get"):
        new = {name: sorted(families)[:3] for name, families in passed.items() if name not in known}
        assert not new, f"new ones, by family: {new}"
        assert set(compat.READ_OPTIONS) <= set(passed), "some are passed no more"


def test_options_are_read_by_name() -> None:
    """Those of Gemma 2 and gpt-oss; what is not given is None."""
    sinks = torch.zeros(4)
    told = {"scaling": 0.25, "softcap": 50.0, "s_aux": sinks, "sliding_window": 7, "dropout": 0.0}
    assert compat.kernel_options(told) == (0.25, 50.0, sinks, 7)
    assert compat.kernel_options({}) == (None, None, None, None)


@pytest.mark.parametrize("name", compat.UNREAD_OPTIONS)
def test_options_that_cannot_be_read_are_refused(name: str) -> None:
    """Weights without them would be wrong without a word; a model that leaves them open is fine."""
    with pytest.raises(EngineError, match=f"^The attention is called with {name}, which changes its weights"):
        compat.kernel_options({"scaling": 1.0, name: torch.zeros(1)})
    assert compat.kernel_options({"scaling": 1.0, name: None}).scaling == 1.0


def test_a_process_that_was_not_forked_can_use_the_gpu(part_of: Any) -> None:
    """Whether there is one or not."""
    with part_of("torch", "torch.cuda._is_in_bad_fork", room="engines"):
        assert compat.is_forked_from_cuda() is False


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_process_forked_after_using_the_gpu_cannot_use_it(part_of: Any) -> None:
    """As in `Dataset.map(num_proc=2)` after the model has answered in the parent."""
    torch.zeros(1, device="cuda")
    with part_of("torch", "torch.cuda._is_in_bad_fork", room="engines"):
        child = os.fork()
        if child == 0:
            os._exit(0 if compat.is_forked_from_cuda() else 1)
        assert os.waitpid(child, 0)[1] == 0


def test_a_moved_part_is_named(part_of: Any) -> None:
    """The tests above tell a maintainer library, version and part."""
    told = (
        r"^transformers \d+\.\d+.* has moved: the tail is gone or means something else \(ValueError: cut\)\. .*engines/"
    )
    with pytest.raises(AssertionError, match=told), part_of("transformers", "the tail", room="engines"):
        raise ValueError("cut\nmore")
