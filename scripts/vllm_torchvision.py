"""Lets torchvision from the package index be imported beside torch without CUDA: declares two of its operators.

    PYTHON_OF_THE_ENVIRONMENT scripts/vllm_torchvision.py

Its compiled part is for CUDA and is left out there, and then torchvision wants to describe operators that nobody has declared.
vLLM and the processors of Qwen-VL import it and call neither.
"""

from importlib.util import find_spec
from pathlib import Path

HEAD = """import torch as _torch
_operators = _torch.library.Library("torchvision", "FRAGMENT")
if not _torch.cuda.is_available():
    for _name in ("nms", "qnms"):
        _operators.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
"""

start = Path(find_spec("torchvision").origin)
if not start.read_text().startswith(HEAD):
    start.write_text(HEAD + start.read_text())
