"""Built-in data and model: planted picture questions, and a small model trained on such pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .planted import IMAGE_IS_NEEDED, KINDS, make_planted

if TYPE_CHECKING:
    from hf_rap.engines.transformers_engine import TransformersEngine

MODEL = Path(__file__).parent / "grid-vlm"


def demo_engine(*, batch_size: int = 16) -> TransformersEngine:
    """The small model that ships with hf_rap, on the CPU in float32."""
    from hf_rap.engines.transformers_engine import TransformersEngine

    return TransformersEngine(str(MODEL), device="cpu", dtype="float32", batch_size=batch_size)


__all__ = ["IMAGE_IS_NEEDED", "KINDS", "MODEL", "demo_engine", "make_planted"]
