"""Mathematics that is more than a number, compared by math-verify."""

from __future__ import annotations

import logging
import re
import threading
from dataclasses import replace
from functools import lru_cache
from typing import Any

from hf_rap.errors import warnings_stay_warnings

from .quantities import split_unit
from .readings import compact, is_words

logger = logging.getLogger(__name__)

TIMED_OUT = "verifier timed out"
TOO_EXPENSIVE = "too expensive to check"
VERIFIER_FAILED = "verifier failed"

# Longer mathematics is refused as a gold answer and WRONG as a reply.
MAX_MATH_CHARS = 300
_GOLD_SECONDS = 5

_LIST_WORDS = re.compile(r"\s*,?\s*\b(?:or|and)\b\s*")
# Towers of powers, large factorials and binomials: sympy may try to write out all their digits.
_EXPENSIVE = re.compile(
    r"\^[^,]{0,20}\^|\^\s*\{?\s*[+-]?\d{4,}|\d{4,}\s*[})]*\s*!|!\s*!|\\binom|\{{12}|\({12}|\\(?:sum|prod|int)\b"
)


class NotJudgedError(Exception):
    """The comparison came to no result; the text is the reason."""


def is_readable_math(text: str) -> bool:
    """math-verify can parse it and finds it equal to itself (1/0 is not)."""
    if len(text) > MAX_MATH_CHARS or text.count("{") != text.count("}"):
        return False
    try:
        return math_equal(text, text, _GOLD_SECONDS)
    except NotJudgedError:
        return False


def same_math(gold: str, answer: str, timeout_seconds: int) -> bool:
    """Equal as it stands, or to math-verify, with the same unit or one left out."""
    if compact(gold) == compact(answer):
        return True
    gold, gold_unit = split_unit(gold)
    answer, unit = split_unit(answer)
    if gold_unit and unit and gold_unit != unit:
        return False
    if len(answer) > MAX_MATH_CHARS or is_words(answer):
        return False
    return math_equal(gold, answer, timeout_seconds)


@lru_cache(maxsize=8192)
@warnings_stay_warnings()
def math_equal(gold: str, answer: str, timeout_seconds: int) -> bool:
    r"""What math-verify says; the attempts on one row often give the same answer, hence the cache.

    Source: math-verify 0.9.0, `parse` and `verify`. Differs: it gets only the answer, not the reply
    (it would take "3" out of "3.14 or 3"); units are ours (it reads "8m" as 8); and its `False` for
    a time-out or a crash is an error here.
    """
    import math_verify
    from math_verify.errors import TimeoutException

    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread and (_EXPENSIVE.search(gold) or _EXPENSIVE.search(answer)):
        raise NotJudgedError(TOO_EXPENSIVE)
    seconds = timeout_seconds if in_main_thread else None
    try:
        parsed_gold, parsed = _parse(gold, seconds), _parse(answer, seconds)
        return bool(parsed) and math_verify.verify(parsed_gold, parsed, timeout_seconds=seconds, raise_on_error=True)
    except TimeoutException as error:
        raise NotJudgedError(TIMED_OUT) from error
    except Exception as error:  # sympy raises whatever comes up inside it, on input nobody foresaw
        logger.debug("math-verify failed on %r and %r", gold, answer, exc_info=True)
        raise NotJudgedError(f"{VERIFIER_FAILED}: {type(error).__name__}") from error


@lru_cache(maxsize=4096)
def _parse(text: str, seconds: int | None) -> list[Any]:
    import math_verify

    text = _LIST_WORDS.sub(", ", text.replace("$", "").replace("~", " ").replace("°", r"^\circ "))
    latex = math_verify.LatexExtractionConfig()
    latex = replace(latex, normalization_config=replace(latex.normalization_config, units=False))
    parsed: list[Any] = math_verify.parse(
        f"${text}$",
        extraction_config=[latex],
        fallback_mode="no_fallback",
        parsing_timeout=seconds,
        raise_on_error=True,
    )
    return parsed


def is_parsed_by_math_verify(text: str) -> bool:
    """math-verify finds anything in a text, called as TRL's and ms-swift's own rewards call it."""
    import math_verify

    in_main_thread = threading.current_thread() is threading.main_thread()
    return bool(math_verify.parse(text, parsing_timeout=_GOLD_SECONDS if in_main_thread else None))
