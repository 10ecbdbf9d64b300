"""Taking a version back: it is marked, never deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hf_rap.errors import PublishError, SettingError, SourceError
from hf_rap.options import check_text
from hf_rap.versions.cards import render_card
from hf_rap.versions.manifest import MANIFEST, README, file_entry, manifest_of
from hf_rap.versions.readme import merge_readme, metadata_of
from hf_rap.versions.tags import numbers

from .guest import read_readme
from .reading import open_repository

if TYPE_CHECKING:
    from huggingface_hub import HfApi


def yank(repo_id: str, version: str, *, why: str, api: HfApi | None = None) -> str:
    """Mark a version as withdrawn, in the card and the manifest of the branch; the id of the commit.

    Tag and data stay, so that what was trained on them can still be looked into: `load_dataset` reads them as
    before, `hf_rap.load` refuses unless it is told otherwise. Later versions carry the mark on. The same call
    again changes nothing.

    Args:
        repo_id: `user/name`.
        version: "1.0.0".
        why: one sentence for readers.
        api: another client for the Hub.

    Raises:
        SettingError: there is no reason.
        SourceError: there is no such version.
        PublishError: the branch has no manifest any more.
        BranchMovedError: somebody else has committed in the meantime.
        HubError: the Hub said no, or did not answer.

    """
    from huggingface_hub import CommitOperationAdd

    numbers(version)
    check_text("why", why)
    why = " ".join(why.split())
    if not why:
        raise SettingError("Say why the version is withdrawn: readers will see it.")
    repository = open_repository(repo_id, api)
    repository.check_token()
    refs = repository.refs()
    if refs is None or repository.version(refs, version) is None:
        names = ", ".join(refs.versions) if refs else ""
        raise SourceError(f"{repo_id} has no version {version}; there is: {names or 'none'}.")
    manifest = repository.manifest(refs.head)
    if manifest is None:
        raise PublishError(
            f"{repo_id} has no {MANIFEST} on its branch, so the mark has no place. Publish a version first."
        )
    facts, files = manifest["facts"], manifest["files"]
    if (facts.get("withdrawn") or {}).get(version) == why:
        return refs.head
    facts["withdrawn"] = {**(facts.get("withdrawn") or {}), version: why}
    before = metadata_of(render_card(facts))
    card = merge_readme(read_readme(repository, refs.head), render_card(facts), before).encode()
    marked = manifest_of(facts, {**files, README: file_entry(card)})

    def landed(commit: str) -> bool:
        path = repository.download(MANIFEST, commit)
        return path is not None and path.read_bytes() == marked

    return repository.commit(
        [CommitOperationAdd(README, card), CommitOperationAdd(MANIFEST, marked)],
        f"Withdraw version {version}: {why}",
        parent=refs.head,
        landed=landed,
    )
