"""What a model can run on here."""

from __future__ import annotations

from typing import Any

import torch

from .loading import device_of_rank


def describe_devices() -> dict[str, Any]:
    """The device that `TransformersEngine` takes when it is told none, and the GPUs with their memory in bytes."""
    properties = [torch.cuda.get_device_properties(place) for place in range(torch.cuda.device_count())]
    return {
        "name": "TransformersEngine",
        "device": device_of_rank(None),
        "gpus": [{"name": gpu.name, "memory_bytes": gpu.total_memory} for gpu in properties],
        # None in a build of torch without it.
        "cuda": torch.version.cuda,
        "rocm": torch.version.hip,
        "fault": None,
    }
