"""A quantised checkpoint loads by what its own config says, and stands in the settings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save_file

from hf_rap.engines.base import Completion, Sampling
from hf_rap.engines.transformers_engine import TransformersEngine

from .tiny_models import ask, build, picture

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

BLOCK = 16
CONFIG = {
    "quant_method": "fp8",
    "activation_scheme": "dynamic",
    "weight_block_size": [BLOCK, BLOCK],
    "modules_to_not_convert": ["lm_head", "model.vision_tower", "model.multi_modal_projector"],
}


def quantise(folder: Path) -> None:
    """The projections of the text layers in 8 bits, with a scale per block of 16 x 16, as DeepSeek and Qwen publish them."""
    path = folder / "model.safetensors"
    weights: dict[str, torch.Tensor] = {}
    for name, weight in load_file(path).items():
        if "language_model" not in name or not name.endswith("proj.weight"):
            weights[name] = weight
            continue
        rows, columns = weight.shape
        blocks = weight.reshape(rows // BLOCK, BLOCK, columns // BLOCK, BLOCK)
        scales = blocks.abs().amax((1, 3)) / torch.finfo(torch.float8_e4m3fn).max
        weights[name] = (blocks / scales[:, None, :, None]).reshape(rows, columns).to(torch.float8_e4m3fn)
        weights[name.replace(".weight", ".weight_scale_inv")] = scales
    save_file(weights, path, {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "quantization_config": CONFIG}))


def test_a_quantised_checkpoint_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU transformers takes it apart again; its replies are of the weights that 8 bits hold."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path / "home"))
    model, processor = build("llava_llama")
    folder = tmp_path / "model"
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    plain = TransformersEngine(str(folder), device="cpu").describe()
    assert "quantization" not in plain
    quantise(folder)
    engine = TransformersEngine(str(folder), device="cpu")
    assert engine.describe()["quantization"] == CONFIG
    assert engine.describe()["identity"] != plain["identity"]
    name = "model.language_model.layers.0.mlp.up_proj.weight"
    held, exact = (dict(each.named_parameters())[name].detach().float() for each in (engine.load().model, model))
    assert (
        0 < float((held - exact).abs().max()) < 0.07 * float(exact.abs().max())
    )  # 3 bits behind the point, and bfloat16
    (replies,) = engine.complete([ask("a", "<image>What?", picture(20, 20))], Sampling(max_new_tokens=4))
    assert isinstance(replies, list)
    assert all(isinstance(reply, Completion) for reply in replies)
