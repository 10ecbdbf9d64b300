"""A selection at several values of one threshold: whether it decides anything, and whether a band or chance would do the same."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from hf_rap.columns import ACE, require
from hf_rap.errors import SettingError
from hf_rap.options import check, check_choice, is_number

from .base import rows_to_select
from .baselines import select_random
from .cognitive import select_cognitive
from .difficulty import select_difficulty

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .base import Selection
    from .method import Method

SWEPT = ("min_cde", "max_ace", "min_replacement_cde", "min_probability")
MOST_VALUES = 200


@dataclass(frozen=True)
class SweepPoint:
    """The selection at one value.

    Attributes:
        value: of the threshold.
        rows: that are kept.
        came_in: of them, those that an earlier step had dropped: replacements, and rows that fill a budget; a share,
            None where nothing is kept.
        band: overlap with the published band of pass rates (`select_difficulty`), rows in both by rows in either; None
            where both are empty.
        random: the same with as many rows drawn at random.

    """

    value: float
    rows: int
    came_in: float | None
    band: float | None
    random: float | None


@dataclass(frozen=True)
class Sweep:
    """What `sweep` found.

    Attributes:
        option: the threshold.
        method: that decided.
        rows: of the dataset.
        points: one for each value, in the order that was asked for.

    """

    option: str
    method: str
    rows: int
    points: tuple[SweepPoint, ...]

    def as_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return asdict(self)


def sweep(
    ds: Any,
    option: str,
    values: Sequence[float],
    *,
    method: str | Method = "rap",
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Sweep:
    """The selections of one method at these values of a threshold, all else being the same.

    Args:
        ds: a `Dataset` with the scores that the method reads, and `rap_difficulty` for the band.
        option: one of `SWEPT`.
        values: of the threshold, at least one.
        method: as in `select_cognitive`.
        options: others of `select_cognitive`, by name.
        seed: of ties and of the random rows.

    Raises:
        SettingError: the option is no threshold of this method, or a value is out of its range.
        MissingColumnError: a column is absent.

    >>> from datasets import Dataset
    >>> scores = {"rap_cde": [0.8, 0.4, 0.2, 0.6], "rap_difficulty": [0.2, 0.4, 0.4, 0.0]}
    >>> [point.rows for point in sweep(Dataset.from_dict(scores), "min_cde", (0, 0.5, 0.9)).points]
    [3, 2, 0]
    """
    ds = rows_to_select("sweep", ds)
    check_choice("option", option, SWEPT)
    numbers = isinstance(values, (list, tuple)) and 0 < len(values) <= MOST_VALUES and all(map(is_number, values))
    check(numbers, "values", values, f"1 to {MOST_VALUES} numbers, such as (0, 0.2, 0.4)")
    require("sweep", ds.column_names, (ACE,) if option == "max_ace" else ())
    band = set(select_difficulty(ds).kept_rows.tolist())
    points = []
    name = ""
    for value in values:
        selection = select_cognitive(ds, method=method, seed=seed, **{**(options or {}), option: value})
        name = selection.rule["method"]
        points.append(_point(ds, float(value), selection, band, seed))
    return Sweep(option, name, len(ds), tuple(points))


def _point(ds: Any, value: float, selection: Selection, band: set[int], seed: int) -> SweepPoint:
    kept = set(selection.kept_rows.tolist())
    drawn = set(select_random(ds, budget=len(kept), seed=seed).kept_rows.tolist()) if kept else set()
    came_in = selection.funnel[-1].came_in
    return SweepPoint(
        value=value,
        rows=len(kept),
        came_in=round(came_in / len(kept), 6) if kept else None,
        band=overlap(kept, band),
        random=overlap(kept, drawn),
    )


def overlap(first: set[int], second: set[int]) -> float | None:
    """Jaccard: rows in both by rows in either; None where both are empty."""
    either = len(first | second)
    return round(len(first & second) / either, 6) if either else None


def parse_sweep(text: str) -> tuple[str, list[float]]:
    """Option and values as the command line has them: "min_cde=0:0.8:0.2" with both ends, or "max_ace=0.1,0.2,0.5".

    >>> parse_sweep("min_cde=0:0.8:0.2")
    ('min_cde', [0.0, 0.2, 0.4, 0.6, 0.8])

    Raises:
        SettingError: it is of neither form, or has more than `MOST_VALUES` values.
    """
    option, equals, given = text.partition("=")
    try:
        if ":" not in given:
            values = [float(word) for word in given.split(",")]
        else:
            start, stop, step = map(Fraction, given.split(":"))
            values = [float(start + step * place) for place in range(min((stop - start) // step, MOST_VALUES) + 1)]
    except (ValueError, ZeroDivisionError):
        values = []
    if not (equals and values and len(values) <= MOST_VALUES):
        raise SettingError(
            f"A sweep is an option with a range or with values (min_cde=0:0.8:0.2, max_ace=0.1,0.5), at most {MOST_VALUES} "
            f"of them, got {text!r}."
        )
    return option.replace("-", "_"), values
