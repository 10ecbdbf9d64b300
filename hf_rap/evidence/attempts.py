"""One row's rollouts from attempts that were collected at different times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from hf_rap.columns import ARM_COLUMNS, ARMS, ATTENTION, ERROR
from hf_rap.errors import RowError
from hf_rap.rows.prompts import keeps_format

from .grading import CUT_OFF

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

Item = TypeVar("Item")

_NO_GRADE = "could not be graded: "
# Lists of one entry per attempt, by the arm that their attempts belong to.
OF_ARM = {
    "image": (*ARM_COLUMNS["image"], ATTENTION),
    "text": tuple(ARM_COLUMNS["text"]),
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


def ungraded(arm: str, reasons: Sequence[str], replies: int) -> RowError | None:
    """The error of a row, some replies of which have no grade for these reasons; None where all have one.

    Where all of them were cut off and count as unknown, the row is what it is: no other try would change that.
    """
    other = next((reason for reason in reasons if reason != CUT_OFF), None)
    if other is not None:
        return RowError("not_judged", f"{len(reasons)} of {replies} replies of the {arm} arm {_NO_GRADE}{other}")
    if reasons:
        return RowError("cut_off", f"{len(reasons)} of {replies} replies of the {arm} arm {_NO_GRADE}{CUT_OFF}")
    return None


def formatted(replies: Sequence[Sequence[str | None] | None], instruction: str) -> list[list[bool | None] | None]:
    """Which replies keep the format that the instruction asks for; null for rows without replies, or a format."""
    if keeps_format("", instruction) is None:
        return [None] * len(replies)
    return each_of(replies, lambda reply: None if reply is None else keeps_format(reply, instruction))


def each_of(arm: Sequence[Sequence[Item] | None], value: Callable[[Item], Any]) -> list[list[Any] | None]:
    """One list per row, null where the arm was not asked."""
    return [None if attempts is None else [value(attempt) for attempt in attempts] for attempts in arm]


def of_grades(error: str | None) -> bool:
    """The `rap_error` is about grades, so it goes when they are made again."""
    return (error or "").partition(":")[0] in ("not_judged", "cut_off")


def _error(merged: Mapping[str, Any], errors: Sequence[str | None]) -> str | None:
    """The `rap_error` of the merged row: that of a piece, with replies that could not be graded counted anew."""
    other = next((error for error in errors if error is not None and not of_grades(error)), None)
    if other is not None:
        return other
    for arm in ARMS:
        rewards = merged[ARM_COLUMNS[arm].rewards.name] or []
        told = [error.rpartition(_NO_GRADE)[2] for error in errors if error is not None and f" {arm} arm " in error]
        told.sort(key=lambda reason: reason == CUT_OFF)
        error = ungraded(arm, [*told, "reason not kept"][:1] * rewards.count(None), len(rewards))
        if error is not None:
            return str(error)
    return None
