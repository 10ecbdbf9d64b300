"""Weights under names that vLLM reads.

A LLaVA that transformers 5 has made and saved itself names its vision tower `vision_tower.encoder...`; those that were
published, and vLLM, say `vision_tower.vision_model.encoder...`. transformers reads both.
"""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_rap.errors import EngineError
from hf_rap.options import read_json_file

if TYPE_CHECKING:
    from collections.abc import Mapping

_TOWER, _INNER = "vision_tower.", "vision_tower.vision_model."
_LARGEST = 1 << 30  # bytes of weights that are copied without a word


def readable(model: str, config: Mapping[str, Any]) -> str:
    """The folder itself where vLLM reads its names, else a copy with other ones, which goes away with the process.

    Raises:
        EngineError: the weights are so large that a copy is the user's to make.
    """
    folder = Path(model)
    files = sorted(folder.glob("*.safetensors")) if config.get("model_type") == "llava" and folder.is_dir() else []
    if not any(_renamed(name) != name for file in files for name in _names(file)):
        return model
    if sum(file.stat().st_size for file in files) > _LARGEST:
        raise EngineError(
            f"vLLM does not read the names of the vision weights in {model!r} ({_TOWER}encoder..., it wants "
            f"{_INNER}encoder...). Make a copy that it reads: python -m hf_rap.engines.vllm_names {model} COPY."
        )
    copy = tempfile.mkdtemp(prefix="hf-rap-vllm-")
    atexit.register(shutil.rmtree, copy, ignore_errors=True)
    rename(folder, Path(copy))
    return copy


def rename(folder: Path, copy: Path) -> None:
    """Copies a model with the weights of its vision tower under the names that vLLM reads; their values stay."""
    from safetensors.torch import load_file, save_file

    copy.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.iterdir()):
        if path.suffix == ".safetensors":
            weights = {_renamed(name): tensor for name, tensor in load_file(path).items()}
            save_file(weights, copy / path.name, metadata={"format": "pt"})
        elif path.name.endswith(".index.json"):
            index = read_json_file(path)
            index["weight_map"] = {_renamed(name): file for name, file in index["weight_map"].items()}
            (copy / path.name).write_text(json.dumps(index, indent=2), encoding="utf-8")
        elif path.is_file():
            shutil.copyfile(path, copy / path.name)


def _names(file: Path) -> list[str]:
    from safetensors import safe_open

    with safe_open(str(file), "pt") as opened:
        return list(opened.keys())


def _renamed(name: str) -> str:
    before, tower, rest = name.partition(_TOWER)
    ours = tower and before in ("", "model.") and not name.startswith(before + _INNER)
    return f"{before}{_INNER}{rest}" if ours else name


if __name__ == "__main__":
    import sys

    rename(Path(sys.argv[1]), Path(sys.argv[2]))
