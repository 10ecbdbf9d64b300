"""A local vision-language model as an engine: what to load and how. Loads nothing by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hf_rap.errors import RowError, warnings_stay_warnings
from hf_rap.options import check, check_choice, check_flags, check_path, check_text, is_whole

from .pixel_limits import check_limits

if TYPE_CHECKING:
    from hf_rap.errors import RowError

    from .base import Completion, LogLikelihood, Reply, ReplyAttention, Request, Sampling
    from .loaded_model import LoadedModel

AUTO = "auto"  # a batch size
_ROWS_PER_PART = 64
_ROWS_PER_PART_OF_GPU = 192  # that fit a large GPU together; what is lost by a kill is made again in minutes
_DTYPES = ("auto", "bfloat16", "float16", "float32")


@dataclass(frozen=True)
class TransformersEngine:
    """A model of the Hub or of a folder, through `AutoProcessor` and `AutoModelForImageTextToText`.

    Holds names, not weights, so that it pickles and hashes in microseconds; the weights are loaded
    once per process, on first use.

    Args:
        model: a Hub id or a local folder.
        revision: branch, tag or commit of a Hub model.
        device: "cuda", "cuda:1", "cpu", "mps", or "auto" to spread one model over all GPUs with
            accelerate. None: the first GPU if there is one, else the CPU; each process of `accelerate
            launch`, and each worker of `map(num_proc=..., with_rank=True)`, takes a GPU of its own.
        dtype: "auto" (as saved), "bfloat16", "float16" or "float32".
        attn_implementation: "sdpa", "flash_attention_2", "eager"; None leaves the choice to transformers.
        batch_size: rows that are generated together; each counts once per attempt. "auto": as many as fit the GPU,
            found out on the way from the memory that batches take; 16 on a CPU. A batch that runs out of memory is
            halved, and later ones grow back. It does not change what is sampled, except through the rounding of the
            model's own arithmetic.
        trust_remote_code: run code that comes with a Hub model.
        processor_options: passed to `AutoProcessor.from_pretrained`, for example
            `{"min_pixels": 3136, "max_pixels": 1003520}` for Qwen2.5-VL.
        allow_missing: names or patterns (`("visual.*",)`) of weights that the checkpoint may lack or have left over. Any
            other such weight is refused: it would be random, or belongs to another model.

    On first use of a model with these versions of the libraries its replies, and before attention is read its attention,
    are held against those of plain transformers (`self_check`); that it has passed is remembered in the cache folder of
    Hugging Face.

    Raises:
        EngineError: on first use, when the model cannot be loaded, has no vision part or no chat
            template, its processor needs a library that is missing, weights are missing, or replies or attention are not
            those of plain transformers.
    """

    continues: ClassVar[bool] = True  # takes a `Request.prefix`
    repeats: ClassVar[bool] = True  # the random numbers of a reply are those of its row, arm and number

    model: str
    revision: str | None = None
    device: str | None = None
    dtype: str = "auto"
    attn_implementation: str | None = None
    batch_size: int | str = AUTO
    trust_remote_code: bool = False
    processor_options: Mapping[str, Any] | None = None
    allow_missing: Sequence[str] = ()
    version: str = "2"  # part of the cache key of `map`: raise it when the same input can give other replies
    # A folder's content, so that `map` does not serve an older checkpoint's evidence from its cache.
    folder_digest: str | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_path("model", self.model, "a Hub id, or the folder of a model")
        object.__setattr__(self, "model", str(self.model))
        for name in ("revision", "device", "attn_implementation"):
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
        folder = Path(self.model)
        object.__setattr__(self, "folder_digest", _digest(folder) if folder.is_dir() else None)

    def __hash__(self) -> int:
        options = tuple(sorted((self.processor_options or {}).items()))
        return hash((self.model, self.revision, self.device, self.dtype, self.batch_size, repr(options)))

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

    def describe(self) -> dict[str, Any]:
        """Model, resolved revision, classes, precision, device and library versions."""
        name = Path(self.model).name if self.folder_digest else self.model
        return {
            "engine": "transformers",
            "model": name,
            **self.load().describe(),
            "weights": self.folder_digest,
            "processor_options": dict(self.processor_options) if self.processor_options else None,
        }

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

        return self if self.device is not None else replace(self, device=device_of_rank(rank))

    @warnings_stay_warnings()
    def load(self) -> LoadedModel:
        """The loaded model of this process; loads it when called for the first time."""
        from .loading import load_model

        if self not in _loaded:
            _loaded.clear()  # before loading: two models would not fit where one barely does
            loaded = load_model(
                self.model,
                revision=self.revision,
                device=self.device,
                dtype=self.dtype,
                attn_implementation=self.attn_implementation,
                batch_size=None if self.batch_size == AUTO else int(self.batch_size),
                trust_remote_code=self.trust_remote_code,
                processor_options=self.processor_options,
                allow_missing=self.allow_missing,
            )
            self._check(loaded, "replies")
            _loaded[self] = loaded
        return _loaded[self]

    @warnings_stay_warnings()
    def _check(self, loaded: LoadedModel, what: str) -> None:
        from .self_check import check_once

        identity = loaded.commit or self.folder_digest
        told = {"identity": identity, "processor_options": repr(self.processor_options)}
        check_once(loaded, what, told, pinned=identity is not None)


_loaded: dict[TransformersEngine, LoadedModel] = {}


def _digest(folder: Path) -> str:
    """A hash of the folder's files; of a large file its size and 64 pieces spread over it."""
    digest = blake2b(digest_size=16)
    piece = 1 << 16
    for path in sorted(folder.iterdir()):
        if path.suffix not in {".json", ".safetensors", ".bin", ".jinja", ".txt", ".model"}:
            continue
        size = path.stat().st_size
        digest.update(f"{path.name}\x1f{size}\x1f".encode())
        with path.open("rb") as file:
            for start in range(0, size, max(piece, size // 64)):
                file.seek(start)
                digest.update(file.read(piece))
    return digest.hexdigest()
