"""What the licence and the visibility of the source ask of a version."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hf_rap.errors import HubError, PublishError
from hf_rap.rows.provenance import strictness

if TYPE_CHECKING:
    from hf_rap.rows.provenance import SourceInfo

    from .repository import Repository

# As people write it: cc-by-nd-4.0, CC BY-NC-ND 3.0, cc_by_nd, Attribution-NoDerivatives, "No Derivatives", NoDerivs.
_NO_DERIVATIVES = re.compile(r"(?:^|[^a-z0-9])nd(?:[^a-z]|$)|\bno[^a-z0-9]?deriv")


def allows_no_changes(licence: str | None) -> bool:
    """The licence allows to pass on no changed copies, and a selection is one.

    >>> [allows_no_changes(name) for name in ("cc-by-nd-4.0", "CC BY-NC-ND 3.0", "No Derivatives", "and others", None)]
    [True, True, True, False, False]
    """
    return bool(_NO_DERIVATIVES.search((licence or "").lower().replace("_", "-")))


def check_licence(given: str | None, source: SourceInfo | None, *, despite_licence: bool) -> None:
    """Refuses what the licence of the source forbids, whatever licence is given for the selection.

    Raises:
        PublishError: no changed copies are allowed, or the given licence asks for less than that of the source.

    """
    if despite_licence:
        return
    theirs = source.licence if source else None
    for licence in (theirs, given):
        if allows_no_changes(licence):
            raise PublishError(
                f"The source has the licence {licence}, which allows no changed copies, and a selection is one. With the "
                "permission of its owners: despite_licence=True (--despite-licence)."
            )
    if given and theirs and strictness(given) > strictness(theirs):
        raise PublishError(
            f"The licence {given} asks for less than that of the source, {theirs}, which holds for a selection of it as well. "
            "Leave licence out (--licence), or with the permission of its owners: despite_licence=True (--despite-licence)."
        )


def note_on_visibility(
    repository: Repository, source: SourceInfo | None, *, private: bool, is_there: bool
) -> str | None:
    """A sentence where the source can be seen by all and the version by few, or the other way round; None where not.

    Args:
        repository: of the version.
        source: where the rows come from; one on the Hub is asked for.
        private: how the repository would be made.
        is_there: it is there, and keeps the visibility that it has.

    """
    if (
        source is None
        or not source.id
        or not re.fullmatch(r"[\w.\-]+/[\w.\-]+", source.id)
        or str(source.revision).startswith("sha256:")
    ):
        return None
    try:
        source_is_private = repository.is_private(source.id)
        is_private = repository.is_private(repository.id) if is_there else private
    except HubError:  # a source that is gone or out of reach says nothing
        return None
    if source_is_private and not is_private:
        return f"{source.id} is private, and {repository.id} is public: everybody can see what is selected from it."
    if not source_is_private and is_private:
        return f"{source.id} is public, and {repository.id} is private: nobody else sees it. New ones are made public with --public."
    return None
