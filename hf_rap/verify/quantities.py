r"""Numbers with units, read exactly: "1,000", "3/4", "-2.5 cm", "$5", "twenty-three apples", `0.\overline{3}`, "2:3"."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from .units import canonical_unit

# What rounds to the same six decimals and six digits agrees, where only one of the two is a decimal.
ROUNDING, RELATIVE_ROUNDING = Fraction(1, 2 * 10**6), Fraction(1, 2 * 10**5)
# 0.30000000000000004 is 0.3: a binary float that was written out.
_FLOAT_NOISE, _FLOAT_DIGITS = Fraction(1, 10**12), 10**12

PLAIN = r"(?:(?:\d{1,3}(?:,\d{3})+|\d{1,3}(?:[ ]\d{3})+|\d+)(?:\.\d*)?|\.\d+)"
_DIGIT = re.compile(r"\d")
_DECADE = re.compile(r"[12]\d\d0'?s")
_SIMPLE = re.compile(r"[+-]?\d+(?:\.\d+)?")
_SIGN = r"(?P<sign>[+-]?)\s*"
_PREFIX = r"(?P<currency>[$€£¥]?)\s*"
_POWER = r"10\s*\^\s*\{?\s*(?P<power>[+-]?\d{1,3})\s*\}?"
# The first form that is followed by nothing or by a unit is taken.
_FORMS = tuple(re.compile(f"{_SIGN}{_PREFIX}{form}") for form in (
    rf"(?P<whole>\d+)?[ ]*\\frac\s*\{{\s*(?P<top>[+-]?{PLAIN})\s*\}}\s*\{{\s*(?P<bottom>[+-]?{PLAIN})\s*\}}",
    rf"(?:(?P<whole>\d+)[ ]+)?(?P<top>{PLAIN})\s*/\s*(?P<bottom>\(-\d+\)|{PLAIN})",
    rf"(?P<top>{PLAIN})\s*(?P<ratio>:|\bto\b)\s*(?P<bottom>{PLAIN})",
    r"(?P<top>\d+)_\{?(?P<base>\d{1,2})\}?",
    r"(?P<top>\d+\.\d*?)(?:\\overline\s*\{(?P<period>\d+)\}|\\dot\s*\{?(?P<digit>\d)\}?|\((?P<bracket>\d+)\))",
    r"(?P<top>\d+\.\d*?)(?P<repeated>\d+?)(?P=repeated)+\s*(?:\.\.\.?|\\[lc]?dots)",
    rf"(?:(?P<top>{PLAIN})\s*(?:\\times|\\cdot|\*|[xX])\s*)?{_POWER}",
    rf"(?P<top>{PLAIN})\s+(?P<word>squared|cubed)$",
    rf"(?P<top>[+-]?{PLAIN})(?:[eE](?P<power>[+-]?\d{{1,3}}))?",
))  # fmt: skip

_RATIO = re.compile(r"\d+(?:\.\d+)?(?:\s?:\s?\d+(?:\.\d+)?){2,9}")

_ONES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SCALES = {"thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_MULTIPLES = {"hundred": 100, "dozen": 12, **_SCALES}
_PARTS = {"half": 2, "halve": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "eighth": 8, "tenth": 10}  # fmt: skip
_VALUES = {word: value for value, word in enumerate(_ONES)} | {word: 10 * ten for ten, word in enumerate(_TENS, 2)}
_SMALL = rf"(?:(?:{'|'.join(_TENS)})(?:[- ](?:{'|'.join(_ONES[1:10])}))?|{'|'.join(reversed(_ONES))})"
_HUNDREDS = rf"(?:(?:{_SMALL}|a) hundred(?: (?:and )?{_SMALL})?|{_SMALL})"
NUMBER_WORDS = (
    rf"(?:{_HUNDREDS}(?: (?:{'|'.join(_SCALES)})(?:,? (?:and )?{_HUNDREDS})?)*|a (?:dozen|{'|'.join(_SCALES)}))"
)
_IN_WORDS = re.compile(rf"({NUMBER_WORDS})(?:[- ]({'|'.join(_PARTS)})s?)?(?![\w-])", re.IGNORECASE)
_HALF = re.compile(r"(?:an?\s+|one[- ])?half$", re.IGNORECASE)
_NEGATIVE = re.compile(r"(?:negative|minus)\s+(?=\S)", re.IGNORECASE)

# Words that cannot be what is counted: "3 or 5", "2 pi", "5 is not it".
_NOT_UNITS = frozenset({"and", "or", "not", "is", "are", "of", "to", "by", "if", "than", "pi", "sqrt", "sin", "cos", "tan", "log", "ln", "maybe", "perhaps", "possibly", "squared", "cubed", "times"})  # fmt: skip
_UNIT_START = re.compile(r"[\s~]+(?=[A-Za-z°%\u4e00-\u9fff])|(?<=[\d})])(?=[A-Za-z°%\u4e00-\u9fff])")
_LETTER = re.compile(r"[A-Za-z](?![A-Za-z])")
# "2n-1" and "5t^2" are no newtons and teslas; "5m^2" is an area.
_TERM = re.compile(r"(?!m\^?\{?[23])[A-Za-z]\^?\{?-?\d\}?")
_COUNTED = re.compile(r"[A-Za-z -]{3,}|[\u4e00-\u9fff]{1,4}")


class Quantity(NamedTuple):
    """An exact number and the unit written with it: "" when none was, ":" for a ratio."""

    value: Fraction
    unit: str = ""

    def equals(self, other: Quantity) -> bool:
        """Same number and same unit, where a unit that was left out agrees with any.

        A percentage is also the number it stands for: 50% is 50 (the sign left out) and 0.5. Units
        are not converted: 5 m is not 500 cm.
        """
        if (self.unit == other.unit or "" in (self.unit, other.unit)) and _same(self.value, other.value):
            return True
        return {self.unit, other.unit} == {"%", ""} and _same(self._as_share(), other._as_share())

    def _as_share(self) -> Fraction:
        return self.value / 100 if self.unit == "%" else self.value


@lru_cache(maxsize=4096)
def read_quantity(text: str, *, letters_are_units: bool = True) -> Quantity | None:
    """The quantity that a cleaned text is, or None when it is anything else.

    Args:
        text: what `hf_rap.verify.writing.clean` gives.
        letters_are_units: "8m" is eight metres. Without it (for gold answers) it is not a quantity,
            because it may as well be eight times m; "8 m" and "8 cm" are quantities either way.

    >>> read_quantity("1,250.5 cm"), read_quantity("two thirds")
    (Quantity(value=Fraction(2501, 2), unit='cm'), Quantity(value=Fraction(2, 3), unit=''))
    >>> read_quantity("3 or 5")

    """
    if _SIMPLE.fullmatch(text):
        return Quantity(Fraction(text))
    text = _in_digits(_without_parentheses(text))
    if not _DIGIT.search(text) or _DECADE.fullmatch(text):
        return None
    for form in _FORMS:
        match = form.match(text)
        if match is None:
            continue
        groups = match.groupdict()
        value = _value(groups)
        behind = _read_unit(text[match.end() :], letters_are_units=letters_are_units)
        if value is None or behind is None or (groups.get("ratio") and behind[1]):
            continue
        factor, unit = behind
        return Quantity(value * factor, ":" if groups.get("ratio") else match["currency"] or unit)
    return None


def in_digits(text: str) -> str:
    """A quantity as mathematics: "2 1/2" is "5/2", "five cm" is "5~cm"; a plain decimal stays one."""
    quantity = None if _SIMPLE.fullmatch(text) else read_quantity(text)
    if quantity is None:
        return text
    return f"{quantity.value}~{quantity.unit}" if canonical_unit(quantity.unit) else str(quantity.value)


def read_ratio(text: str) -> tuple[Fraction, ...] | None:
    """A ratio of three or more numbers, its first number made 1: "6:4:2" is that of "3:2:1"."""
    if not _RATIO.fullmatch(text):
        return None
    first, *rest = (Fraction(part) for part in text.replace(" ", "").split(":"))
    return tuple(part / first for part in rest) if first else None


def split_unit(text: str) -> tuple[str, str]:
    r"""An expression and the known unit behind it: `2\pi cm` is (`2\pi`, "cm").

    A single letter counts only when it was upright text in LaTeX, since `2\sqrt{3} m` may be a product.
    """
    for start in _UNIT_START.finditer(text):
        behind = text[start.end() :]
        if len(behind) > 40 or (_LETTER.match(behind) and "~" not in start[0]):
            continue
        unit = canonical_unit(behind.replace("~", " "))
        if unit is not None:
            return text[: start.start()], unit
    return text, ""


def _in_digits(text: str) -> str:
    """Number words at the beginning as digits: "minus twenty-three cm" is "-23 cm"."""
    negative = _NEGATIVE.match(text)
    sign, text = ("-", text[negative.end() :]) if negative else ("", text)
    if _HALF.match(text):
        return f"{sign}1/2"
    match = _IN_WORDS.match(text)
    if match is None:
        return sign + text
    total = current = 0
    for word in re.split(r"[\s,-]+", match[1].casefold()):
        if word in _SCALES:
            total, current = total + (current or 1) * _SCALES[word], 0
        elif word in _MULTIPLES:
            current = (current or 1) * _MULTIPLES[word]
        else:
            current += _VALUES.get(word, 0)
    part = f"/{_PARTS[match[2].casefold()]}" if match[2] else ""
    return f"{sign}{total + current}{part}{text[match.end() :]}"


def _without_parentheses(text: str) -> str:
    inner = text[1:-1]
    wrapped = (text[:1], text[-1:]) in {("(", ")"), ("{", "}")}
    text = inner.strip() if wrapped and not re.search(r"[(){},]", inner) else text
    return re.sub(r"(?<=\d)[ ~]*\(([A-Za-z ]{3,}|[°%])\)$", r" \1", text)


def _value(groups: dict[str, str | None]) -> Fraction | None:
    top = groups["top"] or "1"
    if (base := groups.get("base")) is not None:
        return Fraction(int(top, int(base))) if 2 <= int(base) <= 36 and _is_in_base(top, int(base)) else None
    if period := groups.get("period") or groups.get("digit") or groups.get("bracket") or groups.get("repeated"):
        decimals = len(top.partition(".")[2])
        value = _decimal(top) + Fraction(int(period), (10 ** len(period) - 1) * 10**decimals)
    else:
        value = _decimal(top)
        if groups.get("bottom"):
            bottom = _decimal((groups["bottom"] or "").strip("()"))
            if bottom == 0:
                return None
            value /= bottom
        if groups.get("whole"):
            value += int(groups["whole"] or 0)
    if groups.get("word"):
        value **= 2 if groups["word"] == "squared" else 3
    if groups.get("power"):
        value *= Fraction(10) ** int(groups["power"] or 0)
    return -value if groups["sign"] == "-" else value


def _is_in_base(digits: str, base: int) -> bool:
    return all(int(digit) < base for digit in digits)


def _decimal(text: str) -> Fraction:
    return Fraction(re.sub("[ ,]", "", text).removesuffix("."))


def _same(left: Fraction, right: Fraction) -> bool:
    if left == right or left.denominator == right.denominator == 1:
        return left == right
    gap, size = abs(left - right), max(abs(left), abs(right))
    ends = [terminates(value.denominator) for value in (left, right)]
    if all(ends):
        return max(left.denominator, right.denominator) > _FLOAT_DIGITS and gap <= _FLOAT_NOISE * size
    return any(ends) and gap <= min(ROUNDING, RELATIVE_ROUNDING * size)


def terminates(denominator: int) -> bool:
    """A fraction in lowest terms with this denominator has a last decimal."""
    return pow(10, denominator.bit_length(), denominator) == 0


def _read_unit(text: str, *, letters_are_units: bool) -> tuple[int, str] | None:
    """(factor, unit) for what stands behind a number, or None when that is not a unit."""
    glued = bool(text) and text[0] not in " ~-"
    words = text.replace("~", " ").removeprefix("-").split()
    scale = 1
    if words and not glued and words[0].casefold() in _MULTIPLES:
        scale, words = _MULTIPLES[words[0].casefold()], words[1:]
    if not words:
        return None if text.endswith("-") else (scale, "")
    rest = " ".join(words)
    unit = canonical_unit(rest) if len(rest) <= 40 else None
    if unit is not None:
        is_letter = glued and len(rest) == 1 and rest.isascii() and rest.isalpha()
        is_term = glued and _TERM.fullmatch(rest)
        return None if is_term or (is_letter and not letters_are_units) else (scale, unit)
    counted = len(words) <= 3 and (re.fullmatch(r"[\u4e00-\u9fff]", rest) if glued else _COUNTED.fullmatch(rest))
    if not counted or any(word in _NOT_UNITS or word in _VALUES for word in rest.casefold().split()):
        return None
    return scale, rest.casefold().removesuffix("s")
