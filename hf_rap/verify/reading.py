"""Reads what a reply states, and compares it with what the gold answer accepts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from .finding import MAX_ANSWER_CHARS, Statement, lines_of, stated_last, statements
from .golds import MAX_GOLD_WORDS, Accepted, Gold, read_option
from .mathematics import NotComparedError, same_math, split_parts, without_approximately
from .options import Choice, behind_list, choice_in_lines, letter_of, option_named, read_choice
from .prose import affirmed, states_nothing, value_in
from .quantities import in_digits, read_quantity, read_ratio
from .words import is_sentence, is_words, read_yes_no, same_time, same_words
from .writing import clean, compact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NO_ANSWER = "no answer in the reply"

# A last line up to this long may be the answer itself, even if nothing marks it.
MAX_BARE_LINE_CHARS = 120
# So many lines from the end of a reply that marks no answer are read.
_LAST_LINES = 3

# What may stand behind a number: "12, which is even", "12 in total"; but not "12, or 13".
_REMARK = re.compile(
    r",\s+(?!(?:or|and|not|but|maybe|perhaps|possibly)\b)(?=[a-z]{2})|\s+(?:as|in total|altogether|left|remaining)\b"
)
# "3 or 5", "3, 5", "3 5" (which math-verify reads as 35).
_SEVERAL = re.compile(r"[,;?]|\b(?:or|and|maybe|perhaps|possibly)\b|\\(?:pm|lor|vee)\b|(?<![_\d])\d+\s+[\d.]")
_LEAD_IN = re.compile(
    r"^(?:.*[∴⇒]|(?:(?:so|thus|hence|therefore|then)\b|解|故|所以|因此|则)[,:：，]?\s*)*(?:(?:it is|it's|this is|they are|these are)\s+)?",
    re.IGNORECASE,
)
_BOLD = re.compile(r"\*\*([^*\n]+)\*\*")
# "It is a red cube", "The sign says: stop", "Norway, with 82", "Norway has the largest share".
_IN_SENTENCE = (
    r"(?:^|.*\b(?:is|are|was|were|be|called|named|shows?|says|reads|eats?|has|have|of|in|a|an|the|likely)[:,]?\s+)[\"']?{}[\"']?"
    r"(?:(?:,?\s+(?:which|who|that|because|since|as|where|with)|,\s+(?:not|clearly|definitely))\b(?!.*\b(?:or|maybe|perhaps|possibly)\b).*"
    r"|\s*\([^()]*\d[^()]*\))?$"
    r"|^{}\s+(?:has|have|is|are|was|were)\s+the\b"
)
_NOT = re.compile(r"\b(?:not|no|never|neither|nor|or|than|except|without|cannot)\b|n't\b", re.IGNORECASE)


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


_CORRECT, _WRONG = Judgement(Verdict.CORRECT), Judgement(Verdict.WRONG)


def compare(reply: str, gold: Gold, options: Mapping[str, str]) -> Judgement:
    """The verdict on a reply: what it states last is compared, marked statements before unmarked lines."""
    task = _Task.of(gold, options)
    stated = statements(reply)
    verdict = next((verdict for statement in reversed(stated) if (verdict := task.agrees(statement)) is not None), None)
    reason = NO_ANSWER if verdict is None else ""
    if verdict is None and not any(statement.explicit for statement in stated):
        lines = lines_of(reply)
        verdict = task.is_same_text(reply) or task.agrees_in_lines(lines)
        if lines and not stated and len(clean(lines[-1])) <= MAX_BARE_LINE_CHARS:
            reason = ""
    if verdict:
        return _CORRECT
    reason = task.reason or reason
    return Judgement(Verdict.WRONG, reason) if reason else _WRONG


@dataclass
class _Task:
    """One gold answer with the options of its question.

    Attributes:
        letters: the options that are right, "AC" for two that only count together.
        values: the accepted answers that are no letters.
        reason: why the last comparison came to no result.

    """

    options: Mapping[str, str]
    letters: set[str]
    values: list[Accepted]
    reason: str = field(default="")

    @classmethod
    def of(cls, gold: Gold, options: Mapping[str, str]) -> _Task:
        letters = {accepted.text for accepted in gold.accepted if accepted.kind == "choice"}
        values = [accepted for accepted in gold.accepted if accepted.kind != "choice"]
        task = cls(options, letters, values)
        if not letters:
            letters |= {letter for letter, text in options.items() if task.is_any(text)}
        values += [
            accepted
            for letter in sorted(letters)
            for accepted in read_option(options.get(letter, ""))
            if accepted not in values
        ]
        return task

    def agrees(self, statement: Statement) -> bool | None:  # noqa: PLR0911 - one for each way to say it
        """A marked statement is the accepted answer; None when it states nothing."""
        if len(statement.text) > MAX_ANSWER_CHARS:
            self.reason = NO_ANSWER
            return False
        answer = affirmed(clean(statement.text))
        verdict = self._agrees_as_it_stands(answer)
        if verdict is not None or not answer:
            return verdict
        if statement.explicit and (inner := stated_last(answer)):
            return self.agrees(Statement(inner, explicit=False))
        choice = choice_in_lines([statement.text], self.options) if self.letters else None
        if choice:
            return self._is_chosen(choice)
        value = value_in(statement.text, only=True)
        if value:
            return self.is_any(value.text)
        named = option_named(answer, self.options)
        if named and self.letters:
            return named in self.letters
        wordy = self.options or any(accepted.kind in ("words", "yes_no") for accepted in self.values)
        return False if wordy and len(answer.split()) <= MAX_GOLD_WORDS else None

    def is_same_text(self, reply: str) -> bool:
        """The whole reply is the gold as it stands."""
        if len(reply) > MAX_ANSWER_CHARS or not self.values:
            return False
        text = compact(clean(reply))
        return text not in self.options and any(compact(accepted.text) == text for accepted in self.values)

    def agrees_in_lines(self, lines: Sequence[str]) -> bool | None:
        """The same for a reply that marks nothing: a line that names an option, else one of the last lines."""
        if self.letters or self.options:
            lines = behind_list(lines, self.options)
            choice = choice_in_lines(lines, self.options)
            if choice:
                return self._is_chosen(choice)
        for line in reversed(lines[-_LAST_LINES:]):
            verdict = self._agrees_in_line(line)
            if verdict is not None:
                return verdict
        if lines and self._has("yes_no"):
            return self._is_yes_no(read_yes_no(clean(lines[0])))
        return None

    def _agrees_as_it_stands(self, answer: str) -> bool | None:  # noqa: PLR0911 - one for each way to say it
        """True or False where the whole text can be an answer; None where it states nothing or is a sentence."""
        if not answer:
            return None
        choice = read_choice(answer, self.options)
        if choice and self.letters:
            return self._is_chosen(choice)
        if self.is_any(answer, "words", "yes_no", "time"):
            return True
        if states_nothing(answer):
            return None
        if choice and (choice.text or choice.letters in self.options):
            return self._is_chosen(choice)
        option = letter_of(answer, self.options)
        if option and self.letters:
            return option in self.letters
        if self.letters and answer.upper() in self.letters:
            return True
        if self.is_any(answer):
            return True
        return False if read_quantity(answer) or not (is_words(answer) or is_sentence(answer)) else None

    def _is_chosen(self, choice: Choice) -> bool:
        """The option that is named is the right one: by letter where the right letter is clear, else by its text."""
        if self.letters:
            return choice.letters in self.letters
        text = clean(self.options.get(choice.letters, choice.text))
        return bool(text) and self.is_any(text)

    def _agrees_in_line(self, line: str) -> bool | None:  # noqa: PLR0911 - one for each way to say it
        answer = _LEAD_IN.sub(
            "", affirmed(clean(line.rstrip("!") if " " in line else line))
        )  # "It is 5!" is no factorial
        verdict = self._agrees_as_it_stands(answer)
        if verdict or (verdict is False and not is_sentence(answer, 1)):
            return verdict
        if states_nothing(answer):
            return False
        bold = _BOLD.findall(line) if "**" in line else []
        if len(bold) == 1 and self._agrees_as_it_stands(clean(bold[0])):
            return True
        named = option_named(line, self.options)
        if named and self.letters:
            return named in self.letters
        if not self.letters and any(self._is_in_words(answer, accepted) for accepted in self.values):
            return True
        if self._has("yes_no") and (yes_no := read_yes_no(answer, at_end=True)):
            return self._is_yes_no(yes_no)
        value = value_in(line)
        if value:
            return self.is_any(value.text)
        return False if re.search(r"\d", line) or self._has("words") else None

    def _has(self, kind: str) -> bool:
        return any(accepted.kind == kind for accepted in self.values)

    def _is_yes_no(self, word: str) -> bool:
        return Accepted("yes_no", word) in self.values

    def _is_in_words(self, line: str, accepted: Accepted) -> bool:
        """A sentence that states the words: "It is a red cube", but not "It is not a red cube"."""
        if accepted.kind != "words":
            return False
        words = r"[\s-]+".join(map(re.escape, re.split(r"[\s-]+", accepted.text)))
        match = re.match(_IN_SENTENCE.format(f"(?P<words>{words})", words), line, re.IGNORECASE)
        return match is not None and not _NOT.search(line[: max(0, match.start("words"))])

    def is_any(self, answer: str, *kinds: str) -> bool:
        """One of the accepted answers that are no letters, or of those of these kinds."""
        values = [accepted for accepted in self.values if accepted.kind in kinds] if kinds else self.values
        return any(self.is_same(answer, accepted) for accepted in values)

    def is_same(self, answer: str, accepted: Accepted) -> bool:
        if accepted.kind == "yes_no":
            return read_yes_no(answer) == accepted.text
        ratios = read_ratio(accepted.text), read_ratio(answer)
        if any(ratios):
            return ratios[0] == ratios[1]
        if accepted.kind == "words":
            return same_words(answer, accepted.text)
        if accepted.kind == "time":
            return same_time(answer, accepted.text)
        try:
            return self._same_value(answer, accepted)
        except NotComparedError as error:
            self.reason = str(error)
            return False

    def _same_value(self, answer: str, accepted: Accepted) -> bool:  # noqa: PLR0911 - the fast ways first
        if accepted.kind == "math":
            return same_math(accepted.text, answer)
        gold, quantity = read_quantity(accepted.text), read_quantity(answer)
        if gold and quantity and gold.equals(quantity):
            return True
        answer = _REMARK.split(without_approximately(answer), maxsplit=1)[0]
        if gold and (quantity := read_quantity(answer)):
            return gold.equals(quantity)
        if is_words(answer):
            return False
        parts = split_parts(answer)
        if len(parts) != 1 or (accepted.name and parts[0].name and accepted.name != parts[0].name):
            return False
        value = parts[0].value
        quantity = read_quantity(value)
        if gold and quantity:
            return gold.equals(quantity)
        return not _SEVERAL.search(value) and not is_sentence(value) and same_math(in_digits(accepted.text), value)
