"""The child process in which math-verify compares: `python -m hf_rap.verify.comparer`.

It reads a request a line, ["equal", gold, answer] or ["parses", text], and writes an answer a line:
true, false, or the reason why there is none. A request that takes more than `CPU_SECONDS` of this
process' own time ends the process by SIGPROF, even in the middle of one multiplication.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import signal
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

from .quantities import RELATIVE_ROUNDING, ROUNDING, terminates

# Of processor time, so that a verdict is the same on a busy machine. Ordinary pairs take 1 to 50 ms.
CPU_SECONDS = 2
# Of address space; math-verify and sympy take 60 MB of it.
MEMORY_BYTES = 200 * 2**20
# A process that has grown past this makes way for a new one, so that all find as much memory.
RETIRE_BYTES = 130 * 2**20

TOO_LARGE = "too_large_to_compare"
NOT_EVALUATED = "cannot_be_evaluated"
NO_MATH_VERIFY = "no_math_verify"

# Larger numbers, and powers of sums with more terms, are not compared.
MAX_DIGITS = 10_000
# Digits to which exact numbers are compared.
DIGITS = 50

_LIST_WORDS = re.compile(r"\s*,?\s*(?:\b(?:or|and)\b|\\(?:lor|land|vee|wedge)(?![a-zA-Z]))\s*")
_DEGREES = re.compile(r"(\\(?:sin|cos|tan|cot|sec|csc))\s*[({]?\s*(\d+(?:\.\d+)?)\s*°\s*[)}]?")
_SET_BUILDER = re.compile(r"\s*\\\{\s*([a-z])\s*(?:\\mid|\\vert|\||:)\s*(.+)\\\}\s*")
_NESTED = re.compile(r"\(\s*\(([^()]*)\)\s*\)")
_PRODUCT = re.compile(r"\)\s*\(")


def main() -> None:
    """Answer requests until the pipe is closed."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nothing that a library prints gets between the answers
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that judges
    logging.disable(logging.CRITICAL)
    try:
        prepare()
        answer: Any = "ready"
    except ImportError as error:
        answer = f"{NO_MATH_VERIFY}: {error}"
    _limit_memory()
    print(json.dumps(answer), file=answers, flush=True)
    for line in sys.stdin:
        _start_clock(CPU_SECONDS)
        answer = answer_to(json.loads(line))
        _start_clock(0)
        print(json.dumps(answer), file=answers, flush=True)
        if _memory_bytes() > RETIRE_BYTES:
            break


def answer_to(request: list[str]) -> bool | str:
    """The answer to one request."""
    from sympy.core.random import seed

    seed(0)  # sympy tests some equalities at random points
    kind, *texts = request
    try:
        return parses(*texts) if kind == "parses" else equal(*texts)
    except (MemoryError, RecursionError, OverflowError):
        return TOO_LARGE
    except Exception as error:  # noqa: BLE001 - sympy raises whatever comes up inside it
        return TOO_LARGE if "integer string conversion" in str(error) else NOT_EVALUATED


def parses(text: str) -> bool:
    """math-verify finds anything in a text, called as TRL's and ms-swift's own rewards call it."""
    import math_verify

    return bool(math_verify.parse(text, parsing_timeout=None))


def equal(gold: str, answer: str) -> bool:
    r"""Two cleaned texts are the same mathematics.

    Source: math-verify 0.9.0. Differs: numbers are compared here, exactly or to a relative error (it
    rounds both to six decimals, so that all tiny numbers are equal), also inside tuples, sets and matrices.
    """
    golds, answers = parse(gold), parse(answer)
    if golds != answers and (is_too_large(golds) or is_too_large(answers)):
        raise OverflowError
    return _equal(_exact(golds), _exact(answers), rounded=_has_decimal(golds) or _has_decimal(answers))


@lru_cache(maxsize=256)
def parse(text: str) -> Any:
    """The sympy object, as latex2sympy builds it: nothing is computed yet."""
    from latex2sympy2_extended import NormalizationConfig, normalize_latex
    from math_verify.parser import parse_latex_cached

    text = _LIST_WORDS.sub(", ", text.replace("$", "").replace("~", " "))
    text = _SET_BUILDER.sub(r"\2", text)
    while text != (text := _NESTED.sub(r"(\1)", text)):
        pass  # the grammar takes twice as long for every pair of parentheses
    text = _PRODUCT.sub(r")\\cdot (", _DEGREES.sub(r"\1(\\frac{\2\\pi}{180})", text)).replace("°", r"^\circ ")
    config = NormalizationConfig(
        basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="none", equations=False
    )
    return parse_latex_cached(normalize_latex(text, config))


def is_too_large(side: Any) -> bool:
    """Some number in it has more than `MAX_DIGITS` digits, or some power more terms."""
    return hasattr(side, "args") and (_digits(side) > MAX_DIGITS or any(map(is_too_large, side.args)))


def _digits(node: Any) -> float:
    """About how many digits a number has before its point; of a power of a sum also how many terms."""
    from sympy import Add, Integer, Mul, Pow, binomial, exp, factorial

    if isinstance(node, Integer):
        return math.log10(max(1, abs(node.p)))
    inner = [_digits(part) for part in node.args] or [0.0]
    power = 10 ** min(inner[-1], 9)
    if isinstance(node, Pow):
        terms = len(node.base.args) if isinstance(node.base, Add) and node.exp.is_Integer else 1
        return max(inner[0] * power, math.comb(int(power) + terms - 1, terms - 1) if terms > 1 else 0)
    if isinstance(node, (factorial, exp)):
        return power * max(1, inner[0])
    if isinstance(node, binomial):
        return 10 ** min(inner[0], 9)
    return sum(inner) if isinstance(node, Mul) else max(inner)


def _equal(gold: Any, answer: Any, *, rounded: bool) -> bool:  # noqa: PLR0911 - a line for each kind of object
    from sympy import Eq, Expr, FiniteSet, Interval, MatrixBase, Tuple, expand

    gold, answer = _complex(gold), _complex(answer)

    if isinstance(gold, Expr) and isinstance(answer, Expr) and not (gold.free_symbols or answer.free_symbols):
        return _same_number(gold, answer, rounded=rounded)
    if isinstance(gold, MatrixBase) and isinstance(answer, MatrixBase):
        return gold.shape == answer.shape and _all_equal(gold.flat(), answer.flat(), rounded=rounded)
    if isinstance(gold, Interval) and isinstance(answer, Interval):
        ends = (gold.left_open, gold.right_open) == (answer.left_open, answer.right_open)
        return bool(ends) and _all_equal((gold.start, gold.end), (answer.start, answer.end), rounded=rounded)
    if isinstance(gold, FiniteSet) and isinstance(answer, FiniteSet):
        return _same_set(gold.args, answer.args, rounded=rounded)
    if isinstance(gold, Expr) and isinstance(answer, Expr):
        if _differ_somewhere(gold, answer):
            return False
        if expand(gold - answer) == 0:  # twenty times as fast as math-verify's simplify
            return True
    pair = [_elements(side) for side in (gold, answer)]
    if pair[0] and pair[1] and Tuple in (type(gold), type(answer)):
        return _all_equal(*pair, rounded=rounded)
    if isinstance(gold, Eq) and getattr(answer, "free_symbols", gold.free_symbols) != gold.free_symbols:
        return False  # its solutions under other names
    return _same_to_math_verify(_union(gold), _union(answer))


def _elements(side: Any) -> tuple[Any, ...]:
    """Of a tuple, of two values in a set, and of what may be a pair or an open interval."""
    from latex2sympy2_extended.sets import FiniteSet
    from sympy import Interval, Tuple

    from .compat import as_written

    if isinstance(side, Interval):
        return (side.start, side.end) if side.is_open else ()
    return as_written(side) if isinstance(side, FiniteSet) else side.args if isinstance(side, Tuple) else ()


def _all_equal(golds: Any, answers: Any, *, rounded: bool) -> bool:
    golds, answers = list(golds), list(answers)
    return len(golds) == len(answers) and all(
        _equal(*pair, rounded=rounded) for pair in zip(golds, answers, strict=True)
    )


def _same_set(golds: Any, answers: Any, *, rounded: bool) -> bool:
    left = list(answers)
    for gold in golds:
        match = next((place for place, answer in enumerate(left) if _equal(gold, answer, rounded=rounded)), None)
        if match is None:
            return False
        del left[match]
    return not left


def _same_number(gold: Any, answer: Any, *, rounded: bool) -> bool:
    from sympy import nan, oo, simplify, zoo

    # doit: percentages, factorials and the like are not computed before
    gold, answer = gold.doit(), answer.doit()
    if {gold, answer} & {nan, zoo}:
        raise ZeroDivisionError
    if gold == answer:
        return True
    if {gold, answer} & {oo, -oo}:
        return False
    exact, stated = gold.evalf(DIGITS), answer.evalf(DIGITS)
    gap, size = abs(exact - stated), max(abs(exact), abs(stated))
    if rounded and not all(number.is_Rational and terminates(int(number.q)) for number in (gold, answer)):
        return bool(gap <= min(ROUNDING, RELATIVE_ROUNDING * abs(exact)))
    tolerance = 10.0 ** -(DIGITS - 10)
    return bool(gap <= tolerance * size) or bool(gap < tolerance and simplify(gold - answer) == 0)


def _same_to_math_verify(gold: Any, answer: Any) -> bool:
    from math_verify import verify

    return bool(verify(gold, answer, allow_set_relation_comp=True, timeout_seconds=None, raise_on_error=True))


def _union(side: Any) -> Any:
    """The set of both where latex2sympy reads "x < 2 or x > 3" as two elements."""
    from sympy import Eq, FiniteSet, Union
    from sympy.core.relational import Relational

    if isinstance(side, FiniteSet) and side.args:
        relations = all(isinstance(part, Relational) and not isinstance(part, Eq) for part in side.args)
        if relations and len(side.free_symbols) == 1:
            return Union(*(part.as_set() for part in side.args))
    return side


def _complex(side: Any) -> Any:
    """With the imaginary unit, which latex2sympy reads as a symbol."""
    from sympy import I

    unit = next((symbol for symbol in getattr(side, "free_symbols", ()) if symbol.name == "i"), None)
    return side if unit is None else side.subs(unit, I)


def _differ_somewhere(gold: Any, answer: Any) -> bool:
    """Their values differ at some points, which shows faster than by algebra that they are not equal."""
    from sympy import Float

    symbols = sorted(gold.free_symbols | answer.free_symbols, key=str)
    if gold.is_Symbol or answer.is_Symbol or not gold.is_commutative or not answer.is_commutative:
        return False
    for shift in (3, 8):
        point = {symbol: Float((shift + 2 * place) / (7 + place), 20) for place, symbol in enumerate(symbols)}
        value, stated = gold.subs(point).evalf(20), answer.subs(point).evalf(20)
        if value.is_Number and stated.is_Number and value.is_finite and stated.is_finite:
            gap = abs(value - stated)
            if gap > 1e-6 * (1 + abs(value)):
                return True
    return False


def _exact(side: Any) -> Any:
    """Decimals as the fractions that they are."""
    from sympy import Float, Rational

    return (
        side.xreplace({number: Rational(str(number)) for number in side.atoms(Float)}) if _has_decimal(side) else side
    )


def _has_decimal(side: Any) -> bool:
    from sympy import Float

    return bool(side.atoms(Float)) if hasattr(side, "atoms") else False


def prepare() -> None:
    """Load math-verify, which takes 0.3 s."""
    import math_verify  # noqa: F401

    from .compat import parse_in_two_stages

    parse_in_two_stages()


def _start_clock(seconds: float) -> None:
    """Limit the processor time from here; 0 takes the limit away. Windows has only ordinary time."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)
        return
    import faulthandler

    if seconds:
        faulthandler.dump_traceback_later(5 * seconds, exit=True)
    else:
        faulthandler.cancel_dump_traceback_later()


def _limit_memory() -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, resource.getrlimit(resource.RLIMIT_AS)[1]))
    except (ImportError, ValueError, OSError):
        pass  # Windows has no limits, macOS refuses this one


def _memory_bytes() -> int:
    """Held now; 0 where the system does not tell. (`ru_maxrss` of a new process begins with that of its parent.)"""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


if __name__ == "__main__":
    main()
