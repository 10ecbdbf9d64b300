"""The numbers of versions, and the tags that carry them: version 1.2.0 is tag v1.2.0."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hf_rap.options import check, check_choice

if TYPE_CHECKING:
    from collections.abc import Iterable

FIRST = "1.0.0"
BUMPS = ("major", "minor", "patch")

_SEMVER = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)", re.ASCII)


def numbers(version: str) -> tuple[int, int, int]:
    """The three numbers of a version, which also put versions in order.

    >>> numbers("1.2.10")
    (1, 2, 10)

    Raises:
        SettingError: it is not three numbers.

    """
    match = _SEMVER.fullmatch(version) if isinstance(version, str) else None
    check(match, "version", version, "three numbers, such as '1.0.0'")
    assert match is not None
    major, minor, patch = match.groups()
    return int(major), int(minor), int(patch)


def tag_of(version: str) -> str:
    """The tag of a version."""
    return f"v{version}"


def versions_of(tags: Iterable[str]) -> list[str]:
    """The versions among the tags of a repository, lowest first; other tags are not ours.

    >>> versions_of(["v1.10.0", "v1.9.0", "paper", "v2"])
    ['1.9.0', '1.10.0']
    """
    return sorted((tag[1:] for tag in tags if tag[:1] == "v" and _SEMVER.fullmatch(tag[1:])), key=numbers)


def bumped(versions: Iterable[str], part: str) -> str:
    """The version after the highest of these, with `part` of it raised; without any, the first.

    >>> bumped(["1.2.3", "1.0.9"], "minor")
    '1.3.0'
    >>> bumped([], "patch")
    '1.0.0'

    Raises:
        SettingError: the part is not one of `BUMPS`.

    """
    check_choice("bump", part, BUMPS)
    highest = max(map(numbers, versions), default=None)
    if highest is None:
        return FIRST
    place = BUMPS.index(part)
    return ".".join(map(str, [*highest[:place], highest[place] + 1, 0, 0][:3]))
