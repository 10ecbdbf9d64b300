"""The options of a question inside its text: one form for all rows, put in once."""

from __future__ import annotations

import re
from string import Formatter
from typing import TYPE_CHECKING, Any

from hf_rap.options import check

from .choices import LETTERS

if TYPE_CHECKING:
    from collections.abc import Sequence

CHOICE_FORM = "{letter}. {text}"


def with_options(question: str, options: Sequence[str], form: str = CHOICE_FORM) -> str:
    r"""The question with its options below it, one per line; as it is where it holds them already.

    Options that are only their own letters ("A", "B", "C": they stand in the picture) add nothing.

    >>> with_options("Which is north?", ["Nevada", "Maine"])
    'Which is north?\nA. Nevada\nB. Maine'
    >>> with_options("Which? (A) Nevada (B) Maine", ["Nevada", "Maine"])
    'Which? (A) Nevada (B) Maine'
    """
    if not options or are_letters(options) or holds_options(question, options):
        return question
    lines = [form.format(letter=letter, text=text) for letter, text in zip(LETTERS, options, strict=False)]
    return "\n".join([question.rstrip(), *lines])


def holds_options(question: str, options: Sequence[str]) -> bool:
    """The question names every option behind its letter, in their order.

    >>> holds_options("Which? Options: A: one, B: two", ["one", "two"]), holds_options("Is it one or two?", ["one", "two"])
    (True, False)
    """
    start = 0
    for letter, text in zip(LETTERS, options, strict=False):
        mark = rf"(?<!\w)[(\[]?{letter}(?:[)\].:．：、]+\s*|\s+)"
        match = re.compile(rf"{mark}{_spaced(text)}(?!\w)", re.IGNORECASE).search(question, start)
        if match is None:
            return False
        start = match.end()
    return True


def are_letters(options: Sequence[str]) -> bool:
    """Every option is its own letter."""
    return "".join(option.strip(" ().") for option in options) == LETTERS[: len(options)]


def check_form(name: str, form: Any) -> None:
    """Raise `SettingError` for a form that does not say where the letter and the text go."""
    takes = f"a text with {{letter}} and {{text}}, such as {CHOICE_FORM!r}"
    check(isinstance(form, str), name, form, takes)
    try:
        fields = sorted(field for _, field, _, _ in Formatter().parse(form) if field is not None)
    except ValueError:
        fields = []
    check(fields == ["letter", "text"], name, form, takes)


def _spaced(text: str) -> str:
    """A pattern for a text whatever white space is in it."""
    return r"\s+".join(map(re.escape, text.split()))
