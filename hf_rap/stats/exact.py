"""What a stored number stands for: the simplest fraction that is rounded to it.

A reward of 0.1 is a tenth and a cde of 0.2 a fifth, though neither is a double. Sums and quotients are formed of these
fractions and rounded once, so that 3/5 - 2/5, 4/5 - 3/5 and 0.9 - 0.7 are the double that `0.2` is written as, and `> 0.2`
says the same wherever it is asked.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

# Two fractions with denominators up to these are never rounded to the same number of double, or of single precision.
LARGEST_IN_DOUBLE = 1_000_000
LARGEST_IN_SINGLE = 4_000


@lru_cache(maxsize=1 << 16)
def exact(value: float) -> Fraction:
    """The fraction with a denominator of up to a million that is rounded to this double; without one the double itself.

    >>> exact(0.1), exact(1 / 3)
    (Fraction(1, 10), Fraction(1, 3))
    """
    fraction = _simplest(value, LARGEST_IN_DOUBLE, float)
    return Fraction(value) if fraction is None else Fraction(*fraction)


def total(rewards: Sequence[Any]) -> int | Fraction:
    """The sum of what these numbers stand for: Python's, or the scalars of numpy and torch.

    >>> total([0.1, 0.1, 0.1]), total([1.0, 0.0, 1.0])
    (Fraction(3, 10), 2)
    """
    if all(reward in (0, 1) for reward in rewards):
        return int(sum(rewards))
    return sum((exact(as_double(reward)) for reward in rewards), Fraction(0))


def as_double(number: Any) -> float:
    """The number as Python has it. What has single precision, as rows in the formats numpy and torch, is read by `in_double`."""
    import numpy as np

    if isinstance(number, (int, float)):
        return number
    array = np.atleast_1d(np.asarray(number))
    return float(in_double(array)[0]) if array.dtype in (np.float16, np.float32) else float(array[0])


def complement(share: float) -> float:
    """The double nearest to 1 - share; `1 - 0.7` is 0.30000000000000004.

    >>> complement(0.7)
    0.3
    """
    return float(1 - exact(share))


def in_double(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Numbers of single precision as the doubles that they stand for; NaN stays.

    The float32 nearest to 1/3 becomes the double nearest to it. A number that no fraction with a denominator of up to
    4,000 is rounded to is read as its shortest decimal.
    """
    import numpy as np

    distinct, places = np.unique(values, return_inverse=True)
    single = distinct.dtype.type
    numbers = distinct.astype(str).astype(np.float64)
    for place in np.flatnonzero(np.isfinite(distinct)):
        fraction = _simplest(float(distinct[place]), LARGEST_IN_SINGLE, single)
        if fraction is not None:
            numbers[place] = fraction[0] / fraction[1]
    doubles: NDArray[np.float64] = numbers[places]
    return doubles


def _simplest(value: float, largest: int, rounded: Callable[[float], float]) -> tuple[int, int] | None:
    """The first convergent of the value's continued fraction that is rounded to it, or None where denominators get too large."""
    above, below = value.as_integer_ratio()
    before, last = (0, 1), (1, 0)
    while below:
        whole, rest = divmod(above, below)
        before, last = last, (before[0] + whole * last[0], before[1] + whole * last[1])
        if last[1] > largest:
            return None
        if rounded(last[0] / last[1]) == value:
            return last
        above, below = below, rest
    return None
