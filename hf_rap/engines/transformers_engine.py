"""A local vision-language model as an engine: what to load and how. Loads nothing by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hf_rap.errors import EngineError, RowError, warnings_stay_warnings
from hf_rap.options import check, check_choice, check_flags, check_text, is_whole
from hf_rap.stats.settings import set_apart

from .identity import OfOneModel, digest_before
from .options import BY_IDENTITY, ONLY_IN_MAP, ROUNDING, marked
from .pixel_limits import check_limits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hf_rap.errors import RowError

    from .base import Completion, LogLikelihood, Reply, ReplyAttention, Request, Sampling
    from .identity import Identity
    from .loaded_model import LoadedModel

AUTO = "auto"  # a batch size
_ROWS_PER_PART = 64
_ROWS_PER_PART_OF_GPU = 192  # that fit a large GPU together; what is lost by a kill is made again in minutes
_DTYPES = ("auto", "bfloat16", "float16", "float32")


@dataclass(frozen=True)
class TransformersEngine(OfOneModel):
    """A model of the Hub or of a folder, through `AutoProcessor` and `AutoModelForImageTextToText`.

    Holds names, not weights, so that it pickles and hashes in no time; the weights are loaded once per process, on
    first use. What the names stand for, the `identity`, is found when `Dataset.map` hashes the engine, when a run
    starts, or when the weights are loaded, whichever comes first. The commit of a Hub model then stays, also in other
    processes, and is what is loaded: an engine made anew sees where a branch has moved to. A folder is read again by
    each `map` and each run, so that it may be trained over in between; one that changes between being read and being
    loaded is refused, and weights in memory keep the identity that they were loaded with.

    Args:
        model: a Hub id or a local folder.
        revision: branch, tag or commit of a Hub model.
        device: "cuda", "cuda:1", "cpu", "mps", or "auto" to spread one model over all GPUs with
            accelerate. None: the first GPU if there is one, else the CPU; each process of `accelerate
            launch`, and each worker of `map(num_proc=..., with_rank=True)`, takes a GPU of its own.
        dtype: "auto" (as saved), "bfloat16", "float16" or "float32". Counts as part of the model: weights that are
            rounded once more are other weights, for every reply in the same direction, unlike the rounding of a sum
            that depends on its neighbours in the batch.
        attn_implementation: "sdpa", "flash_attention_2", "eager"; None leaves the choice to transformers.
        batch_size: rows that are generated together; each counts once per attempt. "auto": as many as fit the GPU,
            found out on the way from the memory that batches take; 16 on a CPU. A batch that runs out of memory is
            halved, and later ones grow back. It does not change what is sampled, except through the rounding of the
            model's own arithmetic.
        trust_remote_code: run code that comes with a Hub model. Code that a model borrows from another
            repository is no part of its identity.
        processor_options: passed to `AutoProcessor.from_pretrained`, for example
            `{"min_pixels": 3136, "max_pixels": 1003520}` for Qwen2.5-VL.
        adapter: LoRA or another adapter of peft that is put on the model: a folder, or a Hub id, with its revision
            as `name@revision`. Processor and chat template are those of the model.
        allow_missing: names or patterns (`("visual.*",)`) of weights that the checkpoint may lack or have left over. Any
            other such weight is refused: it would be random, or belongs to another model.

    Device, kernel and batch size change nothing but the rounding of the model's own arithmetic: replies are
    reproducible in distribution, and in float32 nearly always to the letter. So they are written down in the
    settings, and neither `Dataset.map` nor a run asks again because of them.

    On first use of a model with these versions of the libraries its replies, and before attention is read its attention,
    are held against those of plain transformers (`self_check`); that it has passed is remembered in the cache folder of
    Hugging Face.

    Raises:
        EngineError: on first use, when the model cannot be found or loaded, has no vision part or no chat
            template, its adapter does not fit, a library or weights are missing, or replies or attention are not
            those of plain transformers.
    """

    continues: ClassVar[bool] = True  # takes a `Request.prefix`
    template_arguments: ClassVar[bool] = True  # and `Request.chat_template_kwargs`
    tells_states: ClassVar[bool] = True  # and `Request.depths`
    repeats: ClassVar[bool] = True  # the random numbers of a reply are those of its row, arm and number

    model: str = field(metadata=BY_IDENTITY)
    revision: str | None = field(default=None, metadata=BY_IDENTITY)
    device: str | None = field(default=None, metadata=ROUNDING)
    dtype: str = "auto"
    attn_implementation: str | None = field(default=None, metadata=ROUNDING)
    batch_size: int | str = field(default=AUTO, metadata=ROUNDING)
    trust_remote_code: bool = False
    processor_options: Mapping[str, Any] | None = None
    adapter: str | None = field(default=None, metadata=BY_IDENTITY)
    # Weights that a checkpoint did lack stand in the settings.
    allow_missing: Sequence[str] = field(default=(), metadata=ONLY_IN_MAP)
    version: str = "2"  # raise it when the same input can give other replies

    def __post_init__(self) -> None:
        self.check_names()
        for name in ("device", "attn_implementation"):
            check_text(name, getattr(self, name), none=True, empty=False)
        check_choice("dtype", self.dtype, _DTYPES)
        if self.batch_size != AUTO:
            fine = is_whole(self.batch_size) and int(self.batch_size) >= 1
            check(fine, "batch_size", self.batch_size, 'a whole number of 1 or more, or "auto"')
        check_flags(trust_remote_code=self.trust_remote_code)
        patterns = self.allow_missing
        fine = isinstance(patterns, list | tuple) and all(isinstance(pattern, str) for pattern in patterns)
        check(fine, "allow_missing", patterns, 'names or patterns such as ("visual.*",)')
        object.__setattr__(self, "allow_missing", tuple(patterns))
        options = self.processor_options
        check(options is None or isinstance(options, Mapping), "processor_options", options, "a dictionary, or None")
        check_limits(options or {})

    def __hash__(self) -> int:
        options = tuple(sorted((self.processor_options or {}).items()))
        names = (self.model, self.revision, self.adapter)
        return hash((*names, self.device, self.dtype, self.batch_size, repr(options)))

    def complete(self, requests: Sequence[Request], sampling: Sampling) -> list[list[Completion] | RowError]:
        """`request.attempts` completions per request, or the error of that request alone."""
        return self.load().complete(requests, sampling)

    def attend(self, replies: Sequence[Reply], *, window: int) -> list[ReplyAttention | RowError]:
        """The last layer's attention inside each reply, or the error of that reply alone."""
        from .teacher_forcing import attend

        loaded = self.load()
        if replies:
            self._check(loaded, "attention")
        return attend(loaded, replies, window=window)

    def log_likelihoods(self, replies: Sequence[Reply]) -> list[LogLikelihood | RowError]:
        """How likely the text of each reply is behind its prompt and prefix, or the error of that reply alone."""
        from .likelihood import log_likelihoods

        return log_likelihoods(self.load(), replies)

    def prompt_states(
        self, requests: Sequence[Request], *, depths: Sequence[float]
    ) -> list[NDArray[np.float16] | RowError]:
        """The hidden states of each prompt's last token behind the layers at these depths, (n_depths, width), or its error."""
        from .states import prompt_states

        return prompt_states(self.load(), requests, depths=depths)

    @property
    def states_width(self) -> int | None:
        """Numbers in the hidden states of one layer; loads the model."""
        return getattr(self.load().model.config.get_text_config(), "hidden_size", None)

    def describe(self) -> dict[str, Any]:
        """Identity, classes, precision, options, device and library versions."""
        loaded = self.load()
        settings = {
            "engine": "transformers",
            **self.identity.as_settings(),
            **loaded.describe(),
            "batch_size": self.batch_size,
            "trust_remote_code": self.trust_remote_code,
            "processor_options": dict(self.processor_options) if self.processor_options else None,
            "engine_version": self.version,
        }
        return set_apart(settings, *marked(self, ROUNDING, BY_IDENTITY))

    def digest_before(self) -> str | None:
        """What runs from before there were identities call the weights of this folder; None for a Hub model."""
        return digest_before(Path(self.model)) if Path(self.model).is_dir() else None

    @property
    def rows_per_part(self) -> int:
        """Rows to hand over together: as many as may be generated together."""
        if self.batch_size != AUTO:
            return max(_ROWS_PER_PART, int(self.batch_size))
        from .loading import device_of_rank

        on_cpu = (self.device or device_of_rank(None)).startswith("cpu")
        return _ROWS_PER_PART if on_cpu else _ROWS_PER_PART_OF_GPU

    def on_rank(self, rank: int) -> TransformersEngine:
        """The engine for worker `rank` on this machine: on a GPU of its own, where there are any to choose from."""
        from .loading import device_of_rank

        if self.device is not None:
            return self
        engine = replace(self, device=device_of_rank(rank))
        object.__setattr__(engine, "pinned", vars(self)["pinned"])
        return engine

    @warnings_stay_warnings()
    def load(self) -> LoadedModel:
        """The loaded model of this process; loads it when called for the first time."""
        pinned: Identity | None = vars(self)["pinned"]
        identity = self.identity
        key = f"{self!r} {identity}"
        if key not in _loaded:
            _loaded.clear()  # before loading: two models would not fit where one barely does
            try:
                _loaded[key] = self._load(identity)
            except EngineError:
                object.__setattr__(self, "pinned", pinned)  # what could not be loaded is looked for anew
                raise
        return _loaded[key]

    def _load(self, identity: Identity) -> LoadedModel:
        from .loading import load_model

        model = load_model(
            self.model,
            identity,
            adapter=self.adapter,
            device=self.device,
            dtype=self.dtype,
            attn_implementation=self.attn_implementation,
            batch_size=None if self.batch_size == AUTO else int(self.batch_size),
            trust_remote_code=self.trust_remote_code,
            processor_options=self.processor_options,
            allow_missing=self.allow_missing,
        )
        self.check_unchanged(identity)
        self._check(model, "replies")
        return model

    @warnings_stay_warnings()
    def _check(self, loaded: LoadedModel, what: str) -> None:
        from .self_check import check_once

        told = {"identity": str(self.identity), "processor_options": repr(self.processor_options)}
        check_once(loaded, what, told)


_loaded: dict[str, LoadedModel] = {}
