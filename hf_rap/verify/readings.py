"""Answers that are no mathematics: option letters, yes and no, words, and the name in "x = 12"."""

from __future__ import annotations

import re
from typing import NamedTuple

_CHOICE = re.compile(
    r"(?:(?i:option|choice|answer|point|figure|graph|image|picture)\s+)?[(\[]?([A-J])[)\]]?[.:]?|[(\[]?([a-j])[)\]]?[.:]?"
)
_CHOICES = re.compile(r"\(?[A-J]\)?(?:\s*(?:,|;|&|,?\s*\band\b)\s*\(?[A-J]\)?)+")
_CHOICE_WITH_TEXT = re.compile(
    r"(?:(?i:option|choice|answer)\s+)?"
    r"(?:\(?([A-J])[).:]|([A-J]),\s+(?=[a-z]{2,}|\d)(?!.*\b[A-J]\b))\s*"
    r"((?!\(?[A-J]\b|or\b|and\b|[,/&])(?!.*\b(?:or|and)\s+\(?[A-J][).:]).+)"
)
_YES_NO = re.compile(
    r"(?:(?:so|thus|hence|therefore|then|actually)\b[,:]?\s*)*(yes|no|true|false)"
    r"(?:$|[,.;:!]|\s+(?:it|they|he|she|this|that|there|we|the)\b)",
    re.IGNORECASE,
)
_APPROXIMATELY = re.compile(r"(?:^|.*[^\\\w])\\approx(?![a-z])\s*|^(?:about|approximately|around)\s+", re.IGNORECASE)
_COMMAND = re.compile(r"\\[a-zA-Z]+")
_NAME = re.compile(r"(?:m\s*)?(?:\\[a-zA-Z]+\s*)?[^\W\d][\w\s~{}()']{0,30}|\\[a-zA-Z]+")
_WORD_CHARS = re.compile(r"[\w\s.,;:'\u2019\"!?&()%°#@~$-]*")
_WORD = re.compile(r"(?<![^\W_])[^\W\d_]{2,}|[\u3040-\u9fff]+")
_FUNCTIONS = frozenset(
    (
        "sin",
        "cos",
        "tan",
        "cot",
        "sec",
        "csc",
        "log",
        "ln",
        "exp",
        "sqrt",
        "pi",
        "max",
        "min",
        "gcd",
        "lcm",
        "or",
        "and",
    )
)
_PUNCTUATION = re.compile(r"(?<!\d)[.,:/-]|[.,:/-](?!\d)|[^\w\s.,:/-]")


class Choice(NamedTuple):
    """The letters that an answer names ("B", or "AC" for several), and the option's text behind them."""

    letters: str
    text: str = ""


def read_choice(text: str) -> Choice | None:
    """The option or options that a whole answer names.

    >>> read_choice("(B) 30"), read_choice("A, C"), read_choice("A or C"), read_choice("a cat")
    (Choice(letters='B', text='30'), Choice(letters='AC', text=''), None, None)
    """
    text = text.replace("~", " ").strip()
    if match := _CHOICE.fullmatch(text):
        return Choice((match[1] or match[2]).upper())
    if _CHOICES.fullmatch(text):
        return Choice("".join(sorted(set(re.findall(r"\b[A-J]\b", text)))))
    if re.fullmatch("[A-H]{2,6}", text) and "".join(sorted(set(text))) == text:
        return Choice(text)
    if match := _CHOICE_WITH_TEXT.fullmatch(text):
        return Choice(match[1] or match[2], match[3].strip())
    return None


def read_yes_no(text: str) -> str:
    """The word "yes" or "no" when the text opens with one of them or with true or false, otherwise ""."""
    match = _YES_NO.match(text.replace("~", " ").strip())
    return "" if match is None else "yes" if match[1].casefold() in {"yes", "true"} else "no"


def split_name(text: str) -> tuple[str, str]:
    r"""("x", "12") for "x = 12"; also takes the value out of "2 + 3 = 5" and "\approx 5".

    The name is kept only when it is a single letter: AB and BA, or "area" and "S", may be the same.
    """
    text = _APPROXIMATELY.sub("", text)
    left, equals, right = text.rpartition("=")
    name = left.strip()
    is_sum = not re.search("[A-Za-z=]", _COMMAND.sub("", left))
    if not equals or not (is_sum or _NAME.fullmatch(name)):
        return "", text
    return (name if len(name) == 1 and name.isalpha() else ""), right.strip()


def is_words(text: str) -> bool:
    """It has a word and no sign of mathematics: "red cube", "10:30 am", "x", but not "2x" or "sin x"."""
    if not _WORD_CHARS.fullmatch(text):
        return False
    words = _WORD.findall(text)
    return len(text) == 1 or any(word.casefold() not in _FUNCTIONS for word in words)


def plain(text: str) -> str:
    """Words without case, articles, punctuation and spaces. "Vitamin A" keeps its A."""
    text = _PUNCTUATION.sub(" ", text.casefold())
    words = text.split()
    kept = [word for word in words[:-1] if word not in {"a", "an", "the"}] + words[-1:]
    return "".join(kept)


def compact(text: str) -> str:
    """The text without spaces and ties."""
    return re.sub(r"[\s~]", "", text)


def same_words(answer: str, gold: str) -> bool:
    """Equal as words; what has no letter or digit ("<") only as it stands."""
    words = plain(gold)
    return plain(answer) == words if words else compact(answer) == compact(gold)
