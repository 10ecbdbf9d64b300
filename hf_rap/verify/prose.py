"""The one value that a sentence states, and sentences that state none."""

from __future__ import annotations

import re
from typing import NamedTuple

from .quantities import NUMBER_WORDS, PLAIN
from .units import canonical_unit
from .writing import clean

# Words that say that this is not the answer: "not B", "at least 5", "fewer than 2".
_BOUND = (
    r"(?:not|never|n't|neither|nor|without|no longer|except|at\s+(?:least|most)|(?:more|less|fewer|greater|larger|smaller|other|rather)\s+than"
    r"|up\s+to|over|under|above|below|between|almost|nearly|probably not)"
)
_NO_ANSWER = re.compile(
    rf"(?:(?:it|that|this|there)(?:'s|\s+(?:is|are))\s+)?(?:(?:probably|certainly|definitely|clearly|definitively)\s+)?(?:{_BOUND}\b"
    r"|unknown|unclear|not?\s+(?:known|clear|sure)|undetermined|impossible to (?:say|tell)|\(?[A-Z]\)?\s+(?:is|are)\s+(?:not|incorrect|wrong|false)\b)",
    re.IGNORECASE,
)
_BOUND_BEFORE = re.compile(
    rf"(?:\b|(?<=[a-z])(?=n't)){_BOUND}\s+(?:(?:exactly|equal to|about|the|a|an|be|have|has|is|are)\s+)*\W*$",
    re.IGNORECASE,
)
_DOUBT = re.compile(r"\b(?:or|maybe|perhaps|possibly|might|not sure|versus|vs)\b|\?", re.IGNORECASE)
# A number that only names something: "Figure 2 shows", "in 2010, there were".
_LABEL = re.compile(
    r"(?:\b(?:figure|fig|table|step|row|line|column|page|question|problem|part|option|chart|equation|year|in|since|during|until|from|by)\.?\s+)$",
    re.IGNORECASE,
)
# Between the last number and the one before it, what makes the last one the result, and what makes them two.
_RESULT = re.compile(
    r"[=≈:]|\.\s|\b(?:so|therefore|thus|hence|total|altogether|gives?|giving|makes?|making|leaves?|leaving|equals?|get|means|result\w*"
    r"|(?:which|that|this|there|it)\s+(?:is|are|was))\b|\\(?:approx|Rightarrow|implies|to)\b",
    re.IGNORECASE,
)
_TWO = re.compile(r"[,;]|\b(?:and|or|but|to|than|versus|vs)\b", re.IGNORECASE)
# What follows is not the result: "6 are left after 2 are gone", "12 of the 30".
_CIRCUMSTANCE = re.compile(r"\b(?:after|before|when|if|out of|of (?:the|these|all)|from|among|since)\b", re.IGNORECASE)
_OPERATOR_BEFORE = re.compile(r"(?:[-+*/^(<>]|\\[a-zA-Z]+)\s*$")
_OPERATOR_BEHIND = re.compile(r"[A-Za-z]|\s*(?:[-+*/^=<>\\]|!\s*\S|:\s*\d|(?:squared|cubed|times|plus|minus)\b)")
_SPAN = r"\$\$(?P<display>[^$\n]+)\$\$|\$(?P<inline>[^\s$](?:[^$\n]*[^\s$])?)\$(?!\d)|\\\((?P<round>.+?)\\\)|\\\[(?P<square>.+?)\\\]"
_TOKEN = re.compile(
    rf"(?=[$\\+.\d€£¥-])(?:{_SPAN}|(?P<time>(?<![\w.:])\d{{1,2}}:\d\d(?:\s*[aApP]\.?[mM]\b\.?)?(?![:\d]))|(?P<ratio>(?<![\w.:])\d+(?:\s?:\s?\d+)+)"
    rf"|(?P<number>(?<![\w.^{{])(?<!\d:)[+-]?[$€£¥]?{PLAIN}(?:\s*/\s*{PLAIN})?%?))"
)
_IN_WORDS = re.compile(
    rf"(?<![\w-])(?!(?<!only )(?<!just )(?<!exactly )(?<!\bis )(?<!\bare )one\b(?! hundred)|one of\b){NUMBER_WORDS}(?![\w-])",
    re.IGNORECASE,
)
_POWERS = str.maketrans({"²": "^2", "³": "^3"})
_UNIT_BEHIND = re.compile(r"[ ~]?[A-Za-z°%][A-Za-z/°]*(?:\^?\{?[23]\}?)?")


class Value(NamedTuple):
    """A value in a sentence, cleaned, and whether it was set as mathematics."""

    text: str
    is_math: bool


def states_nothing(text: str) -> bool:
    """It says what the answer is not, or that it is not known."""
    return bool(_NO_ANSWER.match(text))


def value_in(sentence: str, *, only: bool = False) -> Value | None:  # noqa: PLR0911 - each says why there is none
    r"""The value that a sentence states, or None when it states none, several, or a bound.

    Several values have one that counts where the sentence makes it the result ("3 and 4 give 7"); with `only`
    that takes an equals sign.

    >>> value_in("The bar for 2010 is 45 cm high."), value_in(r"So the area is $9\pi$.")
    (Value(text='45 cm', is_math=False), Value(text='9\\pi', is_math=True))
    >>> value_in("5, maybe 7"), value_in("There are 5 dogs and 6 cats."), value_in("at least 5")
    (None, None, None)

    """
    sentence = sentence.replace("**", "")
    tokens = [
        token
        for token in _TOKEN.finditer(sentence)
        if not (token["number"] and _LABEL.search(sentence[max(0, token.start() - 20) : token.start()]))
    ]
    tokens = tokens or list(_TOKEN.finditer(sentence))[-1:] or list(_IN_WORDS.finditer(sentence))
    if not tokens:
        return None
    while len(tokens) > 1 and _CIRCUMSTANCE.search(sentence, tokens[-2].end(), tokens[-1].start()):
        tokens.pop()
    last, before, behind = tokens[-1], sentence[: tokens[-1].start()], sentence[tokens[-1].end() :]
    if _BOUND_BEFORE.search(before[-40:]) or _DOUBT.search(behind):
        return None
    if len(tokens) > 1:
        between = sentence[tokens[-2].end() : last.start()]
        result = "=" in between if only else _RESULT.search(between)
        if _DOUBT.search(between) or not (result or (not only and not _TWO.search(between))):
            return None
    groups = last.groupdict()
    span = next((groups[name] for name in ("display", "inline", "round", "square") if groups.get(name)), None)
    if span is not None:
        unit = _UNIT_BEHIND.match(behind)
        return Value(clean(span) + (f"~{unit[0].strip()}" if unit and _is_unit(f" {unit[0]}") else ""), is_math=True)
    if _OPERATOR_BEFORE.search(before):
        return None
    unit = _UNIT_BEHIND.match(behind if behind.isascii() else behind.translate(_POWERS))
    if unit and _is_unit(unit[0]):
        return Value(clean(last[0] + unit[0]), is_math=False)
    return None if _OPERATOR_BEHIND.match(behind) else Value(clean(last[0]), is_math=False)


def _is_unit(text: str) -> bool:
    """A known one; a single letter is a variable where it is glued to its number."""
    return bool(canonical_unit(text)) and (text[0] in " ~" or len(text) > 1 or not text.isalpha())
