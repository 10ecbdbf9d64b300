"""Where a dataset comes from, for manifests and cards: commit, licence, hashes of local files."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_rap.errors import SourceError
from hf_rap.options import ForeignError, read_card_metadata

from .compat import hub_http_error
from .sources import Source, as_source_error, asked_source, files_in, is_saved, matching_files

if TYPE_CHECKING:
    from collections.abc import Iterable

    import datasets
    from huggingface_hub import HfApi


_CACHED = re.compile(r"([^/]+)___([^/]+)/([^/]+)/[^/]+/([0-9a-f]{40})/[^/]+\.arrow$")


@dataclass(frozen=True)
class SourceInfo:
    """The provenance of a dataset, for manifests and cards. Unknown is None."""

    id: str
    """Hub id, or the name of the local file or folder; never an absolute path."""
    config: str | None = None
    split: str | None = None
    revision: str | None = None
    """Commit on the Hub (what was asked for where the Hub is out of reach), or "sha256:..." over the names and
    contents of local files."""
    licence: str | None = None
    files: dict[str, str] = field(default_factory=dict)
    """Local files only: name relative to the source -> SHA-256 of the content."""
    parts: tuple[dict[str, Any], ...] = ()
    """Of a mixture: what each of its sources says of itself, the one with the strictest licence first."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(self.parts))  # JSON has lists

    def as_dict(self) -> dict[str, Any]:
        """As plain values, for JSON and YAML."""
        values = asdict(self)
        return (
            {**values, "parts": list(self.parts)} if self.parts else {k: v for k, v in values.items() if k != "parts"}
        )


def source_info(values: Mapping[str, Any], where: str) -> SourceInfo:
    """Where rows come from, as a file or a version says, which anybody may have written.

    Args:
        values: what `SourceInfo.as_dict` gave.
        where: the file, for the error.

    Raises:
        SourceError: it is no such thing.

    """
    texts = ("id", "config", "split", "revision", "licence")
    known = {*texts, "files", "parts"}
    fine = {"id"} <= set(values) <= known  # an unknown source has a null for its id
    fine = fine and all(isinstance(values.get(name), (str, type(None))) for name in texts)
    fine = (
        fine and isinstance(values.get("files") or {}, Mapping) and isinstance(values.get("parts") or [], (list, tuple))
    )
    if not fine or not all(isinstance(part, Mapping) for part in values.get("parts") or ()):
        raise SourceError(f"{where} says of its source what no release of hf-rap writes.")
    return SourceInfo(**values)


# What a licence asks for, the strictest first; what is in none of these asks for a name at most.
_MOST_LICENCES = 20
_STRICTNESS = (
    ("-nd", "noderiv"),
    ("unknown", "other"),
    ("-nc", "noncommercial", "research"),
    ("-sa", "gpl", "odbl"),
    ("by", ""),
)


def describe_mixture(sources: Mapping[str, SourceInfo], rows: Mapping[str, int]) -> SourceInfo:
    """Where the rows of a mixture come from.

    Args:
        sources: of its sources, by the name that the column `source` has.
        rows: of each.
    """
    parts = [
        {
            "name": name,
            **{key: getattr(info, key) for key in ("id", "config", "split", "revision", "licence")},
            "rows": rows[name],
        }
        for name, info in sources.items()
    ]
    parts.sort(key=lambda part: strictness(part["licence"]))
    licences = dict.fromkeys(part["licence"] or "unknown" for part in parts)
    return SourceInfo(" + ".join(sources), licence=", ".join(licences), parts=tuple(parts))


def strictness(licence: str | None) -> int:
    """How much a licence asks for: 0 for the most, which is to change nothing."""
    named = (licence or "unknown").lower()
    return next(place for place, marks in enumerate(_STRICTNESS) if any(mark in named for mark in marks))


def describe_source(
    source: str | Source,
    dataset: datasets.Dataset | None = None,
    *,
    config: str | None = None,
    revision: str | None = None,
    split: str | None = None,
    api: HfApi | None = None,
) -> SourceInfo:
    """Where `dataset`, loaded from `source`, comes from.

    Reads all local files once. For a Hub id it asks the Hub; when that is out of reach, the commit is
    taken from `dataset` as far as it knows, and the licence stays None.

    Args:
        source: as given to `load_source`, like `config`, `revision` and `split`.
        dataset: what `load_source` returned: it knows the config and split that were chosen.
        config: as given to `load_source`.
        revision: as given to `load_source`.
        split: as given to `load_source`.
        api: another client for the Hub.

    Raises:
        SourceError: there is no such file or dataset, or no access to it.

    """
    origin = asked_source(source, config, revision, split)
    info = getattr(dataset, "info", None)
    chosen_config, chosen_split = getattr(info, "config_name", None), getattr(dataset, "split", None)
    if origin.is_local:
        described = _describe_local(origin)
        path = Path(origin.path).expanduser()
        # datasets makes up a config for these, and for files the split `train`.
        if not path.is_dir() or is_saved(path):
            chosen_config = None
        if not path.is_dir():
            chosen_split = None
    else:
        with as_source_error(origin):
            described = _describe_hub(origin, getattr(info, "download_checksums", None) or {}, api)
    if chosen_split is not None:
        chosen_split = str(chosen_split)
    return replace(described, config=origin.config or chosen_config, split=origin.split or chosen_split)


def source_of(dataset: datasets.Dataset, *, api: HfApi | None = None) -> SourceInfo | None:
    """Where a dataset of `load_dataset("user/name")` comes from, also after `map`, `filter` and `select`; None if unknown.

    Rows of the Hub lie in the cache of datasets under .../user___name/config/version/commit/, and what is made of them
    lies beside them. Rows in memory and those of local files do not say where they are from.

    Args:
        dataset: the rows.
        api: another client for the Hub, which is asked for the licence.

    Raises:
        SourceError: there is no access to it any more.

    """
    places = {
        match.groups() for file in dataset.cache_files if (match := _CACHED.search(Path(file["filename"]).as_posix()))
    }
    if len(places) != 1:
        return None
    owner, name, config, commit = places.pop()
    # What was loaded with data_files=... is a config that datasets made up, with a hash behind its name.
    named = None if re.search(r"-[0-9a-f]{16}$", config) else config
    split = None if dataset.split is None else str(dataset.split)
    return describe_source(Source(f"{owner}/{name}", named, commit, split), api=api)


def _describe_hub(origin: Source, checksums: Iterable[str], api: HfApi | None) -> SourceInfo:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    loaded = (re.match(rf"hf://datasets/{re.escape(origin.path)}@([0-9a-f]{{40}})/", url) for url in checksums)
    commit = next((match[1] for match in loaded if match), None)
    try:
        info = (api or HfApi()).dataset_info(origin.path, revision=commit or origin.revision)
    except (RepositoryNotFoundError, RevisionNotFoundError):
        raise
    except (hub_http_error(), OSError):  # offline, or the Hub has a bad moment: what is not known stays open
        return SourceInfo(origin.path, revision=commit or origin.revision)
    return SourceInfo(origin.path, revision=commit or info.sha, licence=_licence(info.card_data))


def _describe_local(origin: Source) -> SourceInfo:
    given = Path(origin.path).expanduser()
    metadata = None
    if given.is_dir():
        files, top = files_in(given), given
        metadata = _readme_metadata(given / "README.md")
    else:
        files = matching_files(origin)
        top = Path(os.path.commonpath([file.parent for file in files]))
    hashes = {file.relative_to(top).as_posix(): hash_file(file) for file in files}
    listing = "".join(f"{digest}  {name}\n" for name, digest in hashes.items())
    is_plain = not given.is_absolute() and not origin.path.startswith("~") and ".." not in given.parts and given.name
    return SourceInfo(
        given.as_posix() if is_plain else given.resolve().name,
        revision=f"sha256:{sha256(listing.encode()).hexdigest()}",
        licence=_licence(metadata),
        files=hashes,
    )


def hash_file(file: Path) -> str:
    """SHA-256 of a file, in hex."""
    digest = sha256()
    with file.open("rb") as opened:
        while block := opened.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _readme_metadata(readme: Path) -> Any:
    try:
        return read_card_metadata(readme)
    except ForeignError:  # a README without readable metadata says nothing about the licence
        return None


def _licence(metadata: Any) -> str | None:
    licence = metadata.get("license") if metadata is not None else None
    names = licence[:_MOST_LICENCES] if isinstance(licence, list) else [licence]
    return ", ".join(name for name in names if isinstance(name, str)) or None
