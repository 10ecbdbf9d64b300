"""Writes a text in one plain way: LaTeX for layout, look-alikes and markup go, what they mean stays."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Any

_SUPERSCRIPTS = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻]+")
_VULGAR_FRACTIONS = re.compile("[¼-¾⅐-⅞]")
# What looks like a minus, a degree sign or a common operator, and what is not printed at all.
_LOOKALIKES = str.maketrans({
    **dict.fromkeys("−–—‒‐‑﹣－", "-"),
    **dict.fromkeys("º˚", "°"),
    **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff", ""),
    **dict.fromkeys("‘’", "'"),
    "×": r"\times ",
    "·": r"\cdot ",
    "÷": "/",
    "⁄": "/",
    "π": r"\pi ",
    "√": r"\sqrt ",
    "∞": r"\infty ",
    "±": r"\pm ",
    "≤": r"\le ",
    "≥": r"\ge ",
    "∠": r"\angle ",
    "≈": r"\approx ",
    "∅": r"\emptyset ",
    "∪": r"\cup ",
    "…": "...",
    **{letter: rf"\{unicodedata.name(letter).split()[-1].lower()} " for letter in "αβγδεηθλρστφω"},
})  # fmt: skip
_REPEATED = re.compile(r"(\d\.\d+)\.\.\.+")  # 0.333...
_OMEGA = re.compile("[\u2126\u03a9]")

# (what, by what), in this order. A tie (~) remembers that upright text was glued to what stands
# before it: `5\text{ m}` is five metres, `5m` may be five times m.
_LATEX: tuple[tuple[re.Pattern[str], Any], ...] = tuple((re.compile(pattern), by) for pattern, by in (
    (r"(?<!\\)\\[()\[\]]", ""),
    (r"</?(?:b|i|em|strong|u|p|br|span|sup|sub)\s*/?>", ""),
    (r"\\(?:left|right)(?![a-zA-Z])(?:\.(?!\d))?", ""),
    (r"\\begin\s*\{(aligned|align\*?|gathered|split|cases)\}([\s\S]{0,2000}?)\\end\s*\{\1\}", lambda match: re.sub(r"\s*\\\\\s*", ", ", match[2].strip(" \\").replace("&", " "))),
    (r"\\begin\s*\{array\}\s*\{[^{}]*\}([^&\\]*)\\end\s*\{array\}", r"\1"),
    (r"\\[lr]brace(?![a-zA-Z])", lambda match: r"\{" if match[0][1] == "l" else r"\}"),
    (r"\\(?:[hv]space\*?|[hv]?phantom)\s*\{[^{}]*\}", ""),
    (r"\\(?:[bB]igg?[lrm]?|(?:display|text|script)style|limits|[lL]arge|LARGE|[hH]uge|small|tiny|normalsize)(?![a-zA-Z])", ""),
    (r"\\(?:text)?color\s*\{[^{}]*\}", ""),
    (r"\{,\}|,\\!\s*", ","),
    (r"\\!", ""),
    (r"(?<!\\)\\[,;: ]|\\q?quad(?![a-zA-Z])|~", " "),
    (r"\\[dtc]frac", r"\\frac"),
    (r"\\frac\s*(\d)\s*(\d)", r"\\frac{\1}{\2}"),
    (r"\^\s*(?:\\circ|\{\s*\\circ\s*\})|\\degree(?![a-zA-Z])", "°"),
    (r"\\([%$#&])", r"\1"),
    (r"\\(?:leq|geq)(?![a-zA-Z])", lambda match: match[0][:-1]),
    (r"\\varnothing(?![a-zA-Z])", r"\\emptyset"),
    (r"\\overline\s*\{\s*([A-Z]{2})\s*\}", r"\1"),
    *((rf"\\{name}(?![a-zA-Z])", sign) for name, sign in {"parallel": "∥", "perp": "⊥", "cong": "≅", "triangle": "△"}.items()),
    (r"(?<=[\w)])\*\*(?=[\d(])", "^"),
    (r"\*\*|__|`", ""),
))  # fmt: skip
_MARKUP = re.compile(r"[\\*_~`{<]")
_UPRIGHT = re.compile(
    r"\\(?:text|textbf|textit|textrm|textsf|mathrm|mathbf|mathit|mathsf|mbox|operatorname|bf|rm"
    r"|underline|bold|boldsymbol|bm|emph)\s*\{((?:[^{}]|\{[^{}]*\})*)\}"
)
_TIED_TO_NOTHING = re.compile(r"(?<=[({\[])~")
# Where one dollar sign of two is missing, that round "A" or an expression: before a number it is money.
_LONE_DOLLAR = re.compile(r"^\$(?=[A-Za-z\\])|(?<=[A-Za-z}])\$$")
_SPACES = re.compile(r"\s+")
_TRIMMED = ' \t\n\r.,;:。，；："“”'
_QUOTED = re.compile(r"'([^']+)'|\{([^{}]*)\}")


@lru_cache(maxsize=2048)
def clean(text: str) -> str:
    r"""The same text in one plain way: NFKC, a plain minus, no LaTeX for layout, no end punctuation.

    >>> clean(r"$\left(-\dfrac12\right)$.")
    '(-\\frac{1}{2})'
    >>> clean(r"30^{\circ}")
    '30°'
    """
    if not text.isascii():
        text = _in_plain_signs(text)
    text = _REPEATED.sub(r"\1\\ldots ", text)
    if _MARKUP.search(text):
        for pattern, by in _LATEX:
            text = pattern.sub(by, text)
        previous = None
        while previous != text:
            previous, text = text, _UPRIGHT.sub(r"~\1", text)
        text = _TIED_TO_NOTHING.sub("", text)
    if "$" in text:
        text = text.replace("$", "") if text.count("$") >= 2 else _LONE_DOLLAR.sub("", text.strip())
    text = _SPACES.sub(" ", text.strip().lstrip("~")).lstrip(_TRIMMED.replace(".", "")).rstrip(_TRIMMED)
    quoted = _QUOTED.fullmatch(text)
    return (quoted[1] or quoted[2] or "").strip(" ~") if quoted else text


def _in_plain_signs(text: str) -> str:
    text = _SUPERSCRIPTS.sub(lambda match: "^{" + unicodedata.normalize("NFKC", match[0]) + "}", text)
    text = _VULGAR_FRACTIONS.sub(lambda match: " " + unicodedata.normalize("NFKC", match[0]), text)
    text = _OMEGA.sub(r"\\Omega ", text)
    # Twice: NFKC makes a full-width sign an ordinary one, and would make "º" an "o".
    return unicodedata.normalize("NFKC", text.translate(_LOOKALIKES)).translate(_LOOKALIKES)


def compact(text: str) -> str:
    """The text without spaces and ties."""
    return re.sub(r"[\s~]", "", text)
