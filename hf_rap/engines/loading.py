"""From an identity to a `LoadedModel`, with every way to fail turned into one clear `EngineError`."""

from __future__ import annotations

import os
from copy import deepcopy
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import (
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    AutoConfig,
    AutoModelForImageTextToText,
    AutoProcessor,
)

from hf_rap.errors import EngineError, first_line

from .compat import is_forked_from_cuda
from .identity import adapter_folder, parts_of, refuse_adapter, refuse_odd_index
from .loaded_model import LoadedModel
from .pixel_limits import check_taken
from .weights import refuse_wrong_weights

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from .identity import Identity, Pinned


def load_model(
    name: str,
    identity: Identity,
    *,
    adapter: str | None,
    device: str | None,
    dtype: str,
    attn_implementation: str | None,
    batch_size: int | None,
    trust_remote_code: bool,
    processor_options: Mapping[str, Any] | None,
    allow_missing: Collection[str] = (),
) -> LoadedModel:
    """The model and its processor in memory, of exactly this identity; the options are those of `TransformersEngine`."""
    commit = identity.model.commit
    where = f"{name}@{commit}" if commit else name
    refuse_adapter(name, commit)
    hub = {"revision": commit, "trust_remote_code": trust_remote_code}
    try:
        config = AutoConfig.from_pretrained(name, **hub)
    except Exception as error:  # transformers checks little of what stands in the files of a model
        raise EngineError(f"The model {where!r} cannot be read: {first_line(error)}") from error
    if type(config) not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING and not trust_remote_code:
        raise EngineError(
            f"{where!r} is a {config.model_type} model without a vision part. hf_rap asks every question with and "
            "without its image, so it needs an image-text-to-text model such as Qwen/Qwen2.5-VL-3B-Instruct."
        )
    refuse_odd_index(name, commit, getattr(config, "transformers_weights", None))
    quantization = config.to_dict().get("quantization_config")
    try:
        # A copy: image processors write min_pixels and max_pixels into the size that they are given.
        processor = AutoProcessor.from_pretrained(name, **hub, **deepcopy(dict(processor_options or {})))
    except ImportError as error:
        raise EngineError(
            f"The processor of {where!r} needs a library that is not installed: {first_line(error).split('. ')[0]}. "
            "For Qwen-VL and InternVL that is usually `pip install torchvision`, for SmolVLM num2words as well."
        ) from error
    except Exception as error:
        raise EngineError(f"The processor of {where!r} cannot be loaded: {first_line(error)}") from error
    check_taken(processor, processor_options or {})
    device = _usable(device)
    try:
        model, loading_info = AutoModelForImageTextToText.from_pretrained(
            name,
            output_loading_info=True,
            use_safetensors=True,  # a pickle runs what it likes when it is loaded
            **hub,
            dtype=dtype,
            attn_implementation=attn_implementation,
            # Quantised weights cannot be moved once they are loaded.
            device_map="auto" if device == "auto" else {"": device} if quantization else None,
        )
        if adapter is not None and identity.adapter is not None:
            _add_adapter(model, where, adapter, identity.adapter)
        if device != "auto" and not quantization:
            model = model.to(device)
        if identity.of_folder:
            _leave_files(model)
    except EngineError:
        raise
    except Exception as error:
        raise EngineError(f"The weights of {where!r} cannot be loaded: {first_line(error)}") from error
    random = refuse_wrong_weights(where, model, loading_info, allow_missing)
    return LoadedModel(model, processor, batch_size=batch_size, random_weights=random, quantization=quantization)


def _usable(device: str | None) -> str:
    """The device that was asked for, or the one of this process."""
    if device is None:
        # Set by `accelerate launch` and `torchrun` in each of the processes they start.
        local_rank = os.environ.get("LOCAL_RANK")
        device = device_of_rank(None if local_rank is None else int(local_rank))
    if device.startswith("cuda") and is_forked_from_cuda():
        raise EngineError(
            "A forked process cannot use the GPU. Before Dataset.map(num_proc=...) call "
            'multiprocess.set_start_method("spawn"), or leave out num_proc.'
        )
    return device


def _leave_files(model: Any) -> None:
    """Copy what is on the CPU into memory of its own: there it is the file itself, mapped, and changes with the file."""
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.device.type == "cpu":
            tensor.data = tensor.data.clone()


def _add_adapter(model: Any, where: str, adapter: str, pinned: Pinned) -> None:
    """Put the adapter into the layers of the model. What does not fit is refused: its layers would stay as they were."""
    if find_spec("peft") is None:
        raise EngineError(f"The adapter {adapter!r} needs peft, which is not installed: pip install peft.")
    try:
        folder = adapter_folder(parts_of(adapter)[0], pinned)
    except (OSError, ValueError) as error:
        raise EngineError(f"The adapter {adapter!r} cannot be read: {first_line(error)}") from error
    if not (Path(folder) / "adapter_model.safetensors").is_file():
        raise EngineError(
            f"The adapter {adapter!r} has no adapter_model.safetensors, and a pickle (.bin) can run what it likes when it is "
            "loaded: save it with safe_serialization=True."
        )
    try:
        loaded = model.load_adapter(folder)
    except ImportError as error:
        raise EngineError(
            f"The adapter {adapter!r} needs a newer peft than {version('peft')}: pip install -U peft. ({first_line(error)})"
        ) from error
    except Exception as error:
        raise EngineError(f"The adapter {adapter!r} cannot be put on {where!r}: {first_line(error)}") from error
    wrong = sorted({*loaded.missing_keys, *loaded.unexpected_keys, *(str(key) for key in loaded.mismatched_keys)})
    if wrong:
        raise EngineError(
            f"The adapter {adapter!r} does not fit {where!r}: {len(wrong)} of its weights have no place there or are "
            f"missing, the first is {wrong[0]}. It was trained on another model, or with another version of transformers."
        )


def device_of_rank(rank: int | None) -> str:
    """The CPU, or the GPU of process `rank` of this machine; None is the only process."""
    if not torch.cuda.is_available():
        return "cpu"
    return "cuda" if rank is None else f"cuda:{rank % torch.cuda.device_count()}"
