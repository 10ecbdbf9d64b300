"""Compares the answer in a model's reply with the gold answer: CORRECT, WRONG or UNREADABLE.

UNREADABLE means that nobody knows (no reply, a gold answer that cannot be checked, a verifier that
ran out of time); its reward is null and never 0.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from hf_rap.errors import RowError

from .expressions import TIMED_OUT, TOO_EXPENSIVE, VERIFIER_FAILED, NotJudgedError, same_math
from .finding import Found, clean, find_answer, options_in
from .golds import Accepted, Gold, read_gold, read_option, spellings
from .quantities import last_quantity, read_quantity
from .readings import Choice, read_choice, read_yes_no, same_words, split_name

__all__ = [
    "NO_ANSWER",
    "NO_REPLY",
    "TIMED_OUT",
    "TOO_EXPENSIVE",
    "TRUNCATED",
    "VERIFIER_FAILED",
    "VERIFIER_VERSION",
    "Gold",
    "Judgement",
    "Verdict",
    "judge",
    "judge_each",
    "read_gold",
    "spellings",
]

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Part of a run's fingerprint. Raise it whenever the same reply and gold answer can get another verdict.
VERIFIER_VERSION = "1"

# Longer answers are WRONG unread.
MAX_ANSWER_CHARS = 2000
# A last line up to this long may be the answer itself, even if nothing marks it.
MAX_BARE_LINE_CHARS = 120

NO_ANSWER = "no answer in the reply"
TRUNCATED = "truncated"
NO_REPLY = "no reply"

# "3 or 5", "3, 5", "3 5" (which math-verify reads as 35).
_SEVERAL = re.compile(r"[,;]|\b(?:or|and)\b|\\pm\b|\d\s+[\d.]")
# What may stand behind a number: "12, which is even", "12 in total"; but not "12, or 13".
_REMARK = re.compile(r",\s+(?!(?:or|and|not|but)\b)(?=[a-z]{2})|\s+(?:as|in total|altogether)\b")
_CHOICE_IN_PROSE = (
    re.compile(r"(?i:\boption|\bchoice|\bchoose|\bselect|选)\s*\(?([A-J])\b"),
    re.compile(r"\(([A-J])\)"),
    re.compile(r"\b([A-J])\)?\s+is\s+(?:the\s+)?(?:correct|right|answer|best)"),
)
_LETTERS = "ABCDEFGHIJ"
_LEAD_IN = re.compile(
    r"^(?:(?:so|thus|hence|therefore|then)\b[,:]?\s*)*(?:(?:it is|it's|this is|they are|these are)\s+)?", re.IGNORECASE
)


class Verdict(Enum):
    """What is known about a reply."""

    CORRECT = "correct"
    WRONG = "wrong"
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Judgement:
    """A verdict and, where there is more to say, a short reason that stays the same between versions."""

    verdict: Verdict
    reason: str = ""

    @property
    def reward(self) -> float | None:
        """1.0, 0.0, or None when it could not be judged."""
        return {Verdict.CORRECT: 1.0, Verdict.WRONG: 0.0, Verdict.UNREADABLE: None}[self.verdict]


def judge(
    reply: str | None,
    gold: Gold | object,
    *,
    question: str = "",
    options: Sequence[str] | None = None,
    truncated: bool = False,
    timeout_seconds: int = 5,
) -> Judgement:
    r"""Compare the answer in a reply with the gold answer.

    `hf_rap.verify.finding.find_answer` says which part of the reply is its answer. When nothing marks it,
    the last line counts: as a whole, or its last number, its only option letter, its yes or no.

    What agrees, beside the same text: numbers of exactly the same value (1.0 and 1, 1/2 and 0.5,
    but not 1/3 and 0.333, nor \pi and 3.14); a number and the same with its unit (but not 5 cm
    and 5 m, or 5 m and 500 cm); "x = 12" and 12; a letter and its option's text; words in any case,
    without articles and punctuation; and what math-verify finds equal. There, a decimal agrees
    with a root or \pi when both round to the same six decimals. Several candidates ("3 or 5")
    agree only with a gold answer that has them all.

    Args:
        reply: what the model wrote; None for an attempt that failed.
        gold: what `read_gold` gave (faster), or what it takes.
        question: where the options of a multiple-choice question stand, so that B and its text count
            as the same answer.
        options: their texts, where the dataset has them as data; goes before `question`.
        truncated: the reply hit the token limit. It is WRONG whatever it says.
        timeout_seconds: limit for one comparison by math-verify. It works by signals, so only in the
            main thread; other threads get no limit, and what could take long is UNREADABLE there.

    Whatever a reply says, nothing is raised. A gold answer that cannot be read is UNREADABLE.

    >>> judge(r"So it is \boxed{\frac{1}{2}}", 0.5)
    Judgement(verdict=<Verdict.CORRECT: 'correct'>, reason='')
    >>> judge("The answer is (b).", "40", question="How many? (A) 30 (B) 40").reward
    1.0

    """
    try:
        gold = gold if isinstance(gold, Gold) else read_gold(gold)
    except RowError as error:
        return Judgement(Verdict.UNREADABLE, str(error))
    if reply is None:
        return Judgement(Verdict.UNREADABLE, NO_REPLY)
    if truncated:
        return Judgement(Verdict.WRONG, TRUNCATED)
    found = find_answer(reply)
    answer = clean(found.text) if len(found.text) <= MAX_ANSWER_CHARS else ""
    if not answer:
        return Judgement(Verdict.WRONG, NO_ANSWER)
    by_letter = options_in(question) if options is None else dict(zip(_LETTERS, map(clean, options), strict=False))
    return _compare(answer, found, gold, by_letter, timeout_seconds)


def judge_each(
    replies: Iterable[tuple[str, bool]],
    gold: Gold | object,
    *,
    question: str = "",
    options: Sequence[str] | None = None,
) -> list[Judgement]:
    r"""What `judge` says of several replies to one question, each with whether it was truncated.

    Replies that are the same are compared once: attempts of a row often agree, and comparing expressions is slow.

    >>> [one.reward for one in judge_each([(r"\boxed{2}", False), (r"\boxed{2}", True), ("3", False)], 2)]
    [1.0, 0.0, 0.0]

    """
    replies = list(replies)
    known = {
        (text, truncated): judge(text, gold, question=question, options=options, truncated=truncated)
        for text, truncated in set(replies)
    }
    return [known[reply] for reply in replies]


def _compare(answer: str, found: Found, gold: Gold, options: dict[str, str], timeout_seconds: int) -> Judgement:
    choice = read_choice(answer) or (None if found.marked else _choice_in_prose(answer))
    unknown = ""
    for accepted in _targets(gold, choice, options):
        try:
            if _agrees(answer, choice, accepted, options, timeout_seconds) or (
                not found.marked and _agrees_in_prose(answer, clean(found.opening), accepted)
            ):
                return Judgement(Verdict.CORRECT)
        except NotJudgedError as error:
            unknown = str(error)
    if unknown:
        return Judgement(Verdict.UNREADABLE, unknown)
    is_prose = not found.marked and len(answer) > MAX_BARE_LINE_CHARS
    return Judgement(Verdict.WRONG, NO_ANSWER if is_prose else "")


def _targets(gold: Gold, choice: Choice | None, options: dict[str, str]) -> list[Accepted]:
    """What to compare with: where both sides name a letter, letters only; otherwise also the option's text."""
    letters = [accepted for accepted in gold.accepted if accepted.kind == "choice"]
    if choice and letters:
        return letters
    texts = [text for letter in letters for text in read_option(options.get(letter.text, ""))]
    return [*gold.accepted, *texts]


def _agrees(
    answer: str, choice: Choice | None, accepted: Accepted, options: dict[str, str], timeout_seconds: int
) -> bool:
    """The reply's answer, or the text of the option that it names, is the accepted one."""
    if accepted.kind == "choice":
        return (choice.letters if choice else answer.upper()) == accepted.text
    if choice is None:
        return _same(answer, accepted, timeout_seconds)
    text = options.get(choice.letters, choice.text)
    return bool(text) and _same(text, accepted, timeout_seconds)


def _same(answer: str, accepted: Accepted, timeout_seconds: int) -> bool:
    if accepted.kind == "yes_no":
        return read_yes_no(answer) == accepted.text
    if accepted.kind == "words":
        return same_words(answer, accepted.text)
    return _same_value(answer, accepted, timeout_seconds)


def _same_value(answer: str, accepted: Accepted, timeout_seconds: int) -> bool:
    name, value = split_name(answer)
    if "=" in accepted.text:
        value = answer
    elif "=" in value or (name and accepted.name and name != accepted.name):
        return False
    if accepted.kind == "number":
        value = _REMARK.split(value, maxsplit=1)[0]
        gold, quantity = read_quantity(accepted.text), read_quantity(value)
        if gold and quantity:
            return gold.equals(quantity)
        if _SEVERAL.search(value):
            return False
    return same_math(accepted.text, value, timeout_seconds)


def _agrees_in_prose(line: str, opening: str, accepted: Accepted) -> bool:
    """The last line of a reply that marks no answer says the accepted one somewhere."""
    if accepted.kind == "number" and read_quantity(line) is None:
        gold, last = read_quantity(accepted.text), last_quantity(line)
        return gold is not None and last is not None and gold.equals(last)
    if accepted.kind == "yes_no":
        return (read_yes_no(line) or read_yes_no(opening)) == accepted.text
    if accepted.kind == "words":
        return same_words(_LEAD_IN.sub("", line), accepted.text)
    return False


def _choice_in_prose(line: str) -> Choice | None:
    """The one option letter that a sentence names."""
    letters = {letter for pattern in _CHOICE_IN_PROSE for letter in pattern.findall(line)}
    return Choice(letters.pop()) if len(letters) == 1 else None
