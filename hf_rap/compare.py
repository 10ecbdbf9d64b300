"""Several selection methods on the same rows: how large, how alike, and what their rows are like."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from .columns import CDE, DIFFICULTY
from .errors import SettingError
from .select import METHODS, NEED_BUDGET, Selection, select_cognitive

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Compared:
    """One method: rows kept, and the means of their known scores; None where none is known."""

    method: str
    rows: int
    mean_difficulty: float | None
    mean_cde: float | None


@dataclass(frozen=True)
class Comparison:
    """What `compare_methods` found.

    Attributes:
        rows: of the dataset.
        selections: one per method, in the order that was asked for.
        jaccard: rows in both selections by rows in either, for each pair; None where both are empty.

    """

    rows: int
    selections: tuple[Compared, ...]
    jaccard: tuple[tuple[float | None, ...], ...]

    def as_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return asdict(self)


def compare_methods(ds: Any, methods: Sequence[str], *, budget: int | None = None, seed: int = 0) -> Comparison:
    """The selections of these methods, each as published, side by side.

    Args:
        ds: a `Dataset` with the columns that the methods read.
        methods: names in `hf_rap.select.METHODS`, no name twice.
        budget: rows for the methods that need a number (random, hardest, longest); None takes the size of the first
            selection that needs none and has rows, so that those are controls of the same size.
        seed: of draws and ties.

    Raises:
        SettingError: a method is unknown or named twice, or no size is known for one that needs it.
        MissingColumnError: a method reads a column that is not there.

    """
    unknown = [method for method in methods if method not in METHODS]
    if unknown or not methods or len(set(methods)) < len(methods):
        raise SettingError(f"methods is {list(methods)}: it takes some of {', '.join(METHODS)}, each once.")
    selections: dict[str, Selection] = {}
    for method in sorted(methods, key=lambda name: name in NEED_BUDGET):
        options: dict[str, Any] = {}
        if method in NEED_BUDGET:
            size = budget if budget is not None else _size(selections, method)
            options = {"budget": size}
        if method in ("rap", *NEED_BUDGET):
            options["seed"] = seed
        selections[method] = select_cognitive(ds, method=method, **options)
    kept = {method: set(selection.kept_rows.tolist()) for method, selection in selections.items()}
    return Comparison(
        rows=len(ds),
        selections=tuple(_compared(method, selections[method]) for method in methods),
        jaccard=tuple(tuple(_jaccard(kept[one], kept[other]) for other in methods) for one in methods),
    )


def _size(selections: dict[str, Selection], method: str) -> int:
    size = next((size for selection in selections.values() if (size := len(selection.kept_rows))), 0)
    if not size:
        raise SettingError(
            f"Method {method!r} needs a budget: there is no other selection with rows to be as large as."
        )
    return size


def _compared(method: str, selection: Selection) -> Compared:
    return Compared(
        method=method,
        rows=len(selection.kept_rows),
        mean_difficulty=_mean(selection, DIFFICULTY.name),
        mean_cde=_mean(selection, CDE.name),
    )


def _mean(selection: Selection, column: str) -> float | None:
    import numpy as np

    if column not in selection.scored.column_names:
        return None
    # All rows, then those that are kept: `selected` would copy images into a new table.
    values = selection.scored.select_columns([column]).with_format("arrow")[:][column].to_numpy()[selection.kept_rows]
    known = values[~np.isnan(values.astype(np.float64))].astype(np.float64)
    return round(float(known.mean()), 6) if known.size else None


def _jaccard(one: set[int], other: set[int]) -> float | None:
    either = len(one | other)
    return round(len(one & other) / either, 6) if either else None
