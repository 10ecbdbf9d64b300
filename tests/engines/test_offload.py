"""A model that is spread over devices gives what it gives on one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import transformers

from hf_rap.engines.base import Reply, Sampling
from hf_rap.engines.likelihood import log_likelihoods
from hf_rap.engines.loaded_model import LoadedModel
from hf_rap.engines.teacher_forcing import attend

from .tiny_models import ask, build, picture

if TYPE_CHECKING:
    from pathlib import Path

ROWS = [
    ask("a", "<image>What is this?", picture(20, 30, seed=1)),
    ask("b", "<image>How many of the shapes in this picture are red?", picture(33, 10, seed=2)),
    ask("c", "<image>x", picture(8, 8, seed=3)),
]
REPLIES = [Reply(row, text) for row in ROWS for text in ("A red square, I think.", "It is 3.")]


def spread(family: str, folder: Path, *, whole: bool) -> LoadedModel:
    """Every other part, or all of it, lies on the disk and comes to the CPU when it runs, as others would on a GPU."""
    model, processor = build(family)
    model.save_pretrained(folder / "model")
    parts = [name for name, module in model.named_modules() if name and is_part(module, name)]
    places = {name: "disk" if whole or number % 2 else "cpu" for number, name in enumerate(parts)}
    loaded = transformers.AutoModelForImageTextToText.from_pretrained(
        folder / "model", device_map=places, offload_folder=folder / "offload", dtype="float32"
    )
    assert any(weight.device.type == "meta" for weight in loaded.parameters())
    return LoadedModel(loaded, processor)


def is_part(module: Any, name: str) -> bool:
    """Layers of the text, and whatever stands beside them."""
    inside = name.split(".")
    if "language_model" in inside:
        below = inside[inside.index("language_model") + 1 :]
        return len(below) == 2 if below[:1] == ["layers"] else len(below) == 1
    return len(inside) == 2 if inside[0] == "model" else len(inside) == 1


@pytest.mark.parametrize(
    ("family", "whole"),
    [
        *((family, False) for family in ("qwen2_5_vl", "qwen3_5", "gemma3", "idefics3", "llava_llama")),
        # The vision towers of Gemma 3 and Idefics 3 reach into other modules, which accelerate does not bring along.
        *((family, True) for family in ("qwen2_5_vl", "qwen3_5", "llava_llama")),
    ],
)
def test_a_model_that_is_spread_gives_the_same(family: str, whole: bool, tmp_path: Path) -> None:
    """Replies, attention and likelihood, with indices on the device of what they point into."""
    there, here = spread(family, tmp_path, whole=whole), LoadedModel(*build(family))
    sampling = Sampling(max_new_tokens=6, seed=2)
    assert there.complete(ROWS, sampling) == here.complete(ROWS, sampling)
    assert log_likelihoods(there, REPLIES) == log_likelihoods(here, REPLIES)
    assert attend(there, REPLIES, window=4) == attend(here, REPLIES, window=4)
