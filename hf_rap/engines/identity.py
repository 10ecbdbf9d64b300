"""Which model it is: the commit of a repository on the Hub, or a digest of the files of a folder. Loads nothing.

A name is no identity: `main` moves, and a folder is trained over. What is found here stands in settings, in the
fingerprint of a run and in the key of `Dataset.map`, and is what is then loaded.

    Hub      name@commit. The commit is the one that the revision names now; without a network, the one that it named
             when it was last downloaded. A commit pins weights, quantisation, processor and chat template alike.
    folder   files:digest. The name of the folder does not count: copies are the same model.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_rap.errors import EngineError, first_line, visible
from hf_rap.options import check_path, check_text, read_json, read_json_file

from .options import Hashed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

ADAPTER = "adapter_config.json"
_INDEX = "model.safetensors.index.json"
_CONFIG = "config.json"
_KIND = {_CONFIG: "model", ADAPTER: "adapter"}
_COMMIT = re.compile(r"[0-9a-f]{40}")
# What `from_pretrained` opens: weights and their index, config, generation config, processor, tokenizer, chat
# template, and code that comes with the model.
_READ = {".json", ".safetensors", ".bin", ".jinja", ".txt", ".model", ".tiktoken", ".py"}
_WEIGHTS = {".safetensors", ".bin"}
# What trainers leave beside it, and nobody opens.
_LEFT_BEHIND = re.compile(r"trainer_state\.json|training_args\.bin|optimizer\.bin|scheduler\.bin|\w+_results\.json")
_OF_ADAPTER = re.compile(r"adapter_config\.json|adapter_model\.(safetensors|bin)")
_SHARD = re.compile(r"(\w[\w.+-]*/)*\w[\w.+-]*\.safetensors", re.ASCII)  # in folders inside, too
_WHOLE = 16 << 20  # bytes up to which weights are read as a whole
_PIECE = 4 << 10  # bytes read at the start, in the middle and at the end of each tensor
_LONGEST_HEADER = 100 << 20  # that safetensors allows


@dataclass(frozen=True)
class Pinned:
    """A model or an adapter: its name for people, and what does not change under that name.

    Attributes:
        name: Hub id, or the last part of a folder's path.
        commit: of the repository; None for a folder.
        digest: of the files of the folder; None for a repository.
    """

    name: str
    commit: str | None = None
    digest: str | None = None

    def __str__(self) -> str:
        return f"{self.name}@{self.commit}" if self.commit else f"files:{self.digest}"


@dataclass(frozen=True)
class Identity:
    """A model, with an adapter or without."""

    model: Pinned
    adapter: Pinned | None = None

    def __str__(self) -> str:
        return str(self.model) if self.adapter is None else f"{self.model} with {self.adapter}"

    @property
    def of_folder(self) -> bool:
        """Some of its files lie in a folder, where they can change."""
        return any(part is not None and part.digest is not None for part in (self.model, self.adapter))

    def as_settings(self) -> dict[str, str]:
        """The identity as one text, and the names beside it."""
        settings = {"identity": str(self), "model": self.model.name}
        if self.model.commit:
            settings["revision"] = self.model.commit
        if self.adapter is not None:
            settings["adapter"] = str(self.adapter) if self.adapter.commit else self.adapter.name
        return settings


class OfOneModel(Hashed):
    """An engine with the fields `model`, `revision` and `adapter`: what they stand for is found once, and stays.

    For frozen dataclasses; the identity lies beside their fields, under `pinned`.
    """

    model: str
    revision: str | None
    adapter: str | None

    def check_names(self) -> None:
        """The names as texts, nothing found yet; raises `SettingError` for what is none."""
        check_path("model", self.model, "a Hub id, or the folder of a model")
        object.__setattr__(self, "model", str(self.model))
        check_path("adapter", self.adapter, "a Hub id as name or name@revision, the folder of an adapter", none=True)
        object.__setattr__(self, "adapter", None if self.adapter is None else str(self.adapter))
        check_text("revision", self.revision, none=True, empty=False)
        object.__setattr__(self, "pinned", None)

    @property
    def identity(self) -> Identity:
        """Which model it is, as last found.

        Raises:
            EngineError: it cannot be found.
        """
        pinned: Identity | None = vars(self)["pinned"]
        return pinned or self.identify()

    def identify(self) -> Identity:
        """Which model it is now: a commit stays, a folder is read again."""
        identity = find_identity(self.model, self.revision, self.adapter, before=vars(self)["pinned"])
        object.__setattr__(self, "pinned", identity)
        return identity

    def check_unchanged(self, identity: Identity) -> None:
        """Raise `EngineError` where the model that was loaded as `identity` is another one by now."""
        if find_identity(self.model, self.revision, self.adapter, before=identity) != identity:
            raise EngineError(
                f"{self.model!r} or its adapter has changed since hf_rap first looked at it, so that its replies would be "
                "those of two models. Start again when nothing is written there any more."
            )


def find_identity(
    model: str, revision: str | None = None, adapter: str | None = None, *, before: Identity | None = None
) -> Identity:
    """What these names stand for now.

    Args:
        model: a Hub id or a folder.
        revision: branch, tag or commit of a Hub model; None: its default branch.
        adapter: a Hub id, as it is or with its revision (`name@revision`), or a folder.
        before: what was found last time: commits stay, and only folders are read again.

    Raises:
        EngineError: there is no such model, or without a network none in the cache; a folder cannot be read.
    """
    held = before and before.model
    pinned = held if held and held.commit else _find(model, revision, _CONFIG)
    if adapter is None:
        return Identity(pinned)
    held = before and before.adapter
    return Identity(pinned, held if held and held.commit else _find(*parts_of(adapter), ADAPTER))


def parts_of(adapter: str) -> tuple[str, str | None]:
    """Name and revision of an adapter: a Hub id has no @, and a folder that exists no revision.

    >>> parts_of("me/grid-lora@v2")
    ('me/grid-lora', 'v2')
    """
    name, at, revision = adapter.rpartition("@")
    return (name, revision) if at and not Path(adapter).is_dir() else (adapter, None)


def adapter_folder(name: str, adapter: Pinned) -> str:
    """The folder with the two files of an adapter, downloaded where it is one of the Hub; the weights may be missing there."""
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    if adapter.commit is None:
        return name
    config = _download(name, ADAPTER, adapter.commit)
    try:
        _download(name, "adapter_model.safetensors", adapter.commit)
    except LocalEntryNotFoundError:  # nobody could be asked
        raise
    except EntryNotFoundError:
        pass
    return str(Path(config).parent)


def refuse_adapter(name: str, revision: str | None) -> None:
    """Raises `EngineError` where an adapter stands in the place of a model, or beside one in the same folder.

    transformers would put it on the model that it names, whatever is in there today.
    """
    base = _adapter_base(name, revision)
    if base is not None:
        given = f"{name}@{revision}" if revision else name
        raise EngineError(
            f"{given!r} is an adapter, not a model. Pass the model that it was trained on{f' ({base})' if base else ''}, "
            f"and the adapter beside it: adapter={given!r}, --adapter {given}."
        )


def _adapter_base(name: str, revision: str | None) -> str | None:
    """The model that an adapter was trained on, as it says; None where `name` is no adapter."""
    try:
        path = Path(name) / ADAPTER if Path(name).is_dir() else Path(_download(name, ADAPTER, revision))
        config = read_json_file(path)
    except (OSError, ValueError):  # ForeignError is one
        return None
    return str(config.get("base_model_name_or_path") or "")


def refuse_odd_index(name: str, revision: str | None, explicit: str | None = None) -> None:
    """Raises `EngineError` where the index of a model's weights names anything but safetensors files beside it.

    transformers opens whatever stands there: pickles, and files in other folders.

    Args:
        name: a Hub id or a folder.
        revision: commit of a Hub model.
        explicit: file of the weights that the model's config names in the place of the usual ones.

    """
    file = explicit if explicit is not None and explicit.endswith(".index.json") else _INDEX
    try:
        path = Path(name) / file if Path(name).is_dir() else Path(_download(name, file, revision))
        shards = read_json_file(path).get("weight_map", {})
    except OSError:  # there is none, and one file holds all
        return
    except ValueError as error:  # ForeignError is one
        raise EngineError(f"The weights of {name!r} cannot be loaded: {file} {error}.") from error
    for shard in shards.values() if isinstance(shards, dict) else [shards]:
        if not isinstance(shard, str) or not _SHARD.fullmatch(shard) or ".." in shard:
            raise EngineError(
                f"The weights of {name!r} cannot be loaded: {file} names {visible(str(shard), 80)!r}, which is no safetensors "
                "file beside it; nothing else is opened."
            )


def _find(name: str, revision: str | None, config: str) -> Pinned:
    if Path(name).is_dir():
        return _of_folder(name, revision, config)
    if name.startswith(("/", ".", "~")):
        raise EngineError(f"There is no folder {name!r}.")
    if revision is not None and _COMMIT.fullmatch(revision):
        return Pinned(name, commit=revision)
    where = f"{name}@{revision}" if revision else name
    try:
        commit = Path(_download(name, config, revision)).parent.name
    except (OSError, ValueError) as error:
        if config == _CONFIG:
            refuse_adapter(name, revision)
        raise EngineError(f"The {_KIND[config]} {where!r} cannot be read: {_why(error)}") from error
    if not _COMMIT.fullmatch(commit):
        raise EngineError(
            f"Which commit of {where!r} this is cannot be told: huggingface_hub put its files into {commit!r}."
        )
    return Pinned(name, commit=commit)


def _of_folder(name: str, revision: str | None, config: str) -> Pinned:
    if revision is not None:
        raise EngineError(f"{name!r} is a folder, which has no revisions: leave out {revision!r}.")
    if config == _CONFIG:
        refuse_adapter(name, None)
    elif _adapter_base(name, None) is None:
        raise EngineError(f"The folder {name!r} holds no adapter: it has no {ADAPTER} that can be read.")
    folder = Path(name)
    try:
        digest = folder_digest(folder, only=_OF_ADAPTER if config == ADAPTER else None)
    except OSError as error:
        raise EngineError(f"The {_KIND[config]} {name!r} cannot be read: {first_line(error)}") from error
    return Pinned(folder.absolute().name, digest=digest)


def _why(error: BaseException) -> str:
    """What an error of huggingface_hub says: behind "404 Client Error" comes what is meant by it."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[1] if len(lines) > 1 and " Error" in lines[0][:20] else first_line(error)


def _download(name: str, file: str, revision: str | None) -> str:
    """A file of a repository in the cache, below a folder that is named by the commit."""
    from huggingface_hub import hf_hub_download

    return hf_hub_download(name, file, revision=revision)


def folder_digest(folder: Path, *, only: re.Pattern[str] | None = None) -> str:
    """A digest of the files in a folder that `from_pretrained` opens; what trainers leave beside them does not count.

    Everything but weights is read as a whole, and so are weights of up to 16 MiB. Of larger ones: name and size, the
    header of safetensors, which names every tensor with its type, shape and place, and 4 KiB at the start, in the
    middle and at the end of every tensor; of other files 64 KiB at 64 places and the last MiB, where torch has
    written the checksum of every tensor. That suffices because training changes a tensor all over: even of bfloat16
    weights of which a step moves one in a thousand, 6,144 numbers of each of hundreds of tensors are looked at. What
    it misses is a change of a few numbers inside a large tensor: an edit by hand, or new vectors for a few tokens and
    nothing else. Where that was done, any change of config.json makes it another model. A whole hash would take minutes
    for 70 billion weights, and a remembered one would trust the clock of a file system.

    Args:
        folder: of a model or an adapter; folders inside it are not read.
        only: files whose names match.
    """
    digest = blake2b(digest_size=16)
    for path in sorted(folder.iterdir()):
        opened = path.suffix in _READ and not _LEFT_BEHIND.fullmatch(path.name)
        if not opened or not path.is_file() or (only is not None and not only.fullmatch(path.name)):
            continue
        size = path.stat().st_size
        digest.update(f"{path.name}\x1f{size}\x1f".encode())
        with path.open("rb") as file:
            for start, length in _pieces(file, path.suffix, size):
                file.seek(start)
                digest.update(file.read(length))
    return digest.hexdigest()


def _pieces(file: BinaryIO, suffix: str, size: int) -> Iterator[tuple[int, int]]:
    """Start and length of what is read of a file."""
    if suffix not in _WEIGHTS or size <= _WHOLE:
        yield 0, size
        return
    tensors = _tensors(file) if suffix == ".safetensors" else None
    if tensors is None:
        yield from ((start, 64 << 10) for start in range(0, size, size // 64))
        yield size - (1 << 20), 1 << 20
        return
    yield 0, min(start for start, _ in tensors)
    for start, end in tensors:
        for place in (start, (start + end - _PIECE) // 2, end - _PIECE):
            yield max(place, start), min(_PIECE, end - start)


def _tensors(file: BinaryIO) -> list[tuple[int, int]] | None:
    """Where each tensor begins and ends in a safetensors file; None where that cannot be read."""
    length = int.from_bytes(file.read(8), "little")
    if length > _LONGEST_HEADER:
        return None
    try:
        header: dict[str, Any] = read_json(file.read(length), most=_LONGEST_HEADER)
        places = [entry["data_offsets"] for name, entry in header.items() if name != "__metadata__"]
        return sorted((8 + length + int(start), 8 + length + int(end)) for start, end in places) or None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def digest_before(folder: Path) -> str:
    """The digest that runs from before there were identities hold as `weights`."""
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
