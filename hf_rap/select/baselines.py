"""What a selection has to beat: random rows, the hardest, the longest replies, and learning impact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_rap.columns import CDE, DIFFICULTY, ERROR, IMAGE_TOKENS, LIMR, require
from hf_rap.errors import SettingError
from hf_rap.options import check_number
from hf_rap.papers import LIMR as LIMR_PUBLISHED
from hf_rap.stats.arrays import arrow_columns, ids_of, numbers_of, seeded_order

from .arrays import first_within, plain, rows_of_budget, scores_of, strata_of, why_unscored
from .base import DecideAgain, Decision, Selection, Settings, Step, check_dataset, make_selection

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from hf_rap.stats.counts import Counts

    Values = Callable[[dict[str, Any]], NDArray[np.float32]]


def select_random(ds: Any, *, budget: float, stratify_by: str | None = None, seed: int = 0) -> Selection:
    """Rows drawn at random: a control of the same size.

    A row that has a `rap_error` and no score is not drawn, since no trainer could use it either. The draw
    depends on seed and `rap_id` alone; without `rap_id` it goes by position.

    Args:
        ds: any `Dataset`; `rap_id`, `rap_error`, `rap_cde` and `rap_difficulty` are read where they are there.
        budget: a number of rows (int) or a share of all rows (float in (0, 1]).
        stratify_by: a column, each value of which gets its part of the budget.
        seed: of the draw.

    Raises:
        SettingError: the budget is out of its range, or larger than the number of usable rows.
        MissingColumnError: there is no column `stratify_by`.

    """
    return _select("random", by_chance, ds, Settings(budget=budget, stratify_by=stratify_by, seed=seed))


def select_hardest(ds: Any, *, budget: float, stratify_by: str | None = None, seed: int = 0) -> Selection:
    """The rows with the highest `rap_difficulty`, those that are never solved included.

    Ties go by a seeded order. Arguments and errors as in `select_random`; also raises
    `MissingColumnError` without `rap_difficulty`.
    """
    return _select("hardest", by_hardness, ds, Settings(budget=budget, stratify_by=stratify_by, seed=seed))


def select_longest(ds: Any, *, budget: float, stratify_by: str | None = None, seed: int = 0) -> Selection:
    """The rows whose replies with the image are longest: highest mean of `rap_image_tokens`.

    Ties go by a seeded order. Arguments and errors as in `select_random`; also raises
    `MissingColumnError` without `rap_image_tokens`.
    """
    return _select("longest", by_length, ds, Settings(budget=budget, stratify_by=stratify_by, seed=seed))


def select_limr(ds: Any, *, min_limr: float = LIMR_PUBLISHED.min_limr) -> Selection:
    """The rows with `rap_limr` >= min_limr: their rewards follow the mean curve of training.

    Args:
        ds: a `Dataset` with `rap_limr`, see `hf_rap.limr_score`.
        min_limr: at most 1; 0.6 is published.

    Raises:
        MissingColumnError: `rap_limr` is absent.
        SettingError: min_limr is above 1, or no number.

    Source:
        arXiv 2502.11886.

    """
    check_number("min_limr", min_limr, most=1)
    check_dataset("select_limr", ds)
    return make_selection(ds, "limr", _decide_limr(ds, min_limr))


def _select(name: str, decide: Callable[[Any, Settings], Decision], ds: Any, settings: Settings) -> Selection:
    check_dataset(f"select_{name}", ds)
    return make_selection(ds, name, decide(ds, settings))


def by_chance(ds: Any, settings: Settings) -> Decision:
    """`method="random"` of `select_cognitive`."""

    def usable(columns: dict[str, Any]) -> NDArray[np.float32]:
        import numpy as np

        scores = [numbers_of(columns[column.name]) for column in (CDE, DIFFICULTY) if column.name in columns]
        value = np.zeros(len(ds), dtype=np.float32)
        if ERROR.name in columns:
            unusable = columns[ERROR.name].is_valid().to_numpy(zero_copy_only=False)
            for score in scores:
                unusable = unusable & np.isnan(score)
            value[unusable] = np.nan
        return value

    reads, reasons = (CDE.name, DIFFICULTY.name), ("drawn", "not_drawn")
    return _by_rank(ds, settings, "random", reads=reads, values=usable, reasons=reasons)


def by_hardness(ds: Any, settings: Settings) -> Decision:
    """`method="hardest"` of `select_cognitive`."""
    require("select_hardest", ds.column_names, (DIFFICULTY,))

    def difficulty(columns: dict[str, Any]) -> NDArray[np.float32]:
        values: NDArray[np.float32] = numbers_of(columns[DIFFICULTY.name])
        return values

    reads, reasons = (DIFFICULTY.name,), ("hardest", "not_hardest")
    return _by_rank(ds, settings, "hardest", reads=reads, values=difficulty, reasons=reasons)


def decide_hardness_again(ds: Any, settings: Settings) -> DecideAgain:
    """The same rule as `by_hardness` for other counts of the same rows."""
    import numpy as np

    budget, strata, order = _read_rank(ds, settings, "hardest")

    def decide_again(image: Counts, text: Counts) -> NDArray[np.bool_]:
        difficulty = scores_of(image, text)[1]
        known = ~np.isnan(difficulty)
        return first_within(known, min(budget, int(known.sum())), strata, -difficulty, order)

    return decide_again


def by_length(ds: Any, settings: Settings) -> Decision:
    """`method="longest"` of `select_cognitive`."""
    require("select_longest", ds.column_names, (IMAGE_TOKENS,))

    def mean_tokens(columns: dict[str, Any]) -> NDArray[np.float32]:
        import numpy as np
        import pyarrow.compute as pc

        tokens = columns[IMAGE_TOKENS.name]
        flat = pc.list_flatten(tokens).cast("float64").to_numpy(zero_copy_only=False)
        rows = pc.list_parent_indices(tokens).to_numpy()
        known = ~np.isnan(flat)
        counts = np.bincount(rows[known], minlength=len(tokens)).astype(np.float64)
        counts[counts == 0] = np.nan
        means: NDArray[np.float32] = (np.bincount(rows[known], flat[known], minlength=len(tokens)) / counts).astype(
            np.float32
        )
        return means

    reads, reasons = (IMAGE_TOKENS.name,), ("longest_response", "not_longest")
    return _by_rank(ds, settings, "longest", reads=reads, values=mean_tokens, reasons=reasons)


def by_learning_impact(ds: Any, settings: Settings) -> Decision:
    """`method="limr"` of `select_cognitive`: the published threshold."""
    settings.refuse_others("limr", ())
    return _decide_limr(ds, LIMR_PUBLISHED.min_limr)


def _decide_limr(ds: Any, min_limr: float) -> Decision:
    import numpy as np

    require("select_limr", ds.column_names, (LIMR,))
    columns = arrow_columns(ds, [LIMR.name, ERROR.name])
    limr = numbers_of(columns[LIMR.name])
    reason = why_unscored(limr, columns.get(ERROR.name))
    reason[~np.isnan(limr)] = "low_learning_impact"
    keep = limr >= np.float32(min_limr)
    reason[keep] = "learning_impact"
    funnel = (
        Step("rows", len(ds)),
        Step("scored", int(np.count_nonzero(~np.isnan(limr)))),
        Step("selected", int(np.count_nonzero(keep))),
    )
    return Decision(keep, reason, funnel, {"min_limr": float(min_limr)})


def _by_rank(
    ds: Any,
    settings: Settings,
    method: str,
    *,
    reads: tuple[str, ...],
    values: Values,
    reasons: tuple[str, str],
) -> Decision:
    """The `budget` rows of highest value, those that are unknown (NaN) left out."""
    import numpy as np

    budget, strata, order = _read_rank(ds, settings, method)
    columns = arrow_columns(ds, [*reads, ERROR.name])
    value = values(columns)
    known = ~np.isnan(value)
    possible = int(np.count_nonzero(known))
    if budget > possible:
        raise SettingError(
            f"budget asks for {budget:,} rows, but only {possible:,} of {len(ds):,} can be ranked. "
            f"Ask for {possible:,} or fewer."
        )
    keep = first_within(known, budget, strata, -value, order)
    reason = why_unscored(value, columns.get(ERROR.name))
    reason[known] = reasons[1]
    reason[keep] = reasons[0]
    funnel = (Step("rows", len(ds)), Step("usable", possible), Step("selected", budget))
    rule = {
        "budget": budget,
        "stratify_by": settings.stratify_by,
        "seed": plain(settings.seed),
        "asked": {"budget": plain(settings.budget)},
    }
    return Decision(keep, reason, funnel, rule)


def _read_rank(ds: Any, settings: Settings, method: str) -> tuple[int, NDArray[np.int64] | None, NDArray[np.uint64]]:
    """Rows to keep, the stratum of each row, and the order among rows that rank the same."""
    settings.refuse_others(method, ("budget", "stratify_by"))
    budget = rows_of_budget(settings.budget, len(ds))
    if budget is None:
        raise SettingError(f"Method {method!r} needs a budget: a number of rows, or a share of them.")
    stratify_by = settings.stratify_by
    if stratify_by is not None:
        require("stratify_by", ds.column_names, [stratify_by])
    strata = None if stratify_by is None else strata_of(stratify_by, arrow_columns(ds, [stratify_by])[stratify_by])
    return budget, strata, seeded_order(ids_of(ds), settings.seed)
