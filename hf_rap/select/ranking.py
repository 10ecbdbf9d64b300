"""The rows of highest value within a budget: what methods that rank share, and the same for other counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_rap.columns import ERROR, require
from hf_rap.errors import SettingError
from hf_rap.options import is_whole
from hf_rap.stats.arrays import arrow_columns, ids_of, seeded_order

from .arrays import (
    as_given,
    asked_alone,
    first_of_each,
    first_within,
    plain,
    quotas_of,
    rows_of_budget,
    rows_per_value,
    strata_of,
    why_unscored,
)
from .base import DecideAgain, Decision, Settings, Step
from .method import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from hf_rap.stats.counts import Counts

RANKED = ("budget", "stratify_by")  # the options of every method that ranks
STEPS = {"usable": "can be ranked"}


def reasons_of_rank(name: str, value: str, when_unscored: str = "") -> tuple[Reason, ...]:
    """Why a row is among the best, is not, or cannot be ranked.

    Args:
        name: of the reason of kept rows; the others have it with "not_" before it.
        value: what is ranked, in words.
        when_unscored: what is so of every row without it, see `Reason.when`.

    """
    return (
        Reason(name, True, f"among the rows of highest {value}"),
        Reason(f"not_{name}", False, f"other rows have a higher {value}"),
        Reason("not_scored", False, f"{value} is unknown and rap_error does not say why", when_unscored),
    )


def by_rank(ds: Any, settings: Settings, value: NDArray[np.float64], reasons: tuple[str, str]) -> Decision:
    """The `budget` rows of highest value, (n_rows,), those that are unknown (NaN) left out; reasons of the kept and of the others."""
    import numpy as np

    budget, strata, order = read_rank(ds, settings)
    columns = arrow_columns(ds, [ERROR.name, settings.stratify_by])
    has_value = ~np.isnan(value)
    possible = int(np.count_nonzero(has_value))
    if not possible:
        raise SettingError(
            f"budget asks for {budget:,} rows, and none of {len(ds):,} can be ranked: all have an error instead of what is "
            "ranked by. `hf-rap inspect` says which rows cannot be scored, and rap_error why."
        )
    if budget > possible:
        raise SettingError(
            f"budget asks for {budget:,} rows, but only {possible:,} of {len(ds):,} can be ranked. "
            f"Ask for {possible:,} or fewer."
        )
    quotas = rows_per_value(settings.budget, settings.stratify_by, columns.get(settings.stratify_by or ""), has_value)
    keep = _first(has_value, budget, settings.budget, strata, -value, order, quotas=quotas)
    budget = int(np.count_nonzero(keep))
    reason = why_unscored(value, columns.get(ERROR.name))
    reason[has_value] = reasons[1]
    reason[keep] = reasons[0]
    funnel = (Step("rows", len(ds)), Step("usable", possible), Step("selected", budget))
    rule = {
        "budget": budget,
        "stratify_by": settings.stratify_by,
        "seed": plain(settings.seed),
        "asked": {"budget": plain(settings.budget)},
    }
    return Decision(keep, reason, funnel, rule)


def by_bound(
    ds: Any, value: NDArray[np.float64], keep: NDArray[np.bool_], reasons: tuple[str, str], rule: Mapping[str, Any]
) -> Decision:
    """The rows whose value, (n_rows,), is within a bound, whatever the others are; reasons of the kept and of the others."""
    import numpy as np

    has_value = ~np.isnan(value)
    reason = why_unscored(value, arrow_columns(ds, [ERROR.name]).get(ERROR.name))
    reason[has_value] = reasons[1]
    reason[keep] = reasons[0]
    funnel = (
        Step("rows", len(ds)),
        Step("scored", int(np.count_nonzero(has_value))),
        Step("selected", int(np.count_nonzero(keep))),
    )
    return Decision(keep, reason, funnel, dict(rule))


def rank_again(value: Callable[[Counts], NDArray[np.float64]]) -> Callable[[Any, Mapping[str, Any]], DecideAgain]:
    """The `decide_again` of a method that ranks by a value of a row's counts as it is given, (n_rows,); NaN is unknown."""

    def decide_rank_again(ds: Any, rule: Mapping[str, Any]) -> DecideAgain:
        import numpy as np

        settings = Settings.of(rule)
        budget, strata, order = read_rank(ds, settings)
        column = arrow_columns(ds, [settings.stratify_by]).get(settings.stratify_by or "")
        alone = asked_alone(ds)

        def decide_again(image: Counts, text: Counts) -> NDArray[np.bool_]:
            values = value(as_given(alone, image, text)[0])
            has_value = ~np.isnan(values)
            within = min(budget, int(has_value.sum()))
            quotas = rows_per_value(settings.budget, settings.stratify_by, column, has_value)
            return _first(has_value, within, rule.get("budget"), strata, -values, order, quotas=quotas)

        return decide_again

    return decide_rank_again


def _first(
    rows: NDArray[np.bool_],
    budget: int,
    requested: Any,
    strata: NDArray[np.int64] | None,
    *keys: Any,
    quotas: NDArray[np.int64] | None = None,
) -> NDArray[np.bool_]:
    """The first rows by the keys; of each stratum by its quota, or those of `select_top` where there are enough for all."""
    import numpy as np

    if strata is None:
        return first_within(rows, budget, None, *keys)
    if quotas is not None:
        return first_of_each(rows, strata, quotas, *keys)
    sizes = np.bincount(strata[rows], minlength=int(strata.max()) + 1)
    if not is_whole(requested):
        return first_of_each(rows, strata, quotas_of(sizes, ratio=requested, count=None), *keys)
    if budget < np.count_nonzero(sizes):
        return first_within(rows, budget, strata, *keys)
    return first_of_each(rows, strata, quotas_of(sizes, ratio=None, count=budget), *keys)


def read_rank(ds: Any, settings: Settings) -> tuple[int, NDArray[np.int64] | None, NDArray[np.uint64]]:
    """Rows to keep, the stratum of each row, and the order among rows that rank the same."""
    budget = rows_of_budget(settings.budget, len(ds))
    assert budget is not None, "checked by the method: it needs one"
    stratify_by = settings.stratify_by
    if stratify_by is not None:
        require("stratify_by", ds.column_names, [stratify_by])
    strata = None if stratify_by is None else strata_of(stratify_by, arrow_columns(ds, [stratify_by])[stratify_by])
    return budget, strata, seeded_order(ids_of(ds), settings.seed)
