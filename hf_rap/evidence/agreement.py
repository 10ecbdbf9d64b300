r"""Which answers the attempts of a row give, other than the gold: those that the verifier holds for equal count together.

gold 12; replies with the image \boxed{7}, \boxed{7.0}, "x = 7", \boxed{12}, \boxed{9}; on the text alone \boxed{7}, "No idea."
-> gold (1, 0) of (5, 2); others Answer("7", (3, 1)), Answer("9", (1, 0))
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from hf_rap.errors import RowError
from hf_rap.verify.finding import find_answer

from .grading import Grading, Replies

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


# An unmarked last line that says that there is no answer; one in a box, or an option with these words, may be the answer.
_GIVES_UP = re.compile(
    r"\b(?:cannot|can't|can not|could not|couldn't|unable to|(?:do not|don't) (?:know|see|have)|no idea|not (?:sure|possible|enough)|unclear|sorry)\b",
    re.IGNORECASE,
)


class Attempt(NamedTuple):
    """A reply that was judged."""

    arm: int
    text: str
    solved: bool


@dataclass(frozen=True)
class Answer:
    """An answer that is not the gold: as the first reply wrote it, and how many attempts of each arm give it."""

    text: str
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Agreement:
    """What the attempts of a row say, by arm.

    Attributes:
        judged: attempts of each arm that count.
        gold: those that give the gold answer.
        others: every other answer, that of most attempts of the first arm before the rest. Attempts that state none count in
            `judged` alone.
    """

    judged: tuple[int, ...]
    gold: tuple[int, ...]
    others: tuple[Answer, ...]


def agreement_of(
    attempts: Iterable[Attempt], arms: int, grading: Grading, question: str = "", options: Sequence[str] = ()
) -> Agreement:
    """The answers in the replies of one row; two are the same where a reply with one is right for the other as gold.

    Args:
        attempts: of the row, all arms; those that were not judged, or were cut off, left out.
        arms: how many there are.
        grading: whose equality it is.
        question: the row's, with its options.
        options: the same as data.
    """
    judged, gold = [0] * arms, [0] * arms
    stated: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        judged[attempt.arm] += 1
        gold[attempt.arm] += attempt.solved
        if not attempt.solved and (answer := _answer_in(attempt.text)):
            stated.setdefault(answer, []).append(attempt)
    clusters: list[tuple[str, list[Attempt]]] = []
    golds: list[object] = []
    for answer, same in sorted(stated.items(), key=lambda item: _rank(_counts(item[1], arms))):
        try:
            own = grading.read_gold(answer, question, tuple(options))
        except RowError:  # nothing can be compared with it, so it is no answer
            continue
        place = _place_among(golds, same[0].text, grading, question, options)
        if place is None:
            clusters.append((answer, list(same)))
            golds.append(own)
        else:
            clusters[place][1].extend(same)
    answers = (Answer(answer, _counts(same, arms)) for answer, same in clusters)
    return Agreement(tuple(judged), tuple(gold), tuple(sorted(answers, key=lambda answer: _rank(answer.counts))))


def _answer_in(reply: str) -> str:
    """What a reply states; nothing where it gives up."""
    statement = find_answer(reply)
    return "" if not statement.explicit and _GIVES_UP.search(statement.text) else statement.text


def _place_among(
    golds: Sequence[object], reply: str, grading: Grading, question: str, options: Sequence[str]
) -> int | None:
    """Which of these a reply is right for; None for none."""
    asked = [Replies(question, gold, [(reply, False)], tuple(options)) for gold in golds]
    grades = (grades[0].reward for grades in grading.grade(asked))
    return next(
        (place for place, reward in enumerate(grades) if reward is not None and reward >= grading.correct), None
    )


def _counts(attempts: Iterable[Attempt], arms: int) -> tuple[int, ...]:
    counts = [0] * arms
    for attempt in attempts:
        counts[attempt.arm] += 1
    return tuple(counts)


def _rank(counts: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(-count for count in counts)
