"""A vision-language model in vLLM, in this process: what to load and how. Loads nothing, and imports no vLLM, by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from hf_rap.errors import EngineError, RowError, SettingError, first_line, warnings_stay_warnings
from hf_rap.options import check, check_choice, check_flags, check_number, check_whole
from hf_rap.stats.settings import set_apart

from .identity import OfOneModel
from .options import BY_IDENTITY, ONLY_IN_MAP, ROUNDING, marked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .base import Completion, LogLikelihood, Reply, Request, Sampling
    from .identity import Identity, Pinned
    from .vllm_model import VLLMModel

_ROWS_PER_PART = 64
_ROWS_PER_PART_OF_GPU = 128  # four parts of it are on their way: with both arms and 5 attempts 5,120 replies
_DTYPES = ("auto", "bfloat16", "float16", "float32")
# Said by fields and by us, in their own words.
_OURS = (
    *("model", "revision", "tokenizer", "tokenizer_revision", "hf_config_path", "seed", "dtype", "trust_remote_code"),
    *("tensor_parallel_size", "data_parallel_size", "max_model_len", "gpu_memory_utilization", "max_num_seqs"),
    *(
        "enforce_eager",
        "start_timeout",
        "enable_lora",
        "max_lora_rank",
        "mm_processor_kwargs",
        "generation_config",
        "runner",
        "task",
    ),
)


@dataclass(frozen=True)
class VLLMEngine(OfOneModel):
    """A model of the Hub or of a folder in vLLM, in this process: `pip install vllm hf-rap`.

    The prompt is the one that `TransformersEngine` makes, token for token, and replies are read as it reads them. Each row
    and arm is one request with n = attempts, so that prompt and image are prefilled once; the requests of two parts of a run
    are with vLLM together, so that it does not wait for the slowest reply of a part.

    Holds names, not weights: pickles and hashes in no time, and vLLM is imported and started on first use. Its
    processes end with this one, whichever way it ends. A script of your own needs `if __name__ == "__main__":`, since they
    are started as Python starts processes.

    What is sampled is named in every request; the model's generation_config is left aside but for its end tokens. Each reply
    has a seed made of the run's seed, row, arm and number, where the build takes seeds: that of the CPU does not, and draws
    anew each time. The same seeds give the same replies only on the same build and card and in the same batches, so that a
    run that goes on after a kill has other replies than one that was not killed, from the same distribution.

    Attention is not to be had from vLLM: see `hf_rap.Attention` for a second pass, by `TransformersEngine`.

    Args:
        model: a Hub id or a local folder.
        revision: branch, tag or commit of a Hub model.
        dtype: "auto" (as saved, also where vLLM would take half of it), "bfloat16", "float16" or "float32".
        adapter: a LoRA adapter of peft: a folder, or a Hub id, with its revision as `name@revision`.
        processor_options: passed to the processor, for example `{"max_pixels": 1003520}` for Qwen2.5-VL.
        trust_remote_code: run code that comes with a Hub model.
        use_generation_config: apply repetition_penalty and min_p of the model's generation_config.
        max_model_len: tokens of prompt and reply; longer rows get an error. None: the model's context, or as much as fits.
        tensor_parallel_size: GPUs that share one model.
        data_parallel_size: copies of the model, each on GPUs of its own.
        gpu_memory_utilization: share of each GPU's memory that vLLM takes, in (0, 1].
        max_num_seqs: replies that are decoded together at most; None leaves it to vLLM.
        enforce_eager: no CUDA graphs and no compilation: starts sooner, decodes slower.
        start_timeout: seconds that a start may take, with what it downloads; after them it is given up, and its processes are ended.
        seeded: a seed for each reply; False leaves them to vLLM's own generator, which is seeded at random.
        options: other arguments of vLLM's `AsyncEngineArgs`, for example `{"quantization": "fp8"}`. They count as part of
            the model, whatever they change.

    Raises:
        EngineError: on first use, when vLLM is not installed, too old or cannot load the model; the adapter does
            not fit; or vLLM stops.
    """

    continues: ClassVar[bool] = True  # takes a `Request.prefix`
    template_arguments: ClassVar[bool] = True  # and `Request.chat_template_kwargs`
    parts_at_once: ClassVar[int] = 4  # some are opened, wait or are graded while others are decoded
    # Fields that have the name of the argument of vLLM.
    arguments: ClassVar[tuple[str, ...]] = ("gpu_memory_utilization", "max_num_seqs", "enforce_eager", "start_timeout")

    model: str = field(metadata=BY_IDENTITY)
    revision: str | None = field(default=None, metadata=BY_IDENTITY)
    dtype: str = "auto"
    adapter: str | None = field(default=None, metadata=BY_IDENTITY)
    processor_options: Mapping[str, Any] | None = None
    trust_remote_code: bool = False
    use_generation_config: bool = False
    max_model_len: int | None = field(default=None, metadata=ONLY_IN_MAP)
    tensor_parallel_size: int = field(default=1, metadata=ROUNDING)
    data_parallel_size: int = field(default=1, metadata=ROUNDING)
    gpu_memory_utilization: float = field(default=0.9, metadata=ROUNDING)
    max_num_seqs: int | None = field(default=None, metadata=ROUNDING)
    enforce_eager: bool = field(default=False, metadata=ROUNDING)
    start_timeout: float = field(default=3600.0, metadata=ROUNDING)
    seeded: bool = field(default=True, metadata=ROUNDING)
    options: Mapping[str, Any] | None = None
    version: str = "1"  # raise it when the same input can give other replies

    def __post_init__(self) -> None:
        self.check_names()
        check_choice("dtype", self.dtype, _DTYPES)
        for name in ("tensor_parallel_size", "data_parallel_size"):
            check_whole(name, getattr(self, name), least=1)
        for name in ("max_model_len", "max_num_seqs"):
            check_whole(name, getattr(self, name), least=1, none=True)
        check_number("gpu_memory_utilization", self.gpu_memory_utilization, above=0, most=1)
        check_number("start_timeout", self.start_timeout, above=0)
        check_flags(
            trust_remote_code=self.trust_remote_code,
            use_generation_config=self.use_generation_config,
            enforce_eager=self.enforce_eager,
            seeded=self.seeded,
        )
        for name in ("processor_options", "options"):
            value = getattr(self, name)
            check(value is None or isinstance(value, Mapping), name, value, "a dictionary, or None")
        ours = [name for name in _OURS if name in (self.options or {})]
        if ours:
            raise SettingError(
                f"options holds {', '.join(ours)}: VLLMEngine has a field for what can be said of that, or says it itself."
            )
        if self.data_parallel_size > 1 and not self.seeded:
            raise SettingError(
                "seeded=False with data_parallel_size above 1: copies of a model draw from equal generators and could give "
                "the same reply twice. Leave one of them out."
            )

    def __hash__(self) -> int:
        return hash((self.model, self.revision, self.adapter, self.dtype, repr(self.options)))

    @property
    def rows_per_part(self) -> int:
        """Rows to hand over together: with those of a second part, enough to fill a GPU."""
        from .loading import device_of_rank

        return _ROWS_PER_PART if device_of_rank(None) == "cpu" else _ROWS_PER_PART_OF_GPU * self.data_parallel_size

    @property
    def gpus(self) -> int:
        """GPUs that one engine takes."""
        return self.tensor_parallel_size * self.data_parallel_size

    def complete(self, requests: Sequence[Request], sampling: Sampling) -> list[list[Completion] | RowError]:
        """`request.attempts` completions per request, or the error of that request alone."""
        return self.load().complete(requests, sampling) if requests else []

    def log_likelihoods(self, replies: Sequence[Reply]) -> list[LogLikelihood | RowError]:
        """How likely the text of each reply is behind its prompt and prefix, or the error of that reply alone."""
        return self.load().log_likelihoods(replies) if replies else []

    def describe(self) -> dict[str, Any]:
        """Identity, class, precision, options and library versions; what can be said without starting vLLM."""
        import torch
        import transformers

        from .vllm_start import vllm_version

        config = self.config()
        quantization = config.get("quantization_config")
        settings = {
            "engine": "vllm",
            **self.identity.as_settings(),
            "architecture": next(iter(config.get("architectures") or ()), None),
            "dtype": self.dtype_of(config),
            **({"quantization": quantization} if quantization else {}),
            "processor_options": dict(self.processor_options) if self.processor_options else None,
            "trust_remote_code": self.trust_remote_code,
            "use_generation_config": self.use_generation_config,
            "options": dict(self.options) if self.options else None,
            "engine_version": self.version,
            **{name: getattr(self, name) for name in sorted(marked(self, ROUNDING))},
            "vllm": vllm_version(),
            "transformers": transformers.__version__,
            "torch": torch.__version__,
        }
        return set_apart(settings, "vllm", *marked(self, ROUNDING, BY_IDENTITY))

    def config(self) -> Mapping[str, Any]:
        """The config of the model, as its file says it."""
        return _config_of(self.model, self.identity.model, self.trust_remote_code)

    def dtype_of(self, config: Mapping[str, Any]) -> str:
        """The precision that was asked for, or the one that the weights are saved in."""
        texts = config.get("text_config") or {}
        saved = config.get("dtype") or texts.get("dtype") or "auto"
        return str(saved).removeprefix("torch.") if self.dtype == "auto" else self.dtype

    @warnings_stay_warnings()
    def load(self) -> VLLMModel:
        """The running engine of this process; starts it when called for the first time, and ends another."""
        from .vllm_start import running

        return running(self, self.identity)

    @contextmanager
    def interrupted(self) -> Iterator[None]:
        """Within, whoever waits for replies in another thread is interrupted and gets those that are there."""
        from .vllm_start import started

        model = started()
        with nullcontext() if model is None else model.interrupted():
            yield

    def identify(self) -> Identity:
        """Which model it is now. What begins with that may start a vLLM anew that has ended by itself in what was before."""
        from .vllm_start import forget_ended

        forget_ended()
        return super().identify()

    def close(self) -> None:
        """Ends vLLM's processes, if they run; what is asked afterwards starts them again. Happens by itself at the end."""
        from .vllm_start import stop

        stop()


@lru_cache(maxsize=8)
def _config_of(model: str, pinned: Pinned, trust_remote_code: bool) -> dict[str, Any]:
    """Read once for a model, also where every part of a run describes its engine: transformers takes 20 ms for it."""
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(model, revision=pinned.commit, trust_remote_code=trust_remote_code)
    except (OSError, ValueError) as error:
        raise EngineError(f"The model {model!r} cannot be read: {first_line(error)}") from error
    return dict(config.to_dict())
