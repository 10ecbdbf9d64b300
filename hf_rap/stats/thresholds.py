"""A threshold as it is asked for: a number, or a share of the rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hf_rap.errors import SettingError
from hf_rap.options import check, check_number, is_number, is_whole, limits

from .exact import as_double, exact

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Ours, by the tables of docs/measurements/floors.md: one right reply out of five is a guess as often as not.
MIN_REPLACEMENT_CDE = 0.2
AS_MANY = "as many"  # replacements as rows that leave


@dataclass(frozen=True)
class Quantile:
    """A threshold given as a share of rows: the smallest score that at least a share q of the scores does not exceed.

    Args:
        q: in [0, 1].

    Examples:
        >>> str(Quantile(0.9))
        'q0.9'

    """

    q: float

    def __post_init__(self) -> None:
        check_number("q", self.q, least=0, most=1)

    def __str__(self) -> str:
        return f"q{self.q!r}"

    def of(self, scores: NDArray[np.float64]) -> float:
        """The threshold among these scores; NaN is unknown and does not count."""
        import numpy as np

        numbers = scores[~np.isnan(scores)]
        if not numbers.size:
            raise SettingError(f"The quantile {self} is not defined: no row has a score.")
        # "inverted_cdf" gives a score that occurs, so comparing with it is exact.
        return float(np.quantile(numbers, self.q, method="inverted_cdf"))


def threshold(name: str, value: float | Quantile | str, low: float, high: float) -> float | Quantile:
    """What was asked for as a number in [low, high] or as a `Quantile`.

    Examples:
        >>> threshold("min_cde", "q0.9", -1, 1)
        Quantile(q=0.9)

    """
    if isinstance(value, Quantile):
        return value
    try:
        if isinstance(value, str) and value.startswith("q"):
            return Quantile(float(value[1:]))
        number = math.nan if isinstance(value, bool) else float(as_double(value))
    except (TypeError, ValueError):
        number = math.nan
    within = limits(low, most=high if high < math.inf else None)
    fine = low <= number <= high and math.isfinite(number)
    check(fine, name, value, f"a number{within}, or a quantile such as 'q0.9'")
    return number


def check_band(low: float, high: float) -> None:
    """Raise `SettingError` for anything but pass rates with 0 <= low <= high <= 1."""
    check_number("low", low, least=0, most=1)
    check_number("high", high, least=0, most=1)
    check(low <= high, "low", low, f"a pass rate of at most high={high!r}")


def check_share(name: str, share: float | None) -> None:
    """Raise `SettingError` for anything but a share between 0 and 1, or None: a certainty, not a percentage."""
    check_number(name, share, above=0, below=1, none=True)


def check_replacements(replacements: float | str) -> None:
    """Raise `SettingError` for anything but a number of rows, a share of those that leave, or "as many"."""
    fine = (
        replacements == AS_MANY
        if isinstance(replacements, str)
        else (replacements >= 0 if is_whole(replacements) else is_number(replacements) and 0 < replacements <= 1)
    )
    takes = f"a number of rows (0, 1, ...), a share of those that leave (above 0.0, up to 1.0), or {AS_MANY!r}"
    check(fine, "replacements", replacements, takes)


def check_replacing(replace_easy: bool, min_replacement_cde: float | None, replacements: float | str) -> None:
    """Raise `SettingError` for options of replacements where nothing is replaced."""
    if replace_easy:
        return
    if min_replacement_cde not in (None, MIN_REPLACEMENT_CDE):
        raise SettingError("min_replacement_cde is for the replacements that replace_easy=True brings in.")
    if replacements != AS_MANY:
        raise SettingError("replacements says how many rows replace_easy=True brings in.")


def rows_replacing(replacements: float | str, leaving: int) -> int:
    """At most how many rows come in where so many leave.

    Examples:
        >>> rows_replacing("as many", 7), rows_replacing(0.5, 7), rows_replacing(3, 7)
        (7, 3, 3)

    """
    if isinstance(replacements, str):
        return leaving
    return int(replacements) if is_whole(replacements) else int(exact(as_double(replacements)) * leaving)
