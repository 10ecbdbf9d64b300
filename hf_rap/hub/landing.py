"""The last steps of a version, as one: its commit, the comparison of what lies there with what was prepared, its tag.

Whoever else publishes at the same moment, branch and tag tell the same in the end, and no tag stands for a commit
without a manifest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_rap.errors import BranchMovedError, HubError, VersionExistsError
from hf_rap.versions.cards import render_card
from hf_rap.versions.manifest import MANIFEST, README, file_entry, manifest_of
from hf_rap.versions.readme import merge_readme, metadata_of

from .guest import look_around
from .reading import wrong_files
from .repository import title_start

if TYPE_CHECKING:
    from collections.abc import Sequence

    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    from .repository import Repository


def title_of(facts: dict[str, Any]) -> str:
    """The title of the commit of a version, and the message of its tag."""
    rows = facts["rows"]
    return f"{title_start(facts['version'])}{rows['kept']:,} of {rows['all']:,} rows"


def commit_version(
    repository: Repository,
    operations: Sequence[CommitOperationAdd | CommitOperationDelete],
    facts: dict[str, Any],
    manifest: bytes,
    *,
    parent: str,
) -> str:
    """One commit with all of a version on top of `parent`; its id.

    Raises:
        BranchMovedError, HubError: as `Repository.commit`.

    """
    prepared = file_entry(manifest)["sha256"]

    def landed(commit: str) -> bool:
        path = repository.download(MANIFEST, commit)
        return path is not None and file_entry(path.read_bytes())["sha256"] == prepared

    return repository.commit(list(operations), title_of(facts), parent=parent, landed=landed)


def tag_version(repository: Repository, commit: str, facts: dict[str, Any], files: dict[str, dict[str, Any]]) -> None:
    """Compare what lies at a commit with what was prepared, and tag it.

    Args:
        repository: where.
        commit: of the version.
        facts: of the version.
        files: what was prepared: path -> {"sha256", "bytes"}, the manifest among them.

    Raises:
        HubError: what lies there is something else; the next run builds over it.
        BranchMovedError: somebody else has committed this very version on top, and tags it.
        VersionExistsError: somebody else has tagged this version first; the branch holds theirs again.

    """
    version = facts["version"]
    wrong = wrong_files(repository, commit, facts, files)
    if wrong:
        raise HubError(
            f"{repository.id}: what came back is not what was sent ({'; '.join(wrong[:5])}). The commit {commit[:10]} "
            "stays without a tag; run the same command again: it builds a new one on top.",
            status=None,
        )
    if repository.commit_with(version) not in (commit, None):
        raise BranchMovedError(
            f"Somebody else has committed version {version} of {repository.id} on top of ours in the meantime, so ours was "
            "not tagged. Look at theirs, and publish as another version."
        )
    try:
        repository.tag(version, commit, title_of(facts))
    except VersionExistsError:
        give_way(repository, version)
        raise


def give_way(repository: Repository, version: str) -> None:
    """Let the branch hold what the tag of a version stands for, where it holds another try of the same version.

    Raises:
        BranchMovedError, HubError: as `Repository.commit`.

    """
    from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete

    refs = repository.refs()
    tagged = repository.version(refs, version) if refs else None
    if refs is None or tagged is None or refs.head == tagged[0]:
        return
    ground = look_around(repository, refs)
    commit, manifest = tagged
    if ground.manifest is None or ground.manifest["version"] != version:
        return  # a later version is on top, which nobody has to take back
    card = merge_readme(
        ground.readme, render_card(manifest["facts"]), metadata_of(render_card(ground.manifest["facts"]))
    )
    files = {**manifest["files"], README: file_entry(card.encode())}
    text = manifest_of(manifest["facts"], files)
    if ground.manifest["files"] == files:
        return
    copies = [
        CommitOperationCopy(name, name, src_revision=commit)
        for name, entry in files.items()
        if name != README and (name not in ground.ours or ground.manifest["files"][name] != entry)
    ]
    repository.commit(
        [
            *copies,
            CommitOperationAdd(README, card.encode()),
            CommitOperationAdd(MANIFEST, text),
            *(CommitOperationDelete(name) for name in sorted(ground.ours - set(files) - {README})),
        ],
        f"Back to version {version} as it is tagged",
        parent=refs.head,
        landed=lambda made: _holds(repository, made, version),
    )


def _holds(repository: Repository, commit: str, version: str) -> bool:
    manifest = repository.manifest(commit)
    return manifest is not None and manifest["version"] == version
