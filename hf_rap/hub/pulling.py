"""One version of a published dataset -> a folder that one trainer loads.

For trainers that can pin neither a config nor a revision: the folder holds exactly that version.
"""

from __future__ import annotations

import glob
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hf_rap.errors import SourceError, visible
from hf_rap.exports.exporting import Exported, check_options, export
from hf_rap.exports.trainers import find_trainer
from hf_rap.options import check_flags, check_path, check_text
from hf_rap.rows.provenance import hash_file
from hf_rap.versions.manifest import MANIFEST, file_below, read_manifest
from hf_rap.versions.tags import numbers

from .reading import checked_files, find_version, open_repository

if TYPE_CHECKING:
    from hf_rap.exports.limits import Limits
    from hf_rap.rows.prompts import PromptTemplate


def pull(
    repo: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    version: str,
    to: str = "universal",
    config: str = "selected",
    limits: Limits | None = None,
    fix: bool = False,
    drop: bool = False,
    allow_withdrawn: bool = False,
    prompt: PromptTemplate | str | None = None,
    hints: bool = False,
) -> Exported:
    """Fetch `version` of `repo` and export it; every file is checked against the version's manifest.

    Args:
        repo: a Hub id, or a folder that `publish_to_folder` wrote.
        path: see `export`, like `to`, `limits`, `fix`, `drop` and `prompt`.
        version: "1.0.0"; on the Hub it is the tag v1.0.0.
        to: see `export`.
        config: `selected`, or another one of the version, such as `control`.
        limits: see `export`.
        fix: see `export`.
        drop: see `export`.
        allow_withdrawn: fetch the version also when its publisher has withdrawn it.
        prompt: see `export`.
        hints: see `export`.

    With HF_HUB_OFFLINE=1 the Hub is not asked, and what was fetched before is taken from the cache.

    Raises:
        SettingError: the version is not three numbers.
        SourceError: there is no such repository, version or config, or a file is not what the
            manifest says.
        WithdrawnError: the version is withdrawn.
        ExportError: see `export`.

    """
    import datasets

    check_path("repo", repo, "a Hub id, or the folder of a version")
    check_path("path", path, "a folder that does not exist yet, or is empty")
    find_trainer(to)
    check_text("config", config, empty=False)
    check_flags(allow_withdrawn=allow_withdrawn)
    check_options(None, limits, prompt, fix=fix, drop=drop, hints=hints)
    version = version.removeprefix("v") if isinstance(version, str) else version
    numbers(version)
    if Path(repo).is_dir():
        files = _checked_files(Path(repo), os.fspath(repo), version, config)
    else:
        repository = open_repository(os.fspath(repo), None)
        files = checked_files(repository, *find_version(repository, version, allow_withdrawn=allow_withdrawn), config)
    with tempfile.TemporaryDirectory() as cache:  # the copy that datasets makes is not needed again
        names = [glob.escape(str(file)) for file in files]
        ds = datasets.load_dataset("parquet", data_files=names, split="train", cache_dir=cache)
        return export(ds, path, to=to, limits=limits, fix=fix, drop=drop, prompt=prompt, hints=hints)


def _checked_files(folder: Path, repo: str, version: str, config: str) -> list[Path]:
    """The data files of a config, whose bytes are those that the manifest lists."""
    if not (folder / MANIFEST).is_file():
        raise SourceError(f"{repo} holds no {MANIFEST}: it is no version that hf_rap published.")
    manifest = read_manifest((folder / MANIFEST).read_bytes(), repo)
    if manifest["version"] != version:
        raise SourceError(f"{repo} holds version {visible(manifest['version'], 40)}, not {version}.")
    listed = {name: entry for name, entry in manifest["files"].items() if name.endswith(".parquet")}
    chosen = {name: entry for name, entry in listed.items() if name.startswith(f"{config}/")}
    if not chosen:
        configs = sorted({name.partition("/")[0] for name in listed})
        raise SourceError(f"{repo} has no config {config!r} in version {version} (it has: {', '.join(configs)}).")
    files = []
    for name, entry in sorted(chosen.items()):
        file = file_below(folder, name)
        if file is None or hash_file(file) != entry["sha256"]:
            raise SourceError(f"{repo}: {name} is missing or not what {MANIFEST} of version {version} lists.")
        files.append(folder / name)
    return files
