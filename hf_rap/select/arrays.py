"""What the selection methods share: columns as arrays, budgets and seeded orders."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from hf_rap.columns import ERROR
from hf_rap.errors import SettingError, codes_of
from hf_rap.options import check, is_number, is_whole
from hf_rap.stats.arrays import arrow_columns
from hf_rap.stats.counts import Counts, cde_of, difficulty_of
from hf_rap.stats.exact import exact
from hf_rap.stats.thresholds import Quantile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    # Rows, a share of them, or rows for each value of a column.
    Budget = float | Mapping[str, int]


def ranked(rows: NDArray[np.bool_], *keys: Any) -> NDArray[np.int64]:
    """Positions of the flagged rows by the keys, smallest first; the first key counts most, None not at all."""
    import numpy as np

    positions = np.flatnonzero(rows)
    present = [key[positions] for key in reversed(keys) if key is not None]
    return positions[np.lexsort(present)]


def first_within(
    rows: NDArray[np.bool_],
    budget: int,
    strata: NDArray[np.int64] | None,
    *keys: Any,
) -> NDArray[np.bool_]:
    """The first `budget` of the flagged rows, ranked by the keys inside their stratum; there must be as many."""
    import numpy as np

    if strata is None:
        strata = np.zeros(len(rows), dtype=np.int64)
    return first_of_each(rows, strata, shares_of(np.bincount(strata[rows], minlength=1), budget), *keys)


def first_of_each(
    rows: NDArray[np.bool_], strata: NDArray[np.int64], quotas: NDArray[np.int64], *keys: Any
) -> NDArray[np.bool_]:
    """Of the flagged rows of each stratum the first by the keys, as many as its quota says."""
    import numpy as np

    sizes = np.bincount(strata[rows], minlength=len(quotas))
    positions = ranked(rows, strata, *keys)
    stratum = strata[positions]
    place = np.arange(len(positions)) - (np.cumsum(sizes) - sizes)[stratum]
    chosen = np.zeros(len(rows), dtype=bool)
    chosen[positions[place < quotas[stratum]]] = True
    return chosen


def shares_of(sizes: NDArray[np.int64], budget: int) -> NDArray[np.int64]:
    """The budget in proportion to the sizes by largest remainders; no share exceeds its size."""
    import numpy as np

    shares, remainders = np.divmod(sizes * budget, sizes.sum())
    largest = np.argsort(-remainders, kind="stable")[: budget - shares.sum()]
    shares[largest] += 1
    return shares


def quotas_of(sizes: NDArray[np.int64], *, ratio: float | None, count: int | None) -> NDArray[np.int64]:
    """Rows to keep of groups with `sizes` rows, shape (n_groups,); a group without rows gets none.

    >>> import numpy as np
    >>> quotas_of(np.array([100, 5, 0]), ratio=0.29, count=None).tolist()
    [29, 1, 0]
    >>> quotas_of(np.array([100, 5, 0]), ratio=None, count=10).tolist()
    [9, 1, 0]
    """
    import numpy as np

    if ratio is not None:
        exact = Fraction(str(ratio))  # the decimal as it is written; the float of 0.29 is a little less
        return np.array([max(1, int(exact * int(size))) if size else 0 for size in sizes])
    assert count is not None
    filled = sizes > 0
    if not filled.sum() <= count <= sizes.sum():
        raise SettingError(
            f"count is {count:,}: it takes at least one row for each of the {filled.sum():,} sources, and at most "
            f"the {sizes.sum():,} rows that have a score."
        )
    quotas, remainders = np.divmod(sizes * count, sizes.sum())
    raised = filled & (quotas == 0)
    quotas[raised], remainders[raised] = 1, -1
    missing = count - int(quotas.sum())
    if missing > 0:
        quotas[np.argsort(-remainders, kind="stable")[:missing]] += 1
    while missing < 0:  # the rows that bring small sources to one are taken from the largest quotas
        quotas[np.argmax(quotas)] -= 1
        missing += 1
    return quotas


def check_budget(budget: Budget | None) -> None:
    """Raise `SettingError` for anything but a number of rows, a share of them, quotas, or None."""
    takes = "a number of rows (1, 2, ...) or a share (above 0.0, up to 1.0)"
    if isinstance(budget, Mapping):
        fine = bool(budget) and all(
            isinstance(name, str) and is_whole(rows) and rows >= 0 for name, rows in budget.items()
        )
        check(fine and sum(budget.values()) > 0, "budget", budget, f"{takes}, or rows for each value of stratify_by")
        return
    fine = budget is None or (budget >= 1 if is_whole(budget) else is_number(budget) and 0 < budget <= 1)
    check(fine, "budget", budget, takes)


def rows_per_value(budget: Any, name: str | None, column: Any, possible: NDArray[np.bool_]) -> NDArray[np.int64] | None:
    """Rows of each stratum of `strata_of`, (n_strata,), where the budget names them; None where it is one number.

    Args:
        budget: an option of a method.
        name: of the column.
        column: its values.
        possible: rows that could be in, (n_rows,).

    Raises:
        SettingError: there is no such value, or fewer of its rows could be in.

    """
    import numpy as np

    if not isinstance(budget, Mapping):
        return None
    texts = _texts(column)
    names = sorted(texts.unique().to_pylist())
    unknown = [value for value in budget if value not in names]
    if unknown:
        raise SettingError(f"budget has {unknown[0]!r}, and {name} has no such value: {', '.join(names[:10])}.")
    quotas = np.array([budget.get(value, 0) for value in names], dtype=np.int64)
    have = np.bincount(strata_of(str(name), column)[possible], minlength=len(names))
    for value, wanted, there in zip(names, quotas, have, strict=True):
        if wanted > there:
            raise SettingError(f"budget asks for {wanted:,} rows of {name} {value!r}, and only {there:,} could be in.")
    return quotas


def rows_of_budget(budget: Budget | None, n_rows: int) -> int | None:
    """A budget as a number of rows; None for none."""
    if budget is None:
        return None
    if isinstance(budget, Mapping):
        return sum(budget.values())
    return int(budget) if is_whole(budget) else max(1, round(budget * n_rows))


def scores_of(image: Counts, text: Counts) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cde and difficulty of these counts as `cde_score` and `difficulty_score` have them; NaN is unknown."""
    import numpy as np

    cde, difficulty = cde_of(image, text), difficulty_of(image)
    # Parts of an attempt are no integers that a double holds: there the quotients are formed of fractions, and rounded once.
    parts = (image.solved % 1 != 0) | (text.solved % 1 != 0)
    for row in np.flatnonzero(parts & ~np.isnan(difficulty)).tolist():
        s1, n1, s0, n0 = (
            exact(image.solved[row]),
            int(image.judged[row]),
            exact(text.solved[row]),
            int(text.judged[row]),
        )
        difficulty[row] = float((n1 - s1) / n1)
        cde[row] = float((s1 * n0 - s0 * n1) / (n1 * n0)) if n0 else np.nan
    return cde, difficulty


def strata_of(name: str, column: Any) -> Any:
    """The values of a column as numbers from 0, in the order of their texts; null is a value too."""
    import numpy as np
    import pyarrow as pa

    if pa.types.is_nested(column.type) or pa.types.is_binary(column.type):
        raise SettingError(f"stratify_by={name!r}: the values are of type {column.type}, not texts, numbers or flags.")
    encoded = _texts(column).dictionary_encode()
    rank = np.argsort(np.argsort(encoded.dictionary.to_pylist()))
    return rank[encoded.indices.to_numpy()]


def _texts(column: Any) -> Any:
    import pyarrow as pa

    return column.cast(pa.string()).fill_null("null")


def why_unscored(score: NDArray[np.float64], errors: Any, otherwise: str = "not_scored") -> NDArray[np.object_]:
    """For rows without a score (NaN) the code in `rap_error`, an Arrow array or None, and `otherwise` where it has none."""
    import numpy as np

    reason = np.full(len(score), otherwise, dtype=object)
    if errors is not None:
        rows = np.flatnonzero(np.isnan(score))
        reason[rows] = [code or otherwise for code in codes_of(errors.take(rows)).to_pylist()]
    return reason


def asked_alone(ds: Any) -> NDArray[np.bool_]:
    """Rows that have no image, so that the question alone is the row as it is given."""
    import numpy as np

    if ERROR.name not in ds.column_names:
        return np.zeros(len(ds), dtype=bool)
    codes = codes_of(arrow_columns(ds, [ERROR.name])[ERROR.name])
    alone: NDArray[np.bool_] = np.array(codes.to_pylist(), dtype=object) == "no_image"
    return alone


def as_given(alone: NDArray[np.bool_], image: Counts, text: Counts) -> tuple[Counts, Counts]:
    """The counts of each row as it is given, with its image if it has one, and those on the question beside them."""
    import numpy as np

    as_given = Counts(*(np.where(alone, on_text, with_image) for with_image, on_text in zip(image, text, strict=True)))
    return as_given, Counts(*(np.where(alone, 0, on_text) for on_text in text))


def plain(option: Any) -> Any:
    """An option as JSON has it."""
    if isinstance(option, Quantile):
        return str(option)
    if isinstance(option, Integral):
        return int(option)
    return float(option) if isinstance(option, Real) else option
