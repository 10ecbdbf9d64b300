"""One row's rollouts from attempts that were collected at different times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_rap.columns import ARM_COLUMNS, ARMS, ATTENTION, ERROR, IMAGE_REWARDS, TEXT_REWARDS, TOKEN_IDS
from hf_rap.errors import RowError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


# Lists of one entry per attempt, by the arm that their attempts belong to.
OF_ARM = {
    "image": (*ARM_COLUMNS["image"], TOKEN_IDS["image"], ATTENTION),
    "text": (*ARM_COLUMNS["text"], TOKEN_IDS["text"]),
}


def join_attempts(
    pieces: Mapping[str, Sequence[tuple[range, Mapping[str, Any]]]], attempts: Mapping[str, int]
) -> dict[str, Any]:
    """The evidence of the first attempts of each arm, as one go would have written it.

    An arm that could not be asked is null. Where some of its attempts failed and others did not, the failed ones are
    null. An arm that was left out on purpose, with 0 attempts, is an empty list.

    Args:
        pieces: per arm the numbers of some attempts and their evidence; each begins where the one before ends, or
            before.
        attempts: per arm how many there are to be.
    """
    rows = [row for of_arm in pieces.values() for _, row in of_arm]
    merged: dict[str, Any] = {}
    for row in rows:
        merged.update({name: value for name, value in row.items() if merged.get(name) is None})
    asked_in_vain = any(row[OF_ARM[arm][0].name] is None for arm, of_arm in pieces.items() for _, row in of_arm)
    no_image = any((row[ERROR.name] or "").startswith("no_image") for row in rows)
    for arm, columns in OF_ARM.items():
        for name in (column.name for column in columns if column.name in merged):
            joined: list[Any] = []
            known = not pieces[arm] and not asked_in_vain and not (no_image and arm == "image")
            for numbers, row in pieces[arm]:
                new = range(len(joined), min(numbers.stop, attempts[arm]))
                value = row[name]
                known = known or value is not None
                joined += [None if value is None else value[number - numbers.start] for number in new]
            merged[name] = joined if known else None
    merged[ERROR.name] = _error(merged, [row[ERROR.name] for row in rows])
    return merged


def count_tokens(arms: Iterable[Iterable[Sequence[int | None] | None]]) -> int:
    """Tokens of all attempts of all rows of these arms, as far as the engine has counted them."""
    return sum(one or 0 for arm in arms for row in arm for one in row or ())


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
