r"""The unit behind a number, in one way to write it: "square centimetres", "cm2" and `cm^{2}` are "cm^2".

Why not pint: of 86 units as replies and golds write them, pint 0.25 reads 57 as they are meant. It knows no
currency, no Chinese, no "sq. ft", "cm2" or "degrees Celsius", takes `\mu m` for dalton metres, "cats" for
pressure and "units" for a photometric unit; and it takes 0.6 s to load. What it is made for, conversion, is
not wanted: 5 m is not 500 cm where the question asks for centimetres.
"""

from __future__ import annotations

import re
from functools import lru_cache

_PREFIXES = "k kilo 千; c centi 厘; m milli 毫; d deci 分; u micro 微 μ µ; n nano 纳; mega 兆; giga 吉; h hecto"
# Separated by semicolons; the first name of a unit is the one that is kept, the others may stand for it. Symbols are compared without case.
_SCALED = (
    "m meter metre 米; g gram 克; s second sec 秒; l liter litre 升; n newton 牛顿 牛; j joule 焦耳 焦; w watt 瓦; "
    "v volt 伏; a ampere amp 安; ohm ω 欧姆 欧; hz hertz 赫兹; pa pascal 帕; mol mole 摩尔; k kelvin; t tesla; "
    "f farad; ev; cal calorie; bar; b byte; wh"
)
_PLAIN = (
    "in inch; ft foot feet; yd yard; mi mile; lb pound; oz ounce; gal gallon; acre; ha hectare 公顷; "
    "min minute 分钟; h hr hour 小时 时; day 天; week; month; year yr 年; ° deg degree 度; "
    "°c celsius °celsius 摄氏度; °f fahrenheit °fahrenheit; rad radian 弧度; "
    "% percent pct percentage percentagepoint; $ usd dollar; € eur euro; £ gbp; ¥ yuan yen rmb cny 元; "
    "cent ¢; mi/h mph; km/h kph kmh kmph; kg 公斤; km 公里; m/s mps"
)


def _names() -> dict[str, str]:
    names = {name: entry.split()[0] for entry in _PLAIN.split(";") for name in entry.split()}
    for symbol, *words in map(str.split, _SCALED.split(";")):
        names |= dict.fromkeys((symbol, *words), symbol)
        for short, *prefixes in map(str.split, _PREFIXES.split(";")):
            scaled = {prefix + name: short + symbol for prefix in (short, *prefixes) for name in (symbol, *words)}
            names = scaled | names
    return {**names, "unit": "", "kilohm": "kohm"}


_NAMES = _names()
_REWRITTEN = tuple((re.compile(pattern), by) for pattern, by in (
    (r"\\(?:[oO]mega|ω)\s*", "ω"),
    (r"\\mu\s*", "u"),
    (r"[{}]|\\cdot\s*$", ""),
    (r"\s*\\(?:cdot|times)\s*|\s*[·*]\s*", " "),
    (r"\bdegrees? (?=celsius|fahrenheit|c\b|f\b)", "°"),
    (r"° (?=[cf]\b)", "°"),
    (r"\bpercentage points?\b", "percent"),
    (r"\b(?:square|sq\.?) ([^\s/]+)|平方([^\s/]+)", r"\1\2^2"),
    (r"\b(?:cubic|cu\.?) ([^\s/]+)|立方([^\s/]+)", r"\1\2^3"),
    (r" squared\b", "^2"),
    (r" cubed\b", "^3"),
    (r"每", "/"),
    (r"\s*(?:/|\bper\b|\ban?\b(?= (?:hour|second|minute)))\s*", "/"),
    (r"\s*\^\s*", "^"),
))  # fmt: skip
# The only prefixes whose case matters: 5 MW is not 5 mW.
_LARGE = re.compile(r"(?<![A-Za-z])[MG](?=(?:Hz|W|Wh|V|J|B|Pa|eV|N|g|Ω|m)(?![a-z]))")
_PART = re.compile(r"([^\s^\d/]+?)\.?\^?(-?[1-9])?")


@lru_cache(maxsize=1024)
def canonical_unit(text: str) -> str | None:
    """The unit that a text is, or None when some part of it is no known unit.

    >>> canonical_unit("square feet"), canonical_unit("m s^{-1}"), canonical_unit("kilometers per hour")
    ('ft^2', 'm/s', 'km/h')
    >>> canonical_unit("apples")

    """
    text = _LARGE.sub(lambda match: {"M": "mega", "G": "giga"}[match[0]], text).casefold().strip(" .")
    for pattern, by in _REWRITTEN:
        text = pattern.sub(by, text)
    powers: dict[str, int] = {}
    for place, side in enumerate(text.strip().split("/")):
        for part in side.split():
            match = _PART.fullmatch(part)
            name = match and _name(match[1])
            if match is None or name is None:
                return None
            sign = -1 if place else 1
            base, _, under = name.partition("/")
            powers[base] = powers.get(base, 0) + sign * int(match[2] or 1)
            if under:
                powers[under] = powers.get(under, 0) - sign
    above, below = (
        " ".join(
            f"{name}^{abs(power)}" if abs(power) > 1 else name
            for name, power in sorted(powers.items())
            if name and sign * power > 0
        )
        for sign in (1, -1)
    )
    return f"{above}/{below}" if below else above


def _name(word: str) -> str | None:
    for form in (word, word.removesuffix("s"), word.removesuffix("es")):
        if form in _NAMES and (form == word or len(form) > 1):
            return _NAMES[form]
    return None
