"""Versions on the Hub, read back: whole and checked, or only the decisions.

With HF_HUB_OFFLINE=1 a version is what was read of it before, found by the name of its tag: exactly its files, or an
error. `load_dataset` takes any version of its cache then (github.com/huggingface/datasets/issues/7928).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from hf_rap.columns import ID, KEEP, REASON, SCORES, SETTINGS
from hf_rap.errors import SettingError, SourceError, WithdrawnError
from hf_rap.options import check_flags, check_text
from hf_rap.rows.provenance import hash_file
from hf_rap.versions.configs import SCORED, SELECTED
from hf_rap.versions.manifest import MANIFEST
from hf_rap.versions.tags import numbers, tag_of

from .repository import KIND, Repository
from .retries import is_offline, repeated

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import datasets
    import pyarrow as pa
    from huggingface_hub import HfApi


def load(
    repo_id: str,
    config: str = SELECTED,
    *,
    version: str | None = None,
    streaming: bool = False,
    allow_withdrawn: bool = False,
    api: HfApi | None = None,
) -> datasets.Dataset | datasets.IterableDataset:
    """The rows of a published version, after every file was compared with the checksums of its manifest.

    `datasets.load_dataset(repo_id, config, revision="v1.0.0")` gives the same rows without the check, and, offline,
    those of any version that it has in its cache. Here a version that was loaded once is found offline again, and
    no other one.

    Args:
        repo_id: `user/name`.
        config: "selected", "scored" or "control".
        version: "1.0.0"; None takes the highest that is not withdrawn, which only the Hub can say.
        streaming: read the rows as they are asked for, from the files on this machine or else from the Hub, where
            the checksums that the Hub lists are compared.
        allow_withdrawn: load the version also when its publisher has withdrawn it. Offline nobody knows.
        api: another client for the Hub.

    Raises:
        SourceError: there is no such repository, version or config, or a file is not what was published; offline,
            also where it was never loaded.
        WithdrawnError: the version is withdrawn.
        HubError: the Hub does not answer.

    Examples:
        >>> load("user/geometry3k-rap", version="1.0.0")  # doctest: +SKIP

    """
    import datasets

    check_text("config", config, empty=False)
    check_flags(streaming=streaming, allow_withdrawn=allow_withdrawn)
    repository = open_repository(repo_id, api)
    commit, manifest = find_version(repository, version, allow_withdrawn=allow_withdrawn)
    if streaming and not is_offline():
        urls = _checked_urls(repository, commit, manifest, config)
        streamed: datasets.IterableDataset = datasets.load_dataset(
            "parquet", data_files=urls, split="train", streaming=True, token=repository.api.token
        )
        return streamed
    paths = [str(path) for path in checked_files(repository, commit, manifest, config)]
    if streaming:
        local: datasets.IterableDataset = datasets.load_dataset(
            "parquet", data_files=paths, split="train", streaming=True
        )
        return local
    loaded: datasets.Dataset = datasets.load_dataset("parquet", data_files=paths, split="train")
    rows = manifest["facts"]["configs"][config]["rows"]
    if len(loaded) != rows:
        raise SourceError(f"{repo_id} {manifest['version']}: {config} has {len(loaded):,} rows instead of {rows:,}.")
    return loaded


def open_repository(repo_id: str, api: HfApi | None) -> Repository:
    """The repository, through this client or the usual one.

    Raises:
        SettingError: the name is none of a repository, or the token cannot be one.

    """
    from huggingface_hub import HfApi

    token = api.token if api else None
    # The client would put it into a header as it is, and into the error that follows.
    if isinstance(token, str) and not re.fullmatch(r"[!-~]+", token):
        raise SettingError("The token of the client has blanks or other characters that no token has. Strip it.")
    return Repository(repo_id, api or HfApi())


def find_version(
    repository: Repository, version: str | None, *, allow_withdrawn: bool = False
) -> tuple[str, dict[str, Any]]:
    """The commit of a version and its manifest.

    Raises:
        SourceError, WithdrawnError: as `load`.

    """
    if version is not None:
        numbers(version)
    if is_offline():
        return _version_in_cache(repository, version)
    refs = repository.refs()
    if refs is None:
        raise SourceError(f"{repository.id}: there is no such dataset on the Hub, or this token may not see it.")
    withdrawn = ((repository.manifest(refs.head) or {}).get("facts") or {}).get("withdrawn") or {}
    if version is None:
        newest = repository.newest_version(refs, without=() if allow_withdrawn else withdrawn)
        if newest is not None:
            repository.remember(newest[1]["version"])
            return newest
    if version not in refs.versions:
        names = ", ".join(refs.versions) or "none"
        raise SourceError(f"{repository.id} has no version {version or 'that is not withdrawn'}; there is: {names}.")
    if version in withdrawn and not allow_withdrawn:
        why = withdrawn[version]
        raise WithdrawnError(
            f"{repository.id} {version} is withdrawn: {why.rstrip('.')}. Take another version (there is: "
            f"{', '.join(candidate for candidate in refs.versions if candidate not in withdrawn) or 'none'}), or pass allow_withdrawn=True (--allow-withdrawn).",
            why=why,
        )
    published = repository.version(refs, version)
    if published is None:
        raise SourceError(
            f"{repository.id}: the tag {tag_of(version)} was not made by hf-rap (no {MANIFEST} for {version} in it). "
            f'datasets.load_dataset("{repository.id}", revision="{tag_of(version)}") may read it.'
        )
    repository.remember(version)
    return published


def _version_in_cache(repository: Repository, version: str | None) -> tuple[str, dict[str, Any]]:
    """Commit and manifest of a version that was read here before.

    Raises:
        SourceError: it was not, or nobody says which one.

    """
    there = repository.versions_in_cache()
    if version is None or version not in there:
        which = "say which version" if version is None else f"version {version} was never loaded on this machine"
        raise SourceError(
            f"{repository.id}: HF_HUB_OFFLINE is set, so {which} (there is: {', '.join(there) or 'none'}). "
            "Load it once with the Hub in reach."
        )
    commit = there[version]
    manifest = repository.manifest(commit)
    if manifest is None or manifest["version"] != version:
        raise SourceError(f"{repository.id}: the tag {tag_of(version)} was not made by hf-rap.")
    return commit, manifest


def _checked_urls(repository: Repository, commit: str, manifest: dict[str, Any], config: str) -> list[str]:
    """The files of a config at the Hub, each of which the Hub lists with the checksum of the manifest."""
    names = _names(repository, manifest, config)
    there = repository.tree(commit)
    for name in names:
        listed = getattr(there.get(name), "lfs", None)
        if listed is None or listed.sha256 != manifest["files"][name]["sha256"]:
            raise SourceError(
                f"{repository.id} {manifest['version']}: {name} is not listed with the checksum of {MANIFEST}, so it cannot "
                "be checked as a stream. Load it without streaming."
            )
    return [f"hf://{KIND}s/{repository.id}@{commit}/{name}" for name in names]


def checked_files(repository: Repository, commit: str, manifest: dict[str, Any], config: str) -> list[Path]:
    """The files of a config in the client's cache, each with the checksum of the manifest."""
    paths = []
    for name in _names(repository, manifest, config):
        path = repository.download(name, commit)
        digest = None if path is None else hash_file(path)
        if path is None or digest != manifest["files"][name]["sha256"]:
            raise SourceError(
                f"{repository.id} {manifest['version']}: {name} is not the file that was published (SHA-256 "
                f"{digest or 'of nothing'}, {manifest['files'][name]['sha256']} in {MANIFEST}). Where the copy on "
                f"this machine is broken, remove it: {path or 'it is not there'}."
            )
        paths.append(path)
    return paths


def _names(repository: Repository, manifest: dict[str, Any], config: str) -> list[str]:
    names = files_of(manifest, config)
    if not names:
        raise SourceError(
            f"{repository.id} {manifest['version']} has no config {config!r}; "
            f"there is: {', '.join(manifest['facts']['configs'])}."
        )
    return names


def files_of(manifest: dict[str, Any], config: str) -> list[str]:
    """The paths of the shards of a config, in order."""
    return sorted(name for name in manifest["files"] if name.startswith(f"{config}/"))


def read_decisions(
    repository: Repository, commit: str, manifest: dict[str, Any], group_by: str | None = None
) -> pa.Table:
    """Ids, decisions and scores of every row of a version, without its images."""
    import pyarrow as pa

    wanted = decision_columns(group_by or group_of(manifest))
    names = files_of(manifest, SCORED)
    return repeated(
        f"Reading the decisions of {repository.id} {manifest['version']}",
        lambda: pa.concat_tables([_read_columns(repository, f"{commit}/{name}", wanted) for name in names]),
    )


def group_of(manifest: dict[str, Any]) -> str | None:
    """The column whose values the card counts."""
    groups = manifest["facts"].get("groups")
    return groups["column"] if groups else None


def decision_columns(group_by: str | None) -> list[str]:
    """What `hf_rap.versions.changes` looks at."""
    names = [column.name for column in (ID, KEEP, REASON, *SCORES, SETTINGS)]
    return [*names, group_by] if group_by else names


def row_counts(repository: Repository, commit: str, names: Iterable[str]) -> int:
    """How many rows these Parquet files have, from their last bytes."""
    import pyarrow.parquet as pq

    def count() -> int:
        rows = 0
        for name in names:
            with _open(repository, f"{commit}/{name}") as file:
                rows += pq.read_metadata(file).num_rows
        return rows

    return repeated(f"Counting the rows of {repository.id}", count)


def _read_columns(repository: Repository, path: str, wanted: list[str]) -> pa.Table:
    import pyarrow.parquet as pq

    with _open(repository, path) as file:
        parquet = pq.ParquetFile(file)
        there = [name for name in parquet.schema_arrow.names if name in wanted]
        return parquet.read(columns=there).replace_schema_metadata()


def _open(repository: Repository, path: str) -> Any:
    """A file of a commit, of which only what is asked for is fetched."""
    from huggingface_hub import HfFileSystem

    api = repository.api
    # A cached instance would remember an earlier listing.
    files = HfFileSystem(endpoint=api.endpoint, token=api.token, skip_instance_cache=True)
    return files.open(f"{KIND}s/{repository.id}@{path}", "rb", block_size=1 << 20)


def wrong_files(
    repository: Repository, commit: str, facts: dict[str, Any], files: dict[str, dict[str, Any]]
) -> list[str]:
    """What lies at a commit and is not what it should be: every checksum, and the rows of every config; [] for nothing.

    Args:
        repository: where.
        commit: of a version.
        facts: of that version.
        files: path -> {"sha256", "bytes"}, as they should be.

    """
    there = repository.tree(commit)
    wrong = []
    for name, entry in files.items():
        file = there.get(name)
        if file is None:
            wrong.append(f"{name} is missing")
        elif repository.checksum(name, file, commit) != entry["sha256"]:
            wrong.append(f"{name} has another checksum")
    for config, described in facts["configs"].items():
        names = sorted(name for name in files if name.startswith(f"{config}/"))
        rows = row_counts(repository, commit, names) if not wrong else described["rows"]
        if rows != described["rows"]:
            wrong.append(f"{config} has {rows:,} rows instead of {described['rows']:,}")
    return wrong
