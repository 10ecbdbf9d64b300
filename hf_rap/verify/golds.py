"""Reads a gold answer, or says why no reply could be compared with it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from hf_rap.errors import RowError

from .finding import last_of, statements
from .mathematics import is_readable_math, split_parts
from .options import LETTERS, letter_of, read_choice, read_options
from .quantities import read_quantity
from .words import is_words, read_time, read_yes_no
from .writing import clean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# A gold answer of more words is an explanation: no reply will repeat it to the word.
MAX_GOLD_WORDS = 8
# The same for scripts that put no spaces between words.
MAX_GOLD_CHARS = 80
# Longer texts, even whole solutions, are refused unread.
MAX_SOLUTION_CHARS = 100_000
# What is neither words nor mathematics must be this short to be compared as it stands.
MAX_SYMBOL_CHARS = 30

# "None" is what a missing answer becomes when it is turned into text; "none" somebody wrote.
_PLACEHOLDERS = frozenset({"n/a", "n.a", "nan", "null", "nil", "tbd", "略", "proof", "omitted", "no answer"})
_POINTS_ELSEWHERE = re.compile(
    r"\(?(?:(?:please )?(?:see|refer to|voir|siehe|ver|véase|vedi|см\.?)\s+(?:(?:the|la|el|l'|die|das|in)\s+)?"
    r"(?:solution|explanation|figure|image|picture|diagram|graph|above|below|attached|answer|text|attachment"
    r"|l[öo]sung|abbildung|soluci[óo]n|explicaci[óo]n|solu[çc][ãa]o|soluzione|figura|решение|рисунок)"
    r"|answers? (?:may|will) vary|proof (?:omitted|in)|(?:答案)?(?:详见|见|参见|略)|证明|解析|解[説答](?:参照|を参照)|풀이\s*참조)",
    re.IGNORECASE,
)
_PICTURE = re.compile(
    r"<image[^<>]*>|!\[[^\]]*\]\([^)]*\)|\\includegraphics\s*(?:\[[^\]]*\])?\s*\{[^{}]*\}", re.IGNORECASE
)
_LINK = re.compile(r"https?://|\.(?:png|jpe?g|gif|webp)\b", re.IGNORECASE)
_TRUTH = ("yes", "no", "true", "false")
_HAS_CONTENT = re.compile(r"[^\W_]|[<>=+∅]")


Kind = Literal["choice", "yes_no", "time", "number", "math", "words"]


@dataclass(frozen=True)
class Accepted:
    """One answer that counts as right.

    `text` is the letter of a choice, "yes" or "no", or the cleaned answer; `name` is x in "x = 12".
    """

    kind: Kind
    text: str
    name: str = ""


@dataclass(frozen=True)
class Gold:
    """The answers that count as right, already read: any one of them is enough."""

    accepted: tuple[Accepted, ...]


_ALL_OF = "<AND>"  # MM-Vet


def read_gold(answer: object, *, question: str = "", options: Sequence[str] | None = None) -> Gold:
    r"""Read a gold answer: a text, a number, a bool, or a list of accepted ones.

    A text may be a whole solution; what it states last is the answer (see `hf_rap.verify.finding.statements`).
    The first of these that fits is its kind:

    - choice: one letter, alone, in parentheses or before an option's text ("B. 30" accepts B and 30), or
      several ("A, C" and "AC"); also the text of one of the options, however long it is.
    - yes_no: yes, no, true, false. True is yes.
    - time: "8:00 AM", "14:45".
    - number: an exact number with or without a unit, or a ratio.
    - words: up to `MAX_GOLD_WORDS` words.
    - math: anything else that math-verify can parse.

    Nulls and empty texts in a list are left out where it holds an answer as well.

    Args:
        answer: as a dataset has it.
        question: where the options of a multiple-choice question may stand.
        options: their texts, where the dataset has them in a column of their own.

    Raises:
        RowError: "gold_unreadable", when no reply could be compared with it: null, NaN, empty, a
            placeholder such as "n/a" or "see solution", broken LaTeX, a long explanation. The word
            "None" is refused too: it is what a missing answer becomes when it is turned into text.

    >>> read_gold("The legs are 3 and 4, so the answer is $5$ cm.")
    Gold(accepted=(Accepted(kind='number', text='5 cm', name=''),))
    >>> [accepted.text for accepted in read_gold(["car", "automobile"]).accepted]
    ['car', 'automobile']

    """
    choices = read_options(question, options)
    return Gold(tuple(accepted for single in _listed(answer) for accepted in _read_single(single, choices)))


def spellings(answer: object) -> list[str]:
    """The ways in which a reply may write the gold answer inside its box, the one of the dataset first.

    Each accepted answer as it was read, and before it the same in the letters of the dataset, where they
    differ ("Yes" is read as "yes"). Equal values in other forms (1/2 and 0.5) are not made up.

    Raises:
        RowError: as `read_gold`.

    >>> spellings(["Yes", "true"]), spellings("B. 30"), spellings("The answer is $5$ cm.")
    (['Yes', 'yes', 'true'], ['B', '30'], ['5 cm'])

    """
    texts: dict[str, None] = {}
    for single in _listed(answer):
        written = "" if isinstance(single, bool) else clean(str(single))
        for accepted in read_gold(single).accepted:
            same = written.casefold() in {accepted.text.casefold(), *(_TRUTH if accepted.kind == "yes_no" else ())}
            texts |= dict.fromkeys(text for text in (written if same else "", accepted.text) if text)
    return list(texts)


def _listed(answer: object) -> Sequence[object]:
    """The answers that are accepted."""
    if hasattr(answer, "tolist"):  # numpy
        answer = answer.tolist()
    if not isinstance(answer, (list, tuple)):
        return [answer]
    if not answer:
        raise _unreadable(answer, "an empty list")
    return [single for single in answer if single is not None and single != ""] or answer


def _as_text(answer: object) -> str:
    if isinstance(answer, bool):
        return "yes" if answer else "no"
    if isinstance(answer, str):
        return answer
    if isinstance(answer, (int, float, Decimal, Fraction)):
        text = str(answer)
        if text.casefold().strip("-") in {"nan", "inf", "infinity"}:
            raise _unreadable(answer, "not a finite number")
        return text
    raise _unreadable(answer, "null" if answer is None else f"of type {type(answer).__name__}")


def _read_single(answer: object, options: Mapping[str, str]) -> tuple[Accepted, ...]:
    text = _as_text(answer)
    if options:
        plain = clean(text)
        letter = letter_of(plain, options)
        if letter and plain not in options:
            return (Accepted("choice", letter), *read_option(options[letter]))
    return _read_text(text, "".join(options))


@lru_cache(maxsize=4096)
def _read_text(answer: str, letters: str = "") -> tuple[Accepted, ...]:
    if len(answer) > MAX_SOLUTION_CHARS:
        raise _unreadable(answer, f"longer than {MAX_SOLUTION_CHARS} characters")
    if _ALL_OF in answer:
        raise _unreadable(answer, "several answers that all have to be said, and one is compared")
    kept = _PICTURE.sub("", answer)
    stated = statements(kept)
    last = last_of(stated)
    text = clean(last.text if last else "" if any(statement.explicit for statement in stated) else kept)
    if _LINK.search(text) or (kept != answer and not text):
        raise _unreadable(answer, "a picture or a link")
    if (
        text.casefold() in _PLACEHOLDERS
        or text == "None"
        or _POINTS_ELSEWHERE.match(text)
        or not _HAS_CONTENT.search(text)
    ):
        raise _unreadable(answer, "empty or a placeholder")
    # e and i are numbers.
    choice = (
        None
        if text in ("e", "i") and text.upper() not in letters
        else read_choice(text, dict.fromkeys(letters or LETTERS[:10], ""))
    )
    if choice is None:
        return (_read_value(text, answer),)
    return (Accepted("choice", choice.letters), *read_option(choice.text))


def read_option(text: str) -> tuple[Accepted, ...]:
    """An option's text as an accepted answer; nothing when there is none or it cannot be compared."""
    try:
        return (_read_value(text, text),) if text else ()
    except RowError:
        return ()


@lru_cache(maxsize=4096)
def _read_value(text: str, answer: str) -> Accepted:
    """What a cleaned text is, if it is not an option letter. `answer` is quoted in errors."""
    if yes_no := read_yes_no(text):
        return Accepted("yes_no", yes_no)
    if read_time(text):
        return Accepted("time", text)
    parts = split_parts(text)
    if len(parts) == 1 and read_quantity(parts[0].value, letters_are_units=False):
        return Accepted("number", parts[0].value, parts[0].name)
    if is_words(text) and text not in ("e", "i"):
        if len(text.split()) > MAX_GOLD_WORDS or len(text) > MAX_GOLD_CHARS:
            raise _unreadable(answer, f"too long to be compared word by word (limit {MAX_GOLD_WORDS} words)")
        return Accepted("words", text)
    if is_readable_math(text):
        return Accepted("math", text)
    if len(text) <= MAX_SYMBOL_CHARS and "\\" not in text:
        return Accepted("words", text)  # "30°15'", "<": only the same text agrees
    raise _unreadable(answer, "not a letter, number, expression or short text that can be compared")


def _unreadable(answer: object, what: str) -> RowError:
    shown = repr(answer)
    shown = shown if len(shown) <= 80 else f"{shown[:60]}... ({len(shown)} characters)"
    return RowError(
        "gold_unreadable",
        f"the gold answer {shown} is {what}. Give a short final answer "
        r"(a letter, a number, an expression, a few words; in a solution, mark it with \boxed{}), or leave the row out.",
    )
