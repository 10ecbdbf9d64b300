"""Limits on the pixels of a picture are taken or refused, and nothing that a user passed is changed."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import transformers

from hf_rap.engines.pixel_limits import check_taken
from hf_rap.engines.transformers_engine import TransformersEngine
from hf_rap.errors import EngineError, SettingError

if TYPE_CHECKING:
    from pathlib import Path

SIZE = {"shortest_edge": 3136, "longest_edge": 1003520}


@pytest.mark.parametrize("names", [["max_pixels"], ["min_pixels"], ["min_pixels", "max_pixels"]])
def test_a_size_beside_pixel_limits_is_refused(names: list[str]) -> None:
    """Qwen's processor takes the limits and leaves the size out, without a word."""
    options = {"size": dict(SIZE), **dict.fromkeys(names, 4096)}
    with pytest.raises(
        SettingError, match=f"^processor_options has size and {' and '.join(names)}, which say the same"
    ):
        TransformersEngine("m", processor_options=options)


def of(images: Any) -> Any:
    return SimpleNamespace(image_processor=images)


@pytest.mark.parametrize(
    "options", [{"max_pixels": 5000}, {"min_pixels": 100, "max_pixels": 5000}, {}, {"max_pixels": None}]
)
def test_limits_that_are_taken_are_fine(options: dict[str, Any]) -> None:
    """Qwen-VL keeps them in its size."""
    check_taken(of(transformers.Qwen2VLImageProcessorPil(**options)), options)


@pytest.mark.parametrize("kind", [transformers.Idefics3ImageProcessorPil, transformers.CLIPImageProcessorPil])
def test_limits_that_a_processor_does_not_know_are_refused(kind: Any, tmp_path: Path) -> None:
    """They would be left out, and pictures cost what they cost before."""
    kind().save_pretrained(tmp_path)
    options = {"max_pixels": 5000}
    with pytest.raises(EngineError, match=rf"^{kind.__name__} does not take max_pixels=5000: .* It has size=\{{'"):
        check_taken(of(kind.from_pretrained(tmp_path, **options)), options)


def test_options_are_never_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Image processors write into the dictionary of a size that they are given; ours is a copy."""
    from hf_rap.demo import MODEL
    from hf_rap.engines import loading

    options = {"size": {"shortest_edge": 48}}
    before = copy.deepcopy(options)
    usual = loading.AutoProcessor.from_pretrained

    def writes(*args: Any, size: dict[str, int], **more: Any) -> Any:
        processor = usual(*args, size=size, **more)
        size["shortest_edge"] = 1
        return processor

    monkeypatch.setattr(loading.AutoProcessor, "from_pretrained", writes)
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path))
    engine = TransformersEngine(str(MODEL), device="cpu", processor_options=options)
    engine.load()
    assert options == before
    assert engine.processor_options == before
