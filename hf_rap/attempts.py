"""One row's rollouts from attempts that were collected at different times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .columns import ARMS, ERROR, IMAGE_REWARDS, TEXT_REWARDS
from .errors import RowError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def join_attempts(pieces: Sequence[tuple[range, Mapping[str, Any]]], attempts: int) -> dict[str, Any]:
    """The evidence of the first `attempts` attempts, as one go would have written it.

    Args:
        pieces: the numbers of some attempts and their evidence; each begins where the one before ends, or before.
        attempts: how many there are to be.
    """
    merged: dict[str, Any] = {}
    lists: dict[str, list[Any]] = {}
    have = 0
    for numbers, row in pieces:
        new = slice(have - numbers.start, min(numbers.stop, attempts) - numbers.start)
        for name, value in row.items():
            if isinstance(value, list):
                lists.setdefault(name, []).extend(value[new])
            elif merged.get(name) is None:
                merged[name] = value
        have = numbers.stop
    merged = {name: lists.get(name, merged.get(name)) for name in pieces[0][1]}
    merged[ERROR.name] = _error(merged, [row[ERROR.name] for _, row in pieces])
    return merged


def not_judged(arm: str, unknown: int, replies: int, reason: str) -> RowError:
    """Some replies of a row could not be graded; `reason` is that of the first."""
    return RowError("not_judged", f"{unknown} of {replies} replies of the {arm} arm could not be graded: {reason}")


def _error(merged: Mapping[str, Any], errors: Sequence[str | None]) -> str | None:
    """The `rap_error` of the merged row: that of a piece, with replies that could not be graded counted anew."""
    other = next((error for error in errors if error is not None and not error.startswith("not_judged")), None)
    if other is not None:
        return other
    for arm, column in zip(ARMS, (IMAGE_REWARDS, TEXT_REWARDS), strict=True):
        rewards = merged[column.name] or []
        if None in rewards:
            told = (error for error in errors if error is not None and f" {arm} arm " in error)
            reason = next((error.rpartition("could not be graded: ")[2] for error in told), "reason not kept")
            return str(not_judged(arm, rewards.count(None), len(rewards), reason))
    return None
