"""Answers that are no mathematics: yes and no, words, and times of the day."""

from __future__ import annotations

import re

from .quantities import read_quantity
from .writing import compact

_LINKED = r"(?:$|[,.;:!。，]|\s+-\s|\s+(?:it|they|he|she|this|that|there|we|the|because|since)\b)"
_YES_NO = re.compile(
    r"(?:(?:so|thus|hence|therefore|then|actually|(?:based on|according to|looking at|from|in)\b[^,.]{1,60},)[,:]?\s*)*"
    rf"(?:(?P<yes>yes|yeah|true|right|correct)|(?P<no>no|nope|false|wrong|incorrect)){_LINKED}(?!\W*(?:yes|no|true|false)\W*$)"
    r"|(?P<ja>是的?|对|正确)(?:$|[,.。，!])|(?P<nein>不是|否|不对?|错误?)(?:$|[,.。，!的])",
    re.IGNORECASE,
)
_YES_NO_AT_END = re.compile(r"\b(?:is|are|be|answer|so,?)\s+(?:(yes|true)|(no|false))\W*$", re.IGNORECASE)
_WORD_CHARS = re.compile(r"[\w\s.,;:'\u2019\"!?&()%°#@~$/∥⊥≅△-]*")
_WORD = re.compile(r"(?<![^\W_])[^\W\d_]{2,}|[\u3040-\u9fff\uac00-\ud7a3]+")
_FUNCTIONS = frozenset({"sin", "cos", "tan", "cot", "sec", "csc", "log", "ln", "exp", "sqrt", "pi", "max", "min", "gcd", "lcm", "or", "and"})  # fmt: skip
# What is a product of variables rather than a word: ab and ba are equal.
_PRODUCT = re.compile(r"[abc]{2,3}|[xyzw]{2,4}|[mnpqk]{2,3}|[uvw]{2,3}")
_FORMULA = re.compile(r"(?=.*\d)(?:[A-Z][a-z]?(?:_?\{?\d+\}?)?){2,}")  # H_2O
_SUBSCRIPT = re.compile(r"_?\{(\w*)\}|_")
_PUNCTUATION = re.compile(r"(?<!\d)[.,:/-]|[.,:/-](?!\d)|[^\w\s.,:/∥⊥≅△-]")
_AND = re.compile(r",?\s+and\s+")
_TIME = re.compile(r"(\d{1,2})(?:[:：](\d{2}))?(?::\d{2})?\s*(?:([ap])\.?\s?m\.?|o'?clock)?", re.IGNORECASE)
_PAST = re.compile(r"(half past|quarter past|quarter to)\s+(\w+)", re.IGNORECASE)


def read_yes_no(text: str, *, at_end: bool = False) -> str:
    """The word "yes" or "no" when the text opens with one of them or with true or false, otherwise "".

    `at_end` takes "The statement is false." as well.
    """
    text = text.replace("~", " ").strip()
    if match := _YES_NO.match(text):
        return "yes" if match["yes"] or match["ja"] else "no"
    if at_end and (match := _YES_NO_AT_END.search(text)):
        return "yes" if match[1] else "no"
    return ""


def is_words(text: str) -> bool:
    """It has a word and no sign of mathematics: "red cube", "H_2O", "x", but not "2x", "ab" or "sin x"."""
    if _FORMULA.fullmatch(text):
        return True
    if not _WORD_CHARS.fullmatch(text) or _PRODUCT.fullmatch(text):
        return False
    words = _WORD.findall(text)
    return len(text) == 1 or any(word.casefold() not in _FUNCTIONS for word in words)


def is_sentence(text: str, least: int = 2) -> bool:
    """It has words between its mathematics."""
    words = re.findall(r"(?<![A-Za-z])[A-Za-z][a-z]{2,}(?![A-Za-z])|[\u4e00-\u9fff]", re.sub(r"\\[A-Za-z]+", " ", text))
    return sum(word.lower() not in _FUNCTIONS for word in words) >= least


def plain(text: str) -> str:
    """Words without case, articles, punctuation and spaces. "Vitamin A" keeps its A."""
    text = text.casefold().replace("&", " and ")
    if "_" in text or "{" in text:
        text = _SUBSCRIPT.sub(r"\1", text)
    text = _PUNCTUATION.sub(" ", text)
    words = text.split()
    kept = [word for word in words[:-1] if word not in {"a", "an", "the"}] + words[-1:]
    return "".join(kept)


def same_words(answer: str, gold: str) -> bool:
    """Equal as words, "left and right" in any order; what has no letter or digit ("<") only as it stands."""
    words = plain(gold)
    if not words:
        return compact(answer) == compact(gold)
    if plain(answer) == words:
        return True
    return " and " in gold and sorted(map(plain, _AND.split(answer))) == sorted(map(plain, _AND.split(gold)))


def read_time(text: str) -> tuple[int, bool] | None:
    """Minutes since midnight, and whether the half of the day is known: "2:45 PM", "14:45", "half past ten".

    >>> read_time("2:45 pm"), read_time("2:45"), read_time("2")
    ((885, True), (165, False), None)
    """
    if match := _PAST.fullmatch(text):
        hours = read_quantity(match[2])
        shift = {"half past": 30, "quarter past": 15, "quarter to": -15}[match[1].casefold()]
        return (int(hours.value * 60 + shift) % 720, False) if hours and not hours.unit and hours.value <= 12 else None
    match = _TIME.fullmatch(text)
    if match is None or not (match[2] or match[3] or text.casefold().endswith("clock")):
        return None
    hour, minute, half = int(match[1]), int(match[2] or 0), (match[3] or "").casefold()
    if hour > (12 if half else 24) or minute > 59:
        return None
    if half:
        hour = hour % 12 + (12 if half == "p" else 0)
    return hour * 60 + minute, bool(half) or hour > 12 or match[1].startswith("0")


def same_time(answer: str, gold: str) -> bool:
    """The same time of the day, where a missing AM or PM agrees with both."""
    time, gold_time = read_time(answer), read_time(gold)
    if time is None or gold_time is None:
        return False
    return (time[0] - gold_time[0]) % (1440 if time[1] and gold_time[1] else 720) == 0
