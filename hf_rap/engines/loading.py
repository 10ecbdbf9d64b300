"""From the name of a model to a `LoadedModel`, with every way to fail turned into one clear `EngineError`."""

from __future__ import annotations

import os
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from huggingface_hub import try_to_load_from_cache
from safetensors import SafetensorError
from transformers import (
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    AutoConfig,
    AutoModelForImageTextToText,
    AutoProcessor,
)

from hf_rap.errors import EngineError, first_line

from .compat import is_forked_from_cuda
from .loaded_model import LoadedModel
from .pixel_limits import check_taken
from .weights import refuse_wrong_weights

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


def load_model(
    name: str,
    *,
    revision: str | None,
    device: str | None,
    dtype: str,
    attn_implementation: str | None,
    batch_size: int | None,
    trust_remote_code: bool,
    processor_options: Mapping[str, Any] | None,
    allow_missing: Collection[str] = (),
) -> LoadedModel:
    """The model and its processor in memory; the options are those of `TransformersEngine`."""
    where = f"{name}@{revision}" if revision else name
    if name.startswith(("/", ".", "~")) and not Path(name).is_dir():
        raise EngineError(f"There is no folder {name!r}.")
    hub = {"revision": revision, "trust_remote_code": trust_remote_code}
    try:
        config = AutoConfig.from_pretrained(name, **hub)
    except (OSError, ValueError) as error:
        raise EngineError(f"The model {where!r} cannot be read: {first_line(error)}") from error
    if type(config) not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING and not trust_remote_code:
        raise EngineError(
            f"{where!r} is a {config.model_type} model without a vision part. hf_rap asks every question with and "
            "without its image, so it needs an image-text-to-text model such as Qwen/Qwen2.5-VL-3B-Instruct."
        )
    quantization = config.to_dict().get("quantization_config")
    commit = _commit_of(name, revision)
    hub["revision"] = commit or revision  # a push in between must not mix two states of the model
    try:
        # A copy: image processors write min_pixels and max_pixels into the size that they are given.
        processor = AutoProcessor.from_pretrained(name, **hub, **deepcopy(dict(processor_options or {})))
    except ImportError as error:
        raise EngineError(
            f"The processor of {where!r} needs a library that is not installed: {first_line(error).split('. ')[0]}. "
            "For Qwen-VL and InternVL that is usually `pip install torchvision`, for SmolVLM num2words as well."
        ) from error
    except (OSError, ValueError) as error:
        raise EngineError(f"The processor of {where!r} cannot be loaded: {first_line(error)}") from error
    check_taken(processor, processor_options or {})
    if device is None:
        # Set by `accelerate launch` and `torchrun` in each of the processes they start.
        local_rank = os.environ.get("LOCAL_RANK")
        device = device_of_rank(None if local_rank is None else int(local_rank))
    if device.startswith("cuda") and is_forked_from_cuda():
        raise EngineError(
            "A forked process cannot use the GPU. Before Dataset.map(num_proc=...) call "
            'multiprocess.set_start_method("spawn"), or leave out num_proc.'
        )
    try:
        model, told = AutoModelForImageTextToText.from_pretrained(
            name,
            output_loading_info=True,
            **hub,
            dtype=dtype,
            attn_implementation=attn_implementation,
            # Quantised weights cannot be moved once they are loaded.
            device_map="auto" if device == "auto" else {"": device} if quantization else None,
        )
        if device != "auto" and not quantization:
            model = model.to(device)
    except (OSError, ValueError, ImportError, RuntimeError, SafetensorError) as error:
        raise EngineError(f"The weights of {where!r} cannot be loaded: {first_line(error)}") from error
    random = refuse_wrong_weights(where, model, told, allow_missing)
    return LoadedModel(
        model,
        processor,
        batch_size=batch_size,
        commit=commit,
        random_weights=random,
        quantization=quantization,
    )


def _commit_of(name: str, revision: str | None) -> str | None:
    """The commit of a Hub model whose config was just read; None for a folder.

    From where the config lies in the cache, `.../snapshots/<commit>/config.json`. The config knew it until
    transformers 5.17, under a private name.
    """
    if Path(name).exists():
        return None
    path = try_to_load_from_cache(name, "config.json", revision=revision)
    return Path(path).parent.name if isinstance(path, str) else None


def device_of_rank(rank: int | None) -> str:
    """The CPU, or the GPU of process `rank` of this machine; None is the only process."""
    if not torch.cuda.is_available():
        return "cpu"
    return "cuda" if rank is None else f"cuda:{rank % torch.cuda.device_count()}"
