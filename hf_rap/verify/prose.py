"""The one value that a sentence states, and sentences that state none."""

from __future__ import annotations

import re
from typing import NamedTuple

from .quantities import NUMBER_WORDS, PLAIN, read_quantity
from .units import canonical_unit
from .writing import clean

# Words that say that this is not the answer: "not B", "at least 5", "fewer than 2".
_BOUND = (
    r"(?:not|never|n't|neither|nor|without|no longer|except|at\s+(?:least|most)|(?:more|less|fewer|greater|larger|smaller|other|rather)\s+than"
    r"|up\s+to|over|under|above|below|between|almost|nearly|probably not)"
)
_NO_ANSWER = re.compile(
    rf"(?:(?:it|that|this|there)(?:'s|\s+(?:is|are))\s+)?(?:(?:probably|certainly|definitely|clearly|definitively)\s+)?(?:{_BOUND}\b"
    r"|perhaps|maybe|possibly|unknown|unclear|not?\s+(?:known|clear|sure)|undetermined|impossible to (?:say|tell)|(?:\(?[A-Z]\)?|[\d.,/]+)\s+(?:is|are)\s+(?:not|incorrect|wrong|false)\b)",
    re.IGNORECASE,
)
_BOUND_BEFORE = re.compile(
    rf"(?:\b|(?<=[a-z])(?=n't)){_BOUND}\s+(?:(?:exactly|equal to|about|the|a|an|be|have|has|is|are)\s+)*\W*$",
    re.IGNORECASE,
)
_DOUBT = re.compile(r"\b(?:or|maybe|perhaps|possibly|might|not sure|versus|vs)\b|\?", re.IGNORECASE)
_BUT = re.compile(r"\bnot\s+(?:\S+\s+){1,3}?but\s+(?:rather\s+)?", re.IGNORECASE)
# "Of the 40 tiles, 19 are black".
_INTRODUCTION = re.compile(
    r"\W*(?:so,?\s+)?(?:of|out of|among|from|in|on|at|with|for|after|before|since|because|when|if|as|by|based on|using)\b[^,$]*,\s+",
    re.IGNORECASE,
)
_LIST = re.compile(rf"\b(?:are|is)\s+(?P<list>-?{PLAIN}(?:\s*,\s*-?{PLAIN})*,?\s+and\s+-?{PLAIN})\W*$")
_DENIED = re.compile(r"\W*(?:is|are)\s+(?:not|incorrect|wrong|false)\b", re.IGNORECASE)
# A number that only names something: "Figure 2 shows", "in 2010, there were".
_LABEL = re.compile(
    r"\b(?:figure|fig|table|step|row|line|column|page|question|problem|part|option|chart|equation|year)\.?\s+\Z",
    re.IGNORECASE,
)
_BEFORE_YEAR = re.compile(r"\b(?:in|since|during|until|from|by)\s+\Z", re.IGNORECASE)
# Between the last number and the one before it, what makes the last one the result, and what makes them two.
_RESULT = re.compile(
    r"[=≈:]|\.\s|\b(?:so|therefore|thus|hence|total|altogether|gives?|giving|makes?|making|leaves?|leaving|equals?|get|means|result\w*"
    r"|(?:which|that|this|there|it|where(?:\s+\w+){1,4})\s+(?:is|are|was))\b|\\(?:approx|Rightarrow|implies|to)\b",
    re.IGNORECASE,
)
_TWO = re.compile(r"[,;]|\b(?:and|or|but|to|than|versus|vs|in)\b", re.IGNORECASE)
# "4/5, or 0.8" says the same twice.
_OR = re.compile(r",?\s+or\s+")
# What follows is not the result: "6 are left after 2 are gone", "12 of the 30", "2 bars with values above 50"; unless a verb
# comes behind it: "as x goes to 0 from the left it is 4".
_CIRCUMSTANCE = re.compile(
    r"(?:\b(?:after|before|when|if|out of|of (?:the|these|all)|from|among|since)\b"
    rf"|\b(?:with|whose|having|where|(?:that|which) (?:are|is|have|has))\b.*\b{_BOUND})(?!.*(?:=|\b(?:is|are|was|were|equals?)\b))",
    re.IGNORECASE,
)
# The reason that follows: "it is 5 because it lies between 3 and 9".
_REASON = re.compile(r",?\s+(?:because|since|as (?:it|they|there|the))\b.*", re.IGNORECASE | re.DOTALL)
_CLOCK = re.compile(r"\b(?:half past|quarter past|quarter to)\s+\w+|\b\d{1,2}\s+o['’]?clock\b", re.IGNORECASE)
_TO = re.compile(r"\b(\d+) to (\d+)\b")
_IS = re.compile(r"(?:\b(?:is|are|was|were|equals?|to)|=)\s+(?:only |just |exactly |equal to )?$", re.IGNORECASE)
_OPERATOR_BEFORE = re.compile(r"(?:[-+*/^(<>]|\\[a-zA-Z]+)\s*$")
_OPERATOR_BEHIND = re.compile(r"[A-Za-z]|\s*(?:[-+*/^=<>\\]|!\s*\S|:\s*\d|(?:squared|cubed|times|plus|minus)\b)")
_SPAN = r"\$\$(?P<display>[^$\n]+)\$\$|\$(?P<inline>[^\s$](?:[^$\n]*[^\s$])?)\$(?!\d)|\\\((?P<round>.+?)\\\)|\\\[(?P<square>.+?)\\\]"
_DATE = r"(?P<date>(?<![A-Za-z\d_.])(?:\d{4}[/.-]\d{1,2}[/.-]\d{1,2}|\d{1,2}[/.-]\d{1,2}[/.-]\d{4})(?![/.-]?\d))"
_PLAIN_TUPLE = r"(?P<tuple>[(\[{]\s*-?[\d.]+(?:\s*[,;]\s*-?[\d.]+)+\s*[)\]}])"
_TOKEN = re.compile(
    rf"(?=[$\\+.\d€£¥([{{-])(?:{_SPAN}|{_PLAIN_TUPLE}|{_DATE}|(?P<time>(?<![A-Za-z\d_.:])\d{{1,2}}:\d\d(?:\s*[aApP]\.?[mM]\b\.?)?(?![:\d]))|(?P<ratio>(?<![A-Za-z\d_.:])\d+(?:\s?:\s?\d+)+)"
    rf"|(?P<number>(?<![A-Za-z\d_.^{{])(?<!\d:)[+-]?[$€£¥]?{PLAIN}(?:\s*/\s*{PLAIN})?%?))"
)
_IN_WORDS = re.compile(
    rf"(?<![\w-])(?!(?<!only )(?<!just )(?<!exactly )(?<!\bis )(?<!\bare )one\b(?! hundred)|one of\b){NUMBER_WORDS}(?![\w-])",
    re.IGNORECASE,
)
_POWERS = str.maketrans({"²": "^2", "³": "^3"})
_WORDS_BEHIND = re.compile(r"[ ~]?[A-Za-z°%µμΩ\u4e00-\u9fff][^\s,;.:!?()$]*(?: [^\s,;.:!?()$]+){0,3}")


class Value(NamedTuple):
    """A value in a sentence, cleaned, and whether it was set as mathematics."""

    text: str
    is_math: bool


def states_nothing(text: str) -> bool:
    """It says what the answer is not, or that it is not known."""
    return bool(_NO_ANSWER.match(text))


def value_in(sentence: str, *, only: bool = False) -> Value | None:
    r"""The value that a sentence states, or None when it states none, several, or a bound.

    Several values have one that counts where the sentence makes it the result ("3 and 4 give 7"); with `only`
    that takes an equals sign.

    >>> value_in("The bar for 2010 is 45 cm high."), value_in(r"So the area is $9\pi$.")
    (Value(text='45 cm', is_math=False), Value(text='9\\pi', is_math=True))
    >>> value_in("5, maybe 7"), value_in("There are 5 dogs and 6 cats."), value_in("at least 5")
    (None, None, None)

    """
    sentence = sentence.replace("**", "")
    if clock := _CLOCK.search(sentence):
        return None if _DOUBT.search(sentence) else Value(clean(clock[0]), is_math=False)
    if "ratio" in sentence:
        sentence = _TO.sub(r"\1:\2", sentence)
    if several := _LIST.search(sentence):
        return Value(clean(several["list"]), is_math=True)
    sentence = _main_clause(sentence)
    tokens = _tokens(sentence)
    while len(tokens) > 1:
        *_, before, last = tokens
        between = sentence[before.end() : last.start()]
        if _OR.fullmatch(between) and _same(before[0], last[0]):
            sentence = sentence[: before.end()]
        elif not _CIRCUMSTANCE.search(between):
            break
        tokens.pop()
    if not tokens or not _is_result(sentence, tokens, only=only):
        return None
    return _value_of(tokens[-1], sentence[: tokens[-1].start()], sentence[tokens[-1].end() :])


def _main_clause(sentence: str) -> str:
    """Without the clauses before and behind that only say under which circumstances, and why; values stand there too."""
    introduction = _INTRODUCTION.match(sentence)
    if introduction and _tokens(sentence[introduction.end() :]):
        sentence = sentence[introduction.end() :]
    tokens = _tokens(sentence) if _REASON.search(sentence) else []
    reason = _REASON.search(sentence, tokens[0].end()) if tokens else None
    return sentence[: reason.start()] if reason else sentence


def affirmed(text: str) -> str:
    """Without what is denied for something else: "It is not red but blue" is "It is blue"."""
    return _BUT.sub("", text) if " but " in text else text


def _is_result(sentence: str, tokens: list[re.Match[str]], *, only: bool) -> bool:
    """The last token is what the sentence comes to: no bound, not in doubt, and not the second of two."""
    last, before, behind = tokens[-1], sentence[: tokens[-1].start()], sentence[tokens[-1].end() :]
    if _BOUND_BEFORE.search(before[-40:]) or _DOUBT.search(behind) or _DENIED.match(behind):
        return False
    if len(tokens) == 1:
        return True
    between = sentence[tokens[-2].end() : last.start()]
    result = "=" in between if only else _RESULT.search(between) or not _TWO.search(between)
    return bool(result and not _DOUBT.search(between))


def _value_of(token: re.Match[str], before: str, behind: str) -> Value | None:
    groups = token.groupdict()
    span = next((groups[name] for name in ("display", "inline", "round", "square") if groups.get(name)), None)
    if span is not None:
        unit = _unit_behind(f" {behind.lstrip(' ~')}")
        return Value(clean(span) + (f"~{unit.strip()}" if unit else ""), is_math=True)
    if groups.get("tuple"):
        return Value(clean(re.sub(r"[{}]", r"\\\g<0>", token[0])), is_math=True)
    if _OPERATOR_BEFORE.search(before) and not (before.endswith(" (") and behind.startswith(")")):
        return None
    if unit := _unit_behind(behind if behind.isascii() else behind.translate(_POWERS)):
        return Value(clean(token[0] + unit), is_math=False)
    return None if _OPERATOR_BEHIND.match(behind) else Value(clean(token[0]), is_math=False)


def _tokens(sentence: str) -> list[re.Match[str]]:
    """Numbers and spans of mathematics; number words where there are none or a verb stands before them."""
    words = list(_IN_WORDS.finditer(sentence))
    marks = list(_TOKEN.finditer(sentence))
    if not marks:
        return words
    marks = [mark for mark in marks if not _is_label(mark, sentence[: mark.start()][-20:])] or marks[-1:]
    stated = [word for word in words if _IS.search(sentence[: word.start()][-20:])]
    return sorted(marks + stated, key=lambda mark: mark.start())


def _is_label(mark: re.Match[str], before: str) -> bool:
    is_year = mark["number"] and re.fullmatch(r"\d{4}\.?", mark["number"])
    return bool(mark["number"] and (_LABEL.search(before) or (is_year and _BEFORE_YEAR.search(before))))


def _same(text: str, other: str) -> bool:
    quantity, restated = read_quantity(clean(text)), read_quantity(clean(other))
    return bool(quantity and restated and quantity.equals(restated))


def _unit_behind(text: str) -> str:
    """The longest known unit with which a text begins, "" when with none; "12 in total" has no inches."""
    words = match[0].split(" ") if (match := _WORDS_BEHIND.match(text)) else []
    for count in range(len(words), 0, -1):
        unit = " ".join(words[:count])
        if _is_unit(unit) and not (unit == " in" and count < len(words)):
            return unit
    return ""


def _is_unit(text: str) -> bool:
    """A known one; a single letter is a variable where it is glued to its number."""
    return bool(canonical_unit(text)) and (text[0] in " ~" or len(text) > 1 or not text.isalpha())
