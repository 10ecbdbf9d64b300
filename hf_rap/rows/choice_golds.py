"""The gold answer of a multiple-choice row -> the letter of its option.

Datasets name the right option by its letter, by its text, or by its number. A number alone does not say whether
counting starts at 0 or at 1, and may be the text of an option as well, so it is decided over the whole column: a 0
proves that counting starts at 0, a number equal to the number of options that it starts at 1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_rap.errors import RowError
from hf_rap.verify import read_gold

from .choices import LETTERS, Choices

if TYPE_CHECKING:
    from collections.abc import Iterable

NAMED, LETTER, TEXT, INDEX0, INDEX1 = ANSWERS_AS = ("named", "letter", "text", "index0", "index1")
_ONE_LETTER = re.compile(r"[(\[]?([A-Za-z])[)\]]?[.:)]?")
_WHOLE = re.compile(r"\(?\+?(\d{1,2})(?:\.0+)?\)?")
# Shares of the golds that are numbers: from which on they are the texts of options, up to which they count options.
_SURELY_TEXTS, _SURELY_NUMBERS = 0.95, 0.8
ASK = (
    "Say it: Layout(answers_as='index0') or 'index1' in Python, --answers-as index0 or index1 on the command line (0 or 1 "
    "is the number of the first option; 'text' if the numbers are the texts of the options)."
)


@dataclass
class Numbers:
    """What the golds of a column say about their numbers; `add` one row after the other.

    Attributes:
        numbers: rows whose gold is a number that can count options.
        texts: those of them where it is also the text of an option.
        zeros: those that prove that counting starts at 0.
        lasts: those that prove that it starts at 1.

    """

    numbers: int = 0
    texts: int = 0
    zeros: int = 0
    lasts: int = 0

    def add(self, gold: Any, choices: Choices) -> None:
        """Count the gold of a row with these options."""
        for value in _candidates(gold):
            number = whole(value)
            if not choices.texts or _is_missing(value) or str(value).strip() in choices.labels:
                continue
            if number is not None and number <= len(choices.texts):
                self.numbers += 1
                self.texts += _place_of_text(value, choices) is not None
                self.zeros += number == 0
                self.lasts += number == len(choices.texts)

    def answers_as(self, *, are_numbers: bool = False) -> str:
        """How the golds name their options.

        Args:
            are_numbers: the column holds numbers, not texts of them.

        Raises:
            Undecided: the column does not say.

        """
        if not self.numbers:
            return NAMED
        share = self.texts / self.numbers  # some numbers are texts of options by accident, and some golds are wrong
        if share >= _SURELY_TEXTS and not are_numbers:
            return NAMED
        if share > _SURELY_NUMBERS:
            raise Undecided(
                f"{self.texts} of {self.numbers} golds that are numbers are the text of an option, and could be its number"
            )
        if self.zeros and self.lasts:
            raise Undecided(
                "some golds are 0 and others are the number of options, so both ways of counting have proofs"
            )
        if not self.zeros and not self.lasts:
            raise Undecided("no gold is 0 and none is the number of options, so either way of counting fits")
        return INDEX0 if self.zeros else INDEX1


class Undecided(Exception):  # noqa: N818 - not an error for callers
    """Why the golds of a column do not say how they name their options."""


def letter_of(gold: Any, choices: Choices, answers_as: str | None) -> Any:
    """The letter of the right option; several golds give several letters, or one if they mean the same.

    Options that are right together ("A, C" in one text) are all their letters ("AC").

    Args:
        gold: as the dataset has it.
        choices: the options of the row.
        answers_as: one of ANSWERS_AS; None where nobody could tell how numbers count.

    Raises:
        RowError: `gold_unreadable`: no option is meant, or it cannot be told which.

    >>> choices = Choices(("Nevada", "Maine"))
    >>> letter_of(1, choices, "index0"), letter_of("maine", choices, "named"), letter_of("(A)", choices, "named")
    ('B', 'B', 'A')
    """
    values = [value for value in _candidates(gold) if not _is_missing(value)]
    if not values:
        return gold
    letters = list(dict.fromkeys(_letters(value, choices, answers_as) for value in values))
    return letters[0] if len(letters) == 1 else letters


def _letters(gold: Any, choices: Choices, answers_as: str | None) -> str:
    together = _named_letters(gold) if answers_as in (None, NAMED, LETTER) and isinstance(gold, str) else ""
    if len(together) > 1 and together[-1] in LETTERS[: len(choices.texts)] and _place_of_text(gold, choices) is None:
        return together
    return LETTERS[_place(gold, choices, answers_as)]


def _place(gold: Any, choices: Choices, answers_as: str | None) -> int:
    options, text = choices.texts, str(gold).strip()
    if text in choices.labels:
        return choices.labels.index(text)
    number = whole(gold)
    if number is not None and answers_as in (INDEX0, INDEX1):
        counted = number - (answers_as == INDEX1)
        if 0 <= counted < len(options):
            return counted
        raise _unreadable(gold, f"counts from {int(answers_as == INDEX1)} and there are {len(options)} options")
    by_text = _place_of_text(gold, choices)
    if number is not None and by_text is None:
        raise _unreadable(gold, f"is no text of an option, and whether options count from 0 or 1 is not known. {ASK}")
    if number is not None and answers_as is None:
        raise _unreadable(gold, f"is the text of an option, and may be the number of another one. {ASK}")
    by_letter = None if answers_as == TEXT or number is not None else _place_of_letter(gold, len(options))
    if answers_as == LETTER:
        by_text = None
    if by_letter is not None and by_text is not None and by_letter != by_text:
        raise _unreadable(
            gold, f"is option {LETTERS[by_letter]} by its letter and {LETTERS[by_text]} by its text: say which with "
            "Layout(answers_as='letter') or 'text', --answers-as letter or text"
        )  # fmt: skip
    place = by_text if by_letter is None else by_letter
    if place is None:
        raise _unreadable(gold, f"is none of the options ({', '.join(option[:30] for option in options[:6])})")
    return place


def _place_of_text(gold: Any, choices: Choices) -> int | None:
    texts = [_plain(text) for text in choices.texts]
    text = _plain(gold)
    return texts.index(text) if text in texts else None


def _place_of_letter(gold: Any, count: int) -> int | None:
    """Of "B", "(B)", "B. Maine", a box, a solution that ends so."""
    text = str(gold).strip()
    match = _ONE_LETTER.fullmatch(text)
    letter = match[1].upper() if match else ""
    letter = letter or _named_letters(text)
    return LETTERS.index(letter) if len(letter) == 1 and letter in LETTERS[:count] else None


def _named_letters(gold: str) -> str:
    """The letters that a text states, in their order, "AC" of "A, C"; "" for none."""
    try:
        letters = [accepted.text for accepted in read_gold(gold).accepted if accepted.kind == "choice"]
    except RowError:
        return ""
    return letters[0] if letters else ""


def whole(value: Any) -> int | None:
    """The whole number of two digits at most that a gold is; None for anything else.

    >>> whole(3), whole("3"), whole("(0)"), whole(2.0), whole("2.5"), whole(True), whole("B")
    (3, 3, 0, 2, None, None, None)
    """
    if isinstance(value, bool):
        return None
    match = _WHOLE.fullmatch(str(value).strip())
    return int(match[1]) if match else None


def _plain(value: Any) -> str:
    """A text without case, spaces and a dot at its end; 5, 5.0 and "5" are the same."""
    text = " ".join(str(value).split()).strip(" .")
    return re.sub(r"^([+-]?\d+)\.0+$", r"\1", text).casefold()


def _candidates(gold: Any) -> Iterable[Any]:
    if hasattr(gold, "tolist"):
        gold = gold.tolist()
    return gold if isinstance(gold, (list, tuple)) else [gold]


def _is_missing(value: Any) -> bool:
    return value is None or value != value or (isinstance(value, str) and not value.strip())  # noqa: PLR0124 - NaN


def _unreadable(gold: Any, what: str) -> RowError:
    shown = repr(gold)
    return RowError("gold_unreadable", f"the gold answer {shown[:80]} {what}")
