"""What is wrong with a model, or with the way to it, is found before the first row."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from hf_rap.engines import compat, loaded_model, self_check
from hf_rap.engines.base import Reply, Sampling
from hf_rap.engines.loaded_model import LoadedModel
from hf_rap.engines.probe import AttentionProbe
from hf_rap.engines.transformers_engine import TransformersEngine, _loaded
from hf_rap.errors import EngineError

from .tiny_models import FAMILIES, ask, build, picture

if TYPE_CHECKING:
    from pathlib import Path


def loaded(family: str, dtype: torch.dtype = torch.float32) -> LoadedModel:
    model, processor = build(family)
    return LoadedModel(copy.deepcopy(model).to(dtype), processor)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_architecture_passes(family: str, dtype: torch.dtype) -> None:
    """Replies and attention, of random weights, in both precisions."""
    model = loaded(family, dtype)
    self_check.check_replies(model)
    self_check.check_attention(model)


def refused(check: Any, model: LoadedModel) -> str:
    with pytest.raises(EngineError) as caught:
        check(model)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_a_generate_that_loses_the_padding_mask_is_refused(dtype: torch.dtype) -> None:
    """Rows in a batch would see their padding."""
    model = loaded("qwen2_5_vl", dtype)
    usual = model.model.generate

    def without_mask(**inputs: Any) -> Any:
        return usual(**{**inputs, "attention_mask": torch.ones_like(inputs["attention_mask"])})

    model.model.generate = without_mask
    said = refused(self_check.check_replies, model)
    assert said.startswith(
        "Qwen2_5_VLForConditionalGeneration does not answer the same in a batch in this engine as by itself: at token 1 of a "
    )
    assert said.endswith("report this with the output of `hf-rap env` and the name of the model.")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_a_generate_that_drops_the_pictures_is_refused(dtype: torch.dtype) -> None:
    """A forward pass sees them, and tells."""
    model = loaded("mllama", dtype)
    usual = model.model.generate
    model.model.generate = lambda **inputs: usual(**{k: v for k, v in inputs.items() if k != "pixel_values"})
    assert "does not answer the same in `generate` as by itself: at token 1" in refused(self_check.check_replies, model)


def test_inputs_that_are_not_carried_to_the_decode_step_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mllama's rows of unlike length without the mask that says which picture a token sees."""
    monkeypatch.setattr(
        loaded_model,
        "per_token",
        lambda inputs: {k: v for k, v in inputs.items() if v.shape == inputs["input_ids"].shape},
    )
    assert "MllamaForConditionalGeneration" in refused(self_check.check_replies, loaded("mllama"))


def test_a_cache_of_another_layout_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers that hold tokens before heads, so that room is made in the wrong place."""
    usual = compat.PlainLayer.update

    def swapped(self: Any, keys: torch.Tensor, values: torch.Tensor, *rest: Any, **options: Any) -> Any:
        keys, values = usual(self, keys, values, *rest, **options)
        self.keys, self.values = keys.transpose(1, 2).contiguous(), values.transpose(1, 2).contiguous()
        return keys, values

    monkeypatch.setattr(compat.PlainLayer, "update", swapped)
    said = refused(self_check.check_replies, loaded("llava_llama"))
    assert said.startswith(
        "LlavaForConditionalGeneration could not answer two short questions with pictures, before the first"
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_a_blind_model_is_refused(dtype: torch.dtype) -> None:
    """Nothing leads from its vision tower to the text."""
    model = loaded("llava_llama", dtype)
    for weight in model.model.model.multi_modal_projector.parameters():
        weight.data.zero_()
    said = refused(self_check.check_replies, model)
    assert said.startswith(
        "LlavaForConditionalGeneration does not see pictures here: with another picture of the same size"
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_attention_of_another_layer_is_refused(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it was of models whose last layer was found wrongly."""
    usual = AttentionProbe.__init__

    def first_layer(self: AttentionProbe, model: Any, token: int) -> None:
        usual(self, model, token)
        self.layer = model.model.language_model.layers[0].self_attn

    monkeypatch.setattr(AttentionProbe, "__init__", first_layer)
    said = refused(self_check.check_attention, loaded("qwen2_vl", dtype))
    assert said.startswith(
        "The attention of Qwen2VLForConditionalGeneration cannot be read right: psi is off by a factor of "
    )


def test_rounding_alone_is_not_refused() -> None:
    """Half precision that computes a batch in another order; every logit is off by a little."""
    model = loaded("qwen2_5_vl", torch.bfloat16)
    generator = torch.Generator().manual_seed(0)

    def rounded(_module: Any, _args: Any, output: Any) -> Any:
        output.logits += 0.03 * output.logits.float().std() * torch.randn(output.logits.shape, generator=generator)
        return output

    model.model.register_forward_hook(rounded)
    self_check.check_replies(model)


def test_pictures_that_cannot_share_a_batch_refuse_nobody() -> None:
    """A processor that neither crops nor pads gets rows one by one; the replies are right."""
    model, processor = build("llava_llama")
    processor = copy.deepcopy(processor)
    processor.image_processor.do_center_crop = False
    with pytest.raises(ValueError, match="inhomogeneous"):
        LoadedModel(model, processor).encode(
            [ask("a", "<image>", picture(20, 60)), ask("b", "<image>", picture(60, 20))]
        )
    self_check.check_replies(LoadedModel(model, processor))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model, processor = build("llava_llama")
    model.save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path / "home"))
    _loaded.clear()


def renamed(folder: Path, part: str, other: str) -> None:
    """The weights with another name for a part of the model."""
    path = folder / "model.safetensors"
    save_file({name.replace(part, other): weight for name, weight in load_file(path).items()}, path, {"format": "pt"})


def test_renamed_vision_weights_are_refused(folder: Path) -> None:
    """They would be random: fluent replies to pictures that nobody sees."""
    renamed(folder, "vision_tower", "old_tower")
    with pytest.raises(EngineError) as caught:
        TransformersEngine(str(folder)).load()
    said = str(caught.value)
    assert said.startswith(f"The weights of {str(folder)!r} are not those of a LlavaForConditionalGeneration: ")
    assert "are missing, and would be random (model.vision_tower." in said
    assert "have no place in it, and would be left out (" in said
    assert "old_tower" in said


def test_weights_that_may_be_missing_are_written_down(folder: Path) -> None:
    """By pattern; what is random stands in the description of the engine."""
    renamed(folder, "vision_tower", "old_tower")
    engine = TransformersEngine(str(folder), allow_missing=("*vision_tower*", "*old_tower*"))
    names = engine.describe()["random_weights"]
    assert names
    assert all("vision_tower" in name for name in names)
    with pytest.raises(EngineError, match="have no place in it"):
        TransformersEngine(str(folder), allow_missing=("*vision_tower*",)).load()


def test_weights_of_another_shape_are_refused(folder: Path) -> None:
    """A vocabulary that does not fit."""
    path = folder / "model.safetensors"
    weights = load_file(path)
    name = next(name for name in weights if name.endswith("lm_head.weight"))
    save_file({**weights, name: weights[name][:7].clone()}, path, {"format": "pt"})
    with pytest.raises(EngineError, match=r"^The weights of .* (cannot be loaded|are not those of)"):
        TransformersEngine(str(folder)).load()


def checked(folder: Path) -> int:
    """How many models were run for a check, loading the model anew."""
    _loaded.clear()
    calls = []
    usual = self_check._check_replies
    self_check._check_replies = lambda model: calls.append(usual(model))
    try:
        TransformersEngine(str(folder)).load()
    finally:
        self_check._check_replies = usual
    return len(calls)


def test_a_model_that_has_passed_is_not_asked_again(folder: Path, tmp_path: Path) -> None:
    """In later processes too; another checkpoint is, and so is the same one in another environment."""
    assert checked(folder) == 1
    assert checked(folder) == 0
    (fact,) = [json.loads(path.read_text()) for path in (tmp_path / "home" / "hf_rap" / "checked").iterdir()]
    assert fact["architecture"] == "LlavaForConditionalGeneration"
    assert {"identity", "transformers", "torch", "dtype", "attn_implementation", "hf_rap", "check"} <= set(fact)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "note": 1}))
    assert checked(folder) == 1


def test_a_model_that_has_failed_is_asked_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was wrong may have been put right."""
    with monkeypatch.context() as broken:
        broken.setattr("hf_rap.engines.loaded_model.LoadedModel.own_positions", None)
        with pytest.raises(EngineError, match="could not answer two short questions"):
            TransformersEngine(str(folder)).load()
    assert checked(folder) == 1


def test_a_cache_folder_that_cannot_be_written_only_costs_the_check_again(folder: Path, tmp_path: Path) -> None:
    """Here a file stands where the folder should be."""
    (tmp_path / "home").write_text("")
    assert checked(folder) == 1
    assert checked(folder) == 1


def test_a_note_that_is_broken_is_made_again(folder: Path, tmp_path: Path) -> None:
    """Half a file says nothing."""
    assert checked(folder) == 1
    for path in (tmp_path / "home" / "hf_rap" / "checked").iterdir():
        path.write_text("{")
    assert checked(folder) == 1
    assert checked(folder) == 0


def test_attention_is_checked_when_it_is_first_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, and not for replies alone."""
    calls: list[int] = []
    monkeypatch.setattr(self_check, "_check_attention", lambda _loaded: calls.append(1))
    engine = TransformersEngine(str(folder))
    request = ask("a", "<image>What?", picture(20, 20))
    engine.complete([request], Sampling(max_new_tokens=2))
    assert calls == []
    for _ in range(2):
        engine.attend([Reply(request, "a red square")], window=4)
    assert calls == [1]
