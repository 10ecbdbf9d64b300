"""A dataset repository on the Hub, as publishing sees it: every call is safe to repeat, or looks before it does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_rap.errors import BranchMovedError, HubError, SettingError, SourceError, VersionExistsError, first_line
from hf_rap.options import check_text
from hf_rap.rows.provenance import hash_file
from hf_rap.versions.manifest import MANIFEST, read_manifest
from hf_rap.versions.tags import bumped, numbers, tag_of, versions_of

from .compat import check_repo_id, is_file, is_ignored
from .retries import attempts, failures, repeated

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Sequence

    from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi

KIND = "dataset"
MAIN = "main"


def title_start(version: str) -> str:
    """How the title of every commit of a version begins."""
    return f"Version {version}: "


@dataclass(frozen=True)
class Refs:
    """Where the branches and the tags of a repository stand."""

    head: str
    tags: dict[str, str]
    """Name -> commit."""
    branches: frozenset[str] = frozenset()

    @property
    def versions(self) -> list[str]:
        """The tags that look like versions, lowest first; whether hf-rap made them is for `Repository.version`."""
        return versions_of(self.tags)


@dataclass(frozen=True)
class Repository:
    """A dataset repository.

    Args:
        id: `user/name`.
        api: a client of huggingface_hub, which knows endpoint and token.

    """

    id: str
    api: HfApi

    def __post_init__(self) -> None:
        from huggingface_hub.errors import HFValidationError

        check_text("repo_id", self.id, empty=False)
        try:
            check_repo_id(self.id)
        except HFValidationError as error:
            raise SettingError(f"{self.id!r} is no name of a repository: {first_line(error)}") from error
        owner, slash, name = self.id.partition("/")
        if not (owner and slash and name):
            raise SettingError(f"{self.id!r} is no name of a repository: give user/name or organisation/name.")
        if name == "commit":
            # The client finds the repository in the URL of a commit by this word.
            raise SettingError(
                f"{self.id!r}: a dataset that is named 'commit' confuses the Hub client. Name it otherwise."
            )

    def check_token(self) -> None:
        """There is a token, the Hub knows it, and it is not for reading only.

        Raises:
            HubError: there is no such token.

        """
        account = repeated(f"Publishing to {self.id}", self.api.whoami)
        token = (account.get("auth") or {}).get("accessToken") or {}
        if token.get("role") == "read":
            raise HubError(
                f"Publishing to {self.id}: this token is for reading only. Make one with the role write "
                "(huggingface.co/settings/tokens) and log in with `hf auth login`.",
                status=403,
            )

    def create(self, *, private: bool) -> None:
        """Make the repository, unless it is there."""
        repeated(
            f"Creating {self.id}",
            lambda: self.api.create_repo(self.id, repo_type=KIND, private=private, exist_ok=True),
        )

    def is_private(self, repo_id: str) -> bool:
        """Whether a dataset, this or another, is only for some."""
        info = repeated(f"Looking at {repo_id}", lambda: self.api.dataset_info(repo_id))
        return bool(info.private)

    def refs(self) -> Refs | None:
        """Branch and tags; None when there is no such repository."""
        try:
            listing = repeated(
                f"Reading the versions of {self.id}", lambda: self.api.list_repo_refs(self.id, repo_type=KIND)
            )
        except HubError as error:
            if error.status == 404 or _is_missing(error.__cause__):
                return None
            raise
        head = next((branch.target_commit for branch in listing.branches if branch.name == MAIN), None)
        if head is None:
            raise HubError(f"{self.id} has no branch {MAIN}.", status=None)
        branches = frozenset(branch.name for branch in listing.branches)
        return Refs(head, {tag.name: tag.target_commit for tag in listing.tags}, branches)

    def version(self, refs: Refs, version: str) -> tuple[str, dict[str, Any]] | None:
        """Commit and manifest of a version; None where there is no such tag, or hf-rap has not made it."""
        commit = self.commit_of(tag_of(version)) if tag_of(version) in refs.tags else None
        manifest = None if commit is None else self.manifest(commit)
        if commit is None or manifest is None or manifest["version"] != version:
            return None
        return commit, manifest

    def commit_with(self, version: str) -> str | None:
        """The newest commit of the branch that made this version, tagged or not."""

        def makes_it(commit: str) -> bool:
            manifest = self.manifest(commit)
            return manifest is not None and manifest["version"] == version

        return self.find_commit(title_start(version), matches=makes_it)

    def newest_version(
        self, refs: Refs, *, below: str | None = None, without: Container[str] = ()
    ) -> tuple[str, dict[str, Any]] | None:
        """Commit and manifest of the highest version that hf-rap made, lower than `below`; None where there is none."""
        for candidate in reversed(refs.versions):
            if candidate in without or (below is not None and numbers(candidate) >= numbers(below)):
                continue
            if (version := self.version(refs, candidate)) is not None:
                return version
        return None

    def tree(self, commit: str) -> dict[str, Any]:
        """Every file at a commit, by its path."""
        listed = repeated(
            f"Listing {self.id}",
            lambda: list(self.api.list_repo_tree(self.id, recursive=True, revision=commit, repo_type=KIND)),
        )
        return {entry.path: entry for entry in listed if is_file(entry)}

    def commit_of(self, revision: str) -> str | None:
        """The commit that a tag or branch stands for; None when there is none."""
        from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

        try:
            info = repeated(
                f"Looking for {revision} of {self.id}",
                lambda: self.api.dataset_info(self.id, revision=revision, expand=None),
            )
        except HubError as error:
            if isinstance(error.__cause__, RevisionNotFoundError):
                return None
            if isinstance(error.__cause__, RepositoryNotFoundError):
                return None
            raise
        sha: str | None = info.sha
        return sha

    def download(self, path: str, commit: str) -> Path | None:
        """A file as it was at a commit, in the client's cache; None when it was not there."""
        from huggingface_hub.errors import RemoteEntryNotFoundError

        try:
            local_path = repeated(
                f"Reading {path} of {self.id}",
                lambda: self.api.hf_hub_download(self.id, path, repo_type=KIND, revision=commit),
            )
        except HubError as error:
            if isinstance(error.__cause__, RemoteEntryNotFoundError):
                return None
            raise
        return Path(local_path)

    def checksum(self, path: str, entry: Any, commit: str) -> str | None:
        """The SHA-256 of a file at a commit: of a large one as the Hub lists it, else of what it sends; None when it is not there.

        Args:
            path: of the file.
            entry: of `tree`.
            commit: where it lies.

        """
        if entry.lfs is not None:
            return str(entry.lfs.sha256)
        local_path = self.download(path, commit)
        return None if local_path is None else hash_file(local_path)

    def remember(self, version: str) -> None:
        """Keep in the client's cache what commit the tag of a version stands for, so that it is found offline."""
        repeated(
            f"Reading {MANIFEST} of {self.id}",
            lambda: self.api.hf_hub_download(self.id, MANIFEST, repo_type=KIND, revision=tag_of(version)),
        )

    def versions_in_cache(self) -> dict[str, str]:
        """The versions whose tags the client's cache knows, lowest first, and their commits."""
        from huggingface_hub import constants

        owner, _, name = self.id.partition("/")
        refs = Path(constants.HF_HUB_CACHE) / f"{KIND}s--{owner}--{name}" / "refs"
        tags = [path.name for path in refs.iterdir()] if refs.is_dir() else []
        return {version: (refs / tag_of(version)).read_text(encoding="utf-8") for version in versions_of(tags)}

    def manifest(self, commit: str) -> dict[str, Any] | None:
        """What rap.json said at a commit; None when there was none, or none of ours."""
        path = self.download(MANIFEST, commit)
        if path is None:
            return None
        try:
            return read_manifest(path.read_bytes(), self.id)
        except SourceError:
            return None

    def find_commit(self, title: str, *, matches: Callable[[str], bool], until: str | None = None) -> str | None:
        """The newest commit of the branch, after `until`, with this beginning of its title, that `matches`."""
        commits = repeated(
            f"Reading the history of {self.id}", lambda: self.api.list_repo_commits(self.id, repo_type=KIND)
        )
        for commit in commits:
            if commit.commit_id == until:
                return None
            if commit.title.startswith(title) and matches(commit.commit_id):
                return str(commit.commit_id)
        return None

    def ignored(self, names: Sequence[str]) -> list[str]:
        """Which of these files the Hub would leave out of a commit, because .gitignore names them."""
        from huggingface_hub import CommitOperationAdd

        # The Hub is asked how it wants each, and is sent none: an empty file goes with the commit.
        operations = [CommitOperationAdd(name, b"") for name in names]
        self.upload(operations)
        return [operation.path_in_repo for operation in operations if is_ignored(operation)]

    def upload(self, operations: Iterable[CommitOperationAdd]) -> None:
        """Send the content of large files ahead of their commit; what the Hub has already is not sent again."""
        operations = list(operations)
        what = f"Uploading {', '.join(operation.path_in_repo for operation in operations[:3])} to {self.id}"
        repeated(
            what,
            lambda: self.api.preupload_lfs_files(self.id, operations, repo_type=KIND, free_memory=False),
        )

    def commit(
        self,
        operations: list[CommitOperationAdd | CommitOperationDelete | CommitOperationCopy],
        title: str,
        *,
        parent: str,
        landed: Callable[[str], bool],
    ) -> str:
        """One commit on top of `parent`, and its id.

        After a failure the answer may be lost and the commit made, so the history is looked at before
        anything is tried again.

        Args:
            operations: files to add and to delete.
            title: of the commit.
            parent: the head of the branch, as it was when `operations` were made.
            landed: whether a commit has exactly this content.

        Raises:
            BranchMovedError: somebody else has committed in between; nothing is changed.

        """
        what = f"Committing to {self.id}"
        for wait in attempts():
            try:
                made = self.api.create_commit(
                    self.id, operations, commit_message=title, repo_type=KIND, parent_commit=parent
                )
            except failures() as error:
                commit = self.find_commit(title, matches=landed, until=parent)
                if commit is not None:
                    return commit
                refs = self.refs()
                if refs is None or refs.head != parent:
                    raise BranchMovedError(
                        f"Somebody else has committed to {self.id} in the meantime, so nothing was committed or tagged. "
                        "Look at what changed, and run the same command again: it builds on the new state."
                    ) from error
                wait(what, error)
            else:
                return str(made.oid)
        raise AssertionError("the last wait raises")

    def tag(self, version: str, commit: str, message: str) -> None:
        """The tag of a version on a commit; fine when it is there already and stands for this commit.

        Raises:
            VersionExistsError: somebody else has made it for another commit.
            HubError: it cannot be made.

        """
        name = tag_of(version)
        what = f"Tagging {name} of {self.id}"
        for wait in attempts():
            try:
                self.api.create_tag(self.id, tag=name, tag_message=message, revision=commit, repo_type=KIND)
            except failures() as error:
                tag_commit = self.commit_of(name)
                if tag_commit == commit:
                    return
                if tag_commit is not None:
                    free = bumped([version], "patch")
                    raise VersionExistsError(
                        f"{what}: somebody else has made this tag on commit {tag_commit[:10]}, it was to be {commit[:10]}. "
                        f"Publish as {free}.",
                        next_version=free,
                    ) from error
                wait(what, error)
            else:
                return


def _is_missing(error: BaseException | None) -> bool:
    from huggingface_hub.errors import RepositoryNotFoundError

    return isinstance(error, RepositoryNotFoundError)
