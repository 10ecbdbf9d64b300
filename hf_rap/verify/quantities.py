"""Numbers with units, read exactly: "1,000", "3/4", "-2.5 cm", "30 degrees", "$5", "two apples"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

_PLAIN = r"(?:(?:\d{1,3}(?:,\d{3})+|\d{1,3}(?:[ ]\d{3})+|\d+)(?:\.\d*)?|\.\d+)"
_SIGN = r"(?P<sign>[+-]?)\s*"
_PREFIX = r"(?P<currency>[$€£¥]?)\s*"
# The first form that is followed by nothing or by a unit is taken.
_FORMS = tuple(re.compile(f"{_SIGN}{_PREFIX}{form}") for form in (
    rf"(?P<whole>\d+)?[ ]*\\frac\s*\{{\s*(?P<top>[+-]?{_PLAIN})\s*\}}\s*\{{\s*(?P<bottom>[+-]?{_PLAIN})\s*\}}",
    rf"(?:(?P<whole>\d+)[ ]+)?(?P<top>{_PLAIN})\s*/\s*(?P<bottom>{_PLAIN})",
    rf"(?P<top>{_PLAIN})\s*(?:\\times|\\cdot|\*)\s*10\s*\^\s*\{{?\s*(?P<power>[+-]?\d{{1,3}})\s*\}}?",
    rf"(?P<top>[+-]?{_PLAIN})(?:[eE](?P<power>[+-]?\d{{1,3}}))?",
))  # fmt: skip
_IN_PROSE = re.compile(rf"(?<![\w.^{{])(?<!\d:)[+-]?[$€£¥]?{_PLAIN}(?:\s*/\s*{_PLAIN})?")
_WORD_BEHIND = re.compile(r"[ ~]?[A-Za-z°%][A-Za-z/°]*(?:\^?\{?[23]\}?)?")

_NUMBER_WORDS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"),
)
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12}

_UNIT_NAMES = {
    "mm": "mm millimeter millimetre 毫米",
    "cm": "cm centimeter centimetre 厘米",
    "dm": "dm decimeter decimetre 分米",
    "m": "m meter metre 米",
    "km": "km kilometer kilometre 千米",
    "in": "in inch inche",  # "inches" without its s
    "ft": "ft foot feet",
    "yd": "yd yard",
    "mi": "mi mile",
    "mg": "mg milligram",
    "g": "g gram 克",
    "kg": "kg kilogram 千克",
    "lb": "lb pound",
    "oz": "oz ounce",
    "ml": "ml milliliter millilitre 毫升",
    "l": "l liter litre 升",
    "ms": "ms millisecond",
    "s": "s sec second 秒",
    "min": "min minute 分钟",
    "h": "h hr hour 小时",
    "day": "day 天",
    "year": "year yr 年",
    "n": "n newton",
    "j": "j joule",
    "w": "w watt",
    "kw": "kw kilowatt",
    "v": "v volt",
    "hz": "hz hertz",
    "pa": "pa pascal",
    "°": "° deg degree 度",
    "°c": "°c celsius",
    "°f": "°f fahrenheit",
    "rad": "rad radian",
    "%": "% percent pct percentage",
    "$": "$ usd dollar",
    "€": "€ eur euro",
    "£": "£ gbp",
    "¥": "¥ yuan yen rmb 元",
    "": "unit",
}
_UNITS = {name: unit for unit, names in _UNIT_NAMES.items() for name in names.split()}
# Words that cannot be what is counted: "3 or 5", "2 pi", "5 is not it".
_NOT_UNITS = frozenset(
    ("and", "or", "not", "is", "are", "of", "to", "by", "if", "than", "pi", "sqrt", "sin", "cos", "tan", "log", "ln")
)


@dataclass(frozen=True)
class Quantity:
    """An exact number and the unit written with it ("" when none was)."""

    value: Fraction
    unit: str = ""

    def equals(self, other: Quantity) -> bool:
        """Same number and same unit, where a unit that was left out agrees with any.

        A percentage is also the number it stands for: 50% is 50 (the sign left out) and 0.5. Units
        are not converted: 5 m is not 500 cm.
        """
        if self.value == other.value and (self.unit == other.unit or "" in (self.unit, other.unit)):
            return True
        return self._as_share() == other._as_share() and {self.unit, other.unit} == {"%", ""}

    def _as_share(self) -> Fraction:
        return self.value / 100 if self.unit == "%" else self.value


def read_quantity(text: str, *, letters_are_units: bool = True) -> Quantity | None:
    """The quantity that a cleaned text is, or None when it is anything else.

    Args:
        text: what `hf_rap.verify.finding.clean` gives.
        letters_are_units: "8m" is eight metres. Without it (for gold answers) it is not a quantity,
            because it may as well be eight times m; "8 m" and "8 cm" are quantities either way.

    >>> read_quantity("1,250.5 cm")
    Quantity(value=Fraction(2501, 2), unit='cm')
    >>> read_quantity("3 or 5")

    """
    text = _without_parentheses(text)
    first, _, rest = text.partition(" ")
    if first.casefold() in _NUMBER_WORDS:
        text = f"{_NUMBER_WORDS.index(first.casefold())} {rest}"
    for form in _FORMS:
        match = form.match(text)
        if match is None:
            continue
        value = _value(match.groupdict())
        behind = _read_unit(text[match.end() :], letters_are_units=letters_are_units)
        if value is None or behind is None:
            continue
        factor, unit = behind
        return Quantity(value * factor, match["currency"] or unit)
    return None


def last_quantity(text: str) -> Quantity | None:
    """The last number in running prose, with its unit when that is a known one.

    None when it is part of something longer ("3 - 5", "5x") or one of two alternatives ("3 or 5").

    >>> last_quantity("So the area is 12 cm^2 in total")
    Quantity(value=Fraction(12, 1), unit='cm^2')
    """
    found = list(_IN_PROSE.finditer(text))
    if not found:
        return None
    number, behind = found[-1], text[found[-1].end() :]
    before = text[found[-2].end() if len(found) > 1 else 0 : number.start()]
    if (len(found) > 1 and re.search(r"\bor\b", before)) or before.rstrip().endswith(tuple("+-*/^(\\")):
        return None
    word = _WORD_BEHIND.match(behind)
    quantity = read_quantity(number[0] + word[0]) if word else None
    if quantity and re.split(r"[/^]", quantity.unit, maxsplit=1)[0] in _UNIT_NAMES:
        return quantity
    return None if re.match(r"[A-Za-z]|\s*[-+*/^=!\\]", behind) else read_quantity(number[0])


def split_unit(text: str) -> tuple[str, str]:
    r"""An expression and the known unit behind it: `2\pi cm` is (`2\pi`, "cm").

    A single letter counts only when it was upright text in LaTeX, since `2\sqrt{3} m` may be a product.
    """
    match = re.fullmatch(r"(.*[^\s~])(?:([ ~]+)|(?<=[\d})]))([A-Za-z][A-Za-z/^{}\d]*|[°%])", text)
    if match is None or (len(match[3]) == 1 and match[3].isalpha() and "~" not in (match[2] or "")):
        return text, ""
    unit = _canonical_unit(match[3])
    known = unit.partition("^")[0].partition("/")[0] in _UNIT_NAMES
    return (match[1], unit) if known else (text, "")


def _without_parentheses(text: str) -> str:
    inner = text[1:-1]
    wrapped = (text[:1], text[-1:]) in {("(", ")"), ("{", "}")}
    return inner.strip() if wrapped and not re.search(r"[(){},]", inner) else text


def _value(groups: dict[str, str | None]) -> Fraction | None:
    top = _decimal(groups["top"] or "0")
    bottom = _decimal(groups.get("bottom") or "1")
    if bottom == 0:
        return None
    value = Fraction(groups.get("whole") or 0) + top / bottom
    value *= Fraction(10) ** int(groups.get("power") or 0)
    return -value if groups["sign"] == "-" else value


def _decimal(text: str) -> Fraction:
    return Fraction(re.sub("[ ,]", "", text).removesuffix("."))


def _read_unit(text: str, *, letters_are_units: bool) -> tuple[int, str] | None:
    """(factor, unit) for what stands behind a number, or None when that is not a unit."""
    glued = bool(text) and text[0] not in " ~"
    words = text.replace("~", " ").split()
    if words and not glued and words[0].casefold() in _SCALES:
        scale = _SCALES[words[0].casefold()]
        words = words[1:]
    else:
        scale = 1
    if not words:
        return scale, ""
    rest = " ".join(words)
    if not re.fullmatch(r"[A-Za-z°%$€£¥\u4e00-\u9fff][A-Za-z°%\u4e00-\u9fff /^{}\d.-]*", rest) or len(words) > 3:
        return None
    unit = _canonical_unit(rest)
    base = re.split(r"[/^]", unit, maxsplit=1)[0]
    if base in _UNIT_NAMES:
        is_letter = glued and len(rest) == 1 and rest.isascii() and rest.isalpha()
        return None if is_letter and not letters_are_units else (scale, unit)
    counted = not glued and re.fullmatch(r"[A-Za-z -]{3,}|[\u4e00-\u9fff]{1,4}", rest)
    if not counted and not re.fullmatch(r"[\u4e00-\u9fff]", rest):
        return None
    return None if _NOT_UNITS & set(rest.casefold().split()) else (scale, unit)


def _canonical_unit(text: str) -> str:
    """One way to write a unit: "square centimetres", "cm2" and "cm^{2}" are "cm^2"."""
    text = re.sub(r"[{}]", "", text.casefold()).strip(" .")
    text = re.sub(r"\bdegrees? (?=celsius|fahrenheit|c\b|f\b)", "°", text).replace("° ", "°")
    text = re.sub(r"\b(?:square|sq\.?) ([^\s/]+)", r"\1^2", text)
    text = re.sub(r"\bcubic ([^\s/]+)", r"\1^3", text)
    text = re.sub(r" squared\b", "^2", re.sub(r" cubed\b", "^3", text))
    text = re.sub(r"\s*(?:/|\bper\b)\s*", "/", text)
    return "/".join(_canonical_part(part) for part in text.split("/"))


def _canonical_part(part: str) -> str:
    match = re.fullmatch(r"(.+?)\^?([23]?)", part)
    if match is None:
        return part
    base = match[1].removesuffix(".")
    base = {"°celsius": "°c", "°fahrenheit": "°f"}.get(base, base)
    singular = base.removesuffix("s") if len(base) > 2 else base
    name = _UNITS.get(base, _UNITS.get(singular, singular))
    return f"{name}^{match[2]}" if match[2] and name else name
