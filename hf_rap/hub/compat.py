"""What hf_rap uses of huggingface_hub that is not public, each part in one function.

Nothing else in the package touches these parts, and `tests/hub/test_compat.py` says which of them a new release has
moved. Versions that were seen: 1.0, 1.3 and 2.4. The error of its HTTP library is in `rows/compat.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import TypeGuard

    from huggingface_hub import CommitOperationAdd, RepoFile


def check_repo_id(repo_id: str) -> None:
    """Nothing, where a repository could have this name.

    Publicly a name is checked only on the way to the Hub.

    Raises:
        HFValidationError: it could not.

    """
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    validate_repo_id(repo_id)


def note_checksum(operation: CommitOperationAdd, sha256: str) -> None:
    """Tells an upload what its file is known by, in hex; else the client reads the whole file once more for it.

    There is no argument for it.
    """
    operation.upload_info.sha256 = bytes.fromhex(sha256)


def is_ignored(operation: CommitOperationAdd) -> bool:
    """Whether the Hub has said of a file, when it was asked how to send it, that .gitignore names it.

    Such a file is left out of the commit with a line in the log, and no answer tells.
    """
    return operation._should_ignore is True


def is_file(entry: Any) -> TypeGuard[RepoFile]:
    """Whether an entry of `list_repo_tree` is a file and not a folder; its type has no public name in 1.0."""
    from huggingface_hub.hf_api import RepoFile

    return isinstance(entry, RepoFile)
