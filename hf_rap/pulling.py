"""One version of a published dataset -> a folder that one trainer loads.

For trainers that can pin neither a config nor a revision: the folder holds exactly that version.
"""

from __future__ import annotations

import glob
import json
import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import SourceError
from .exporting import Exported, export
from .provenance import hash_file
from .sources import Source, as_source_error

if TYPE_CHECKING:
    from .exports.handoff import Limits

MANIFEST = "rap.json"
_SEMVER = re.compile(r"v?(\d+\.\d+\.\d+)", re.ASCII)


def pull(
    repo: str | os.PathLike[str],
    *,
    version: str,
    to: str,
    path: str | os.PathLike[str],
    config: str = "selected",
    limits: Limits | None = None,
    fix: bool = False,
    drop: bool = False,
) -> Exported:
    """Fetch `version` of `repo` and export it; every file is checked against the version's manifest.

    Args:
        repo: a Hub id, or a folder that `publish_to_folder` wrote.
        version: "1.0.0"; on the Hub it is the tag v1.0.0.
        to: see `export`, like `path`, `limits`, `fix` and `drop`.
        path: see `export`.
        config: `selected`, or another one of the version, such as `control`.
        limits: see `export`.
        fix: see `export`.
        drop: see `export`.

    Raises:
        SourceError: there is no such repository, version or config, or a file is not what the
            manifest says.
        ExportError: see `export`.

    """
    found = _SEMVER.fullmatch(version)
    if not found:
        raise SourceError(f"version is {version!r}: it takes three numbers, such as '1.0.0'.")
    import datasets

    folder = Path(repo) if Path(repo).is_dir() else _fetch(os.fspath(repo), found[1], config)
    files = _checked_files(folder, os.fspath(repo), found[1], config)
    with tempfile.TemporaryDirectory() as cache:  # the copy that datasets makes is not needed again
        names = [glob.escape(str(file)) for file in files]
        ds = datasets.load_dataset("parquet", data_files=names, split="train", cache_dir=cache)
        return export(ds, to=to, path=path, limits=limits, fix=fix, drop=drop)


def _fetch(repo: str, version: str, config: str) -> Path:
    """The files of one config at the tag of the version, in the cache of huggingface_hub."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import RevisionNotFoundError

    with as_source_error(Source(repo, revision=f"v{version}")):
        try:
            return Path(
                snapshot_download(
                    repo,
                    repo_type="dataset",
                    revision=f"v{version}",
                    allow_patterns=[MANIFEST, f"{config}/*"],
                )
            )
        except RevisionNotFoundError as error:
            tags = [tag.name for tag in HfApi().list_repo_refs(repo, repo_type="dataset").tags]
            raise SourceError(
                f"{repo} has no version {version} (its tags: {', '.join(sorted(tags)) or 'none'})."
            ) from error


def _checked_files(folder: Path, repo: str, version: str, config: str) -> list[Path]:
    """The data files of a config, whose bytes are those that the manifest lists."""
    if not (folder / MANIFEST).is_file():
        raise SourceError(f"{repo} holds no {MANIFEST}: it is no version that hf_rap published.")
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    if manifest["version"] != version:
        raise SourceError(f"{repo} holds version {manifest['version']}, not {version}.")
    listed = {name: told for name, told in manifest["files"].items() if name.endswith(".parquet")}
    chosen = {name: told for name, told in listed.items() if name.startswith(f"{config}/")}
    if not chosen:
        configs = sorted({name.partition("/")[0] for name in listed})
        raise SourceError(f"{repo} has no config {config!r} in version {version} (it has: {', '.join(configs)}).")
    for name, told in chosen.items():
        if not (folder / name).is_file() or hash_file(folder / name) != told["sha256"]:
            raise SourceError(f"{repo}: {name} is missing or not what {MANIFEST} of version {version} lists.")
    return [folder / name for name in sorted(chosen)]
