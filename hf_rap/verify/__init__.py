"""Compares the answer in a model's reply with the gold answer: CORRECT, WRONG or UNREADABLE.

UNREADABLE means that nobody knows: there is no reply, or the gold answer cannot be checked. Its reward is
null and never 0. A reply that cannot be compared with a gold answer that can is WRONG, with a reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hf_rap.errors import RowError

from .comparer import NOT_EVALUATED, TOO_LARGE
from .comparers import CRASHED, TOO_SLOW
from .golds import Gold, read_gold, spellings
from .options import read_options
from .reading import NO_ANSWER, Judgement, Verdict, compare

__all__ = [
    "CRASHED",
    "NOT_EVALUATED",
    "NO_ANSWER",
    "NO_REPLY",
    "TOO_LARGE",
    "TOO_SLOW",
    "TRUNCATED",
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

# It stands beside the grades. Raise it whenever the same reply and gold answer can get another verdict.
VERIFIER_VERSION = "2"

TRUNCATED = "truncated"
NO_REPLY = "no reply"


def judge(
    reply: str | None,
    gold: Gold | object,
    *,
    question: str = "",
    options: Sequence[str] | None = None,
    truncated: bool = False,
) -> Judgement:
    r"""Compare the answer in a reply with the gold answer. The verdict depends on nothing but these arguments.

    `hf_rap.verify.finding` says what a reply states as its answer, `docs/verifier.md` what agrees: the same text;
    numbers of exactly the same value (1.0 and 1, 1/2 and 0.5, but not 1/3 and 0.333, nor \pi and 3.14); a number and
    the same with its unit (but not 5 cm and 5 m, or 5 m and 500 cm); "x = 12" and 12; a letter and its option's
    text; words in any case, without articles and punctuation; and what math-verify finds equal. A decimal agrees
    with a fraction, a root or \pi that rounds to the same six decimals. Several candidates ("3 or 5") agree only
    with a gold answer that has them all.

    Args:
        reply: what the model wrote; None for an attempt that failed.
        gold: what `read_gold` gave (faster), or what it takes.
        question: where the options of a multiple-choice question may stand, so that B and its text count
            as the same answer.
        options: their texts, where the dataset has them in a column of their own; goes before `question`.
        truncated: the reply hit the token limit. It is WRONG whatever it says.

    Whatever a reply says, nothing is raised. A gold answer that cannot be read is UNREADABLE.

    Raises:
        SettingError: mathematics has to be compared, and the process for it cannot be started.

    >>> judge(r"So it is \boxed{\frac{1}{2}}", 0.5)
    Judgement(verdict=<Verdict.CORRECT: 'correct'>, reason='')
    >>> judge("The answer is (b).", "40", question="How many? (A) 30 (B) 40").reward
    1.0

    """
    try:
        gold = gold if isinstance(gold, Gold) else read_gold(gold, question=question, options=options)
    except RowError as error:
        return Judgement(Verdict.UNREADABLE, str(error))
    if reply is None:
        return Judgement(Verdict.UNREADABLE, NO_REPLY)
    if truncated:
        return Judgement(Verdict.WRONG, TRUNCATED)
    return compare(reply, gold, read_options(question, options))


def judge_each(
    replies: Iterable[tuple[str, bool]],
    gold: Gold | object,
    *,
    question: str = "",
    options: Sequence[str] | None = None,
) -> list[Judgement]:
    r"""What `judge` says of several replies to one question, each with whether it was truncated.

    Replies that are the same are compared once: attempts of a row often agree, and comparing expressions is slow.

    >>> [judgement.reward for judgement in judge_each([(r"\boxed{2}", False), (r"\boxed{2}", True), ("3", False)], 2)]
    [1.0, 0.0, 0.0]

    """
    replies = list(replies)
    verdicts = {
        (text, truncated): judge(text, gold, question=question, options=options, truncated=truncated)
        for text, truncated in dict.fromkeys(replies)
    }
    return [verdicts[reply] for reply in replies]
