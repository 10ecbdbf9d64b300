"""One row's rollouts from attempts that were collected at different times."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from hf_rap.columns import ARM_COLUMNS, ARMS, ATTENTION, ERROR, TOKEN_IDS
from hf_rap.errors import RowError, code_of
from hf_rap.rows.presets import asks_for
from hf_rap.rows.prompts import keeps_format

from .grading import CUT_OFF

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from hf_rap.engines.base import Completion
    from hf_rap.rows.prompts import PromptTemplate

Item = TypeVar("Item")

_NO_GRADE = "could not be graded: "
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
    no_image = any(code_of(row[ERROR.name]) == "no_image" for row in rows)
    for arm, columns in OF_ARM.items():
        for name in (column.name for column in columns if column.name in merged):
            joined: list[Any] = []
            has_cell = not pieces[arm] and not asked_in_vain and not (no_image and arm == "image")
            for numbers, row in pieces[arm]:
                new = range(len(joined), min(numbers.stop, attempts[arm]))
                value = row[name]
                has_cell = has_cell or value is not None
                joined += [None if value is None else value[number - numbers.start] for number in new]
            merged[name] = joined if has_cell else None
    merged[ERROR.name] = _error(merged, [row[ERROR.name] for row in rows])
    return merged


def count_tokens(
    arms: Iterable[tuple[Sequence[Sequence[int | None] | None], Sequence[Sequence[str | None] | None]]],
) -> int:
    """Tokens of all attempts of all rows, from the counts and the texts of each arm.

    Where the engine has not counted (a server that draws several replies at once) a token is three letters.

    >>> count_tokens([([[7, None], None], [["seven", "three"], None])])
    8
    """
    return sum(
        _tokens(count, text)
        for counts, texts in arms
        for of_row, of_texts in zip(counts, texts, strict=True)
        for count, text in zip(of_row or (), of_texts or (), strict=True)
    )


def tokens_of(replies: Iterable[Completion]) -> int:
    """Tokens of these replies, counted as `count_tokens` does."""
    return sum(_tokens(reply.tokens, reply.text) for reply in replies)


def _tokens(count: int | None, text: str | None) -> int:
    return len(text or "") // 3 if count is None else count


@dataclass(frozen=True)
class NotJudged:
    """Some replies of one arm of a row could not be graded; `reason` is that of the first.

    Where all of them were cut off and count as unknown, the code says so: no other try would change that.

    >>> NotJudged("image", 2, 5, "took too long").error()
    RowError('not_judged: 2 of 5 replies of the image arm could not be graded: took too long')
    """

    arm: str
    unknown: int
    replies: int
    reason: str

    CODES: ClassVar[tuple[str, str]] = ("not_judged", "cut_off")
    _MESSAGE: ClassVar[str] = "{unknown} of {replies} replies of the {arm} arm could not be graded: {reason}"
    _FORM: ClassVar[re.Pattern[str]] = re.compile(
        _MESSAGE.format(
            unknown=r"(?P<unknown>\d+)", replies=r"(?P<replies>\d+)", arm=r"(?P<arm>\w+)", reason="(?P<reason>.*)"
        ),
        re.DOTALL,
    )

    def error(self) -> RowError:
        """As the error of the row."""
        return RowError(self.CODES[self.reason == CUT_OFF], self._MESSAGE.format(**asdict(self)))

    @classmethod
    def of(cls, error: RowError) -> NotJudged | None:
        """What the error of a row says; None for any other error, also of other evidence with the same code."""
        match = cls._FORM.fullmatch(error.message) if error.code in cls.CODES else None
        if match is None:
            return None
        return cls(match["arm"], int(match["unknown"]), int(match["replies"]), match["reason"])


def ungraded(arm: str, reasons: Sequence[str], replies: int) -> RowError | None:
    """The error of a row, some replies of which have no grade for these reasons; None where all have one."""
    if not reasons:
        return None
    reason = next((reason for reason in reasons if reason != CUT_OFF), CUT_OFF)
    return NotJudged(arm, len(reasons), replies, reason).error()


def formatted(replies: Sequence[Sequence[str | None] | None], prompt: PromptTemplate) -> list[list[bool | None] | None]:
    """Which replies keep the format that the prompt asks for; null for rows without replies, or a format."""
    instruction = asks_for(prompt)
    if keeps_format("", instruction) is None:
        return [None] * len(replies)
    return each_of(replies, lambda reply: None if reply is None else keeps_format(reply, instruction))


def each_of(arm: Sequence[Sequence[Item] | None], value: Callable[[Item], Any]) -> list[list[Any] | None]:
    """One list per row, null where the arm was not asked."""
    return [None if attempts is None else [value(attempt) for attempt in attempts] for attempts in arm]


def of_grades(error: str | None) -> bool:
    """The `rap_error` is about grades, so it goes when they are made again."""
    return code_of(error) in NotJudged.CODES


def _error(merged: Mapping[str, Any], cells: Sequence[str | None]) -> str | None:
    """The `rap_error` of the merged row: that of a piece, with replies that could not be graded counted anew."""
    errors = [RowError.parse(cell) for cell in cells if cell is not None]
    failure = next((error for error in errors if error.code not in NotJudged.CODES), None)
    if failure is not None:
        return str(failure)
    partly = [partial for error in errors if (partial := NotJudged.of(error)) is not None]
    for arm in ARMS:
        rewards = merged[ARM_COLUMNS[arm].rewards.name] or []
        reasons = sorted((partial.reason for partial in partly if partial.arm == arm), key=CUT_OFF.__eq__)
        error = ungraded(arm, [*reasons, "reason not kept"][:1] * rewards.count(None), len(rewards))
        if error is not None:
            return str(error)
    return None
