"""Mathematics that is more than a number: equations, lists and expressions, compared by the child processes."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from .comparer import TOO_LARGE
from .comparers import ask
from .quantities import read_quantity, split_unit
from .words import is_words
from .writing import compact

# Longer mathematics is refused as a gold answer and WRONG as a reply.
MAX_MATH_CHARS = 500

_APPROXIMATELY = re.compile(
    r"(?:^|.*[^\\\w])\\approx(?![a-z])\s*|^(?:about|approximately|around|roughly)\s+", re.IGNORECASE
)
_BRACKET_OR_SEPARATOR = re.compile(
    r"(?P<open>[({\[])|(?P<close>[)}\]])"
    r"|(?P<comma>(?!,\d{3}(?!\d))[,;](?:[\s~]*(?:or|and)[\s~]+)?|[\s~]+(?:or|and)[\s~]+|\\(?:lor|land|vee|wedge)(?![a-zA-Z]))"
    r"|(?P<equals>(?<![<>!\\:=])=(?!=))"
)
_EQUALS = re.compile(r"(?<![<>!\\:=])=(?!=)")
# What a value is called: x_1, f(x), S_{\triangle ABC}, \angle A, |AB|, \tan\theta, (x, y), "area of the circle".
_SUBSCRIPT = re.compile(r"_\s*(?:\{[^{}]*\}|\w)")
_COMMAND = re.compile(r"\\(?!sqrt|int|sum|prod|lim)[a-zA-Z]+")
_NAME = re.compile(
    r"(?=.*[^\W\d_])[^\W\d_A-Z]?[^\W\d_\s]{0,5}[\s~]?\([^()=+*/^\d-]{1,40}\)|(?=.*[^\W\d])[^\W\d_][^\W\d]*(?:[\s~{}()'|△∠,°][^\W\d]*)*|[|({△][\s~{}()'|△\w,]*"
)
# f(2), f^{-1}(x), P(X=2); and what is worked out: "\int 2x dx = x^2 + C".
_FUNCTION = re.compile(r"[fghpqFGHPQTSVN](?:'{1,2}|\^\{(?:-1|\(\d\)|\\prime)\})?[\s~]?\([^()]*(?:\([^()]*\)[^()]*)?\)")
_OPERATION = re.compile(r"\\(?:int|sum|prod|lim)(?![a-zA-Z])|\\frac\{d\}\{d[a-z]\}")
_TIMES = re.compile(r"(?<=\d)\s*[xX]\s*(?=\d)")
_SIGNS = re.compile(r"[+*/^\d<>=-]|\\(?:times|cdot|sqrt|pm|div)")
_ANGLE = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![a-z])")
_POINT = re.compile(r"[A-Z]'?\s*(?=\([^()]*,[^()]*\)$)")


class NotComparedError(Exception):
    """The answer cannot be compared with the gold; the text is the reason."""


class Part(NamedTuple):
    """One value of an answer and its name: ("x", "12") of "x = 12"."""

    name: str
    value: str


def is_readable_math(text: str) -> bool:
    """math-verify can parse it and finds it equal to itself (1/0 is not)."""
    return len(text) <= MAX_MATH_CHARS and text.count("{") == text.count("}") and _answer("equal", text, text) is True


def is_parsed_by_math_verify(text: str) -> bool:
    """math-verify finds anything in a text, called as TRL's and ms-swift's own rewards call it."""
    return _answer("parses", text) is True


def same_math(gold: str, answer: str) -> bool:
    r"""Equal as it stands, or as values without their names (x = 5 is 5), or as equations.

    Raises:
        NotComparedError: the answer cannot be parsed, computed, or compared within the limits.

    """
    if compact(gold) == compact(answer):
        return True
    golds, answers = split_parts(gold), split_parts(answer)
    if golds and answers and len(golds) == len(answers):
        if len(golds) == 1 and golds[0].name and answers[0].name and golds[0].name != answers[0].name:
            return False
        if _same_value(_joined(golds), _joined(answers)):
            return True
        return False if not _EQUALS.search(gold) else _both_equations(gold, answer)
    return _same_value(_joined(golds), _joined(answers)) if golds and answers else _both_equations(gold, answer)


def split_parts(text: str) -> list[Part]:
    r"""The values that a text lists, each with its name; nothing where one is an equation with no name for it.

    The name is kept only when it is a single letter: AB and BA, or "area" and "S", may be the same.

    >>> split_parts("x_1 = 1, x_2 = 2"), split_parts(r"A = \pi r^2 = 9\pi"), split_parts("5 = x"), split_parts("2x = 10")
    ([Part(name='', value='1'), Part(name='', value='2')], [Part(name='A', value='9\\pi')], [Part(name='x', value='5')], [])
    """
    parts = [_part(piece) for piece in ([text] if "\\begin" in text else _split(text, "comma"))]
    return [part for part in parts if part] if all(parts) else []


def without_approximately(text: str) -> str:
    r"""5 for "\approx 5" and "about 5"."""
    return _APPROXIMATELY.sub("", text)


def _part(text: str) -> Part | None:
    text = without_approximately(text.strip())
    first, *rest = (side.strip(" ~") for side in _split(text, "equals"))
    if not rest:
        return Part("", text)
    if _OPERATION.match(first):
        return Part("", rest[-1])
    if _is_name(first):
        return Part(first if len(first) == 1 else "", rest[-1])
    if len(rest) == 1 and _is_name(rest[0]) and not re.search("[A-Za-z]", _COMMAND.sub("", first)):
        return Part(rest[0] if len(rest[0]) == 1 else "", first)
    is_sum = not re.search("[A-Za-z]", _COMMAND.sub("", _TIMES.sub("", "=".join((first, *rest[:-1])))))
    return Part("", rest[-1]) if is_sum else None


def _is_name(text: str) -> bool:
    if _FUNCTION.fullmatch(text):
        return True
    bare = _COMMAND.sub("x", _SUBSCRIPT.sub("", text)).strip()
    return 0 < len(bare) <= 40 and not _SIGNS.search(bare) and bool(_NAME.fullmatch(bare))


def _split(text: str, separator: str) -> list[str]:
    """Split at commas and "or", or at equals signs, but not inside brackets."""
    pieces, depth, start = [], 0, 0
    for match in _BRACKET_OR_SEPARATOR.finditer(text):
        depth = max(0, depth + bool(match["open"]) - bool(match["close"]))
        if match[separator] and depth == 0:
            pieces.append(text[start : match.start()])
            start = match.end()
    return [*pieces, text[start:]]


def _joined(parts: list[Part]) -> str:
    """Named by different letters they are a point, in the order of the letters; otherwise a list."""
    names = [part.name for part in parts]
    if len(parts) > 1 and all(names) and len(set(names)) == len(names):
        return f"({', '.join(part.value for part in sorted(parts))})"
    return _POINT.sub("", ", ".join(part.value for part in parts))


def _both_equations(gold: str, answer: str) -> bool:
    return bool(_EQUALS.search(gold) and _EQUALS.search(answer)) and _compared(gold, answer)


def _same_value(gold: str, answer: str) -> bool:
    if compact(gold) == compact(answer):
        return True
    if {_ends(gold), _ends(answer)} == {"()", "[]"}:
        return False
    (gold, gold_unit), (answer, unit) = (
        (side, "") if _ANGLE.search(side) else split_unit(side) for side in (gold, answer)
    )
    if gold_unit and unit and gold_unit != unit:
        return False
    quantity, stated = read_quantity(gold, letters_are_units=False), read_quantity(answer)
    if quantity and stated:
        return quantity.equals(stated)
    return _compared(gold, answer)


def _ends(text: str) -> str:
    """The brackets around a list."""
    return text[0] + text[-1] if "," in text else ""


def _compared(gold: str, answer: str) -> bool:
    if is_words(answer):
        return False
    if len(answer) > MAX_MATH_CHARS:
        raise NotComparedError(TOO_LARGE)
    result = _answer("equal", gold, answer)
    if isinstance(result, str):
        raise NotComparedError(result)
    return result


@lru_cache(maxsize=8192)
def _answer(*request: str) -> bool | str:
    """Cached, as the attempts on one row often give the same answer; what a child says depends on nothing else."""
    return ask(*request)
