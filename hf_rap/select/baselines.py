"""What a selection has to beat: random rows, the hardest, the longest replies, and learning impact."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hf_rap.columns import CDE, DIFFICULTY, ERROR, IMAGE_TOKENS, require
from hf_rap.columns import LIMR as LIMR_SCORE
from hf_rap.options import check_number
from hf_rap.papers import CITE_LIMR
from hf_rap.papers import LIMR as LIMR_PUBLISHED
from hf_rap.stats.arrays import arrow_columns, numbers_of
from hf_rap.stats.counts import difficulty_of
from hf_rap.stats.lists import number_lists

from .base import Selection, Settings
from .method import Citation, Method, Reason
from .ranking import RANKED, STEPS, by_bound, by_rank, rank_again

if TYPE_CHECKING:
    from .base import Decision


def select_random(
    ds: Any, *, budget: float, stratify_by: str | None = None, seed: int = 0, overrides: Any = None
) -> Selection:
    """Rows drawn at random: a control of the same size.

    A row that has a `rap_error` and no score is not drawn, since no trainer could use it either. The draw
    depends on seed and `rap_id` alone; without `rap_id` it goes by position. With stratify_by the quotas are those of
    `select_top`, whose control this is: of a share each value gets the whole part, and at least one row.

    Args:
        ds: any `Dataset`; `rap_id`, `rap_error`, `rap_cde` and `rap_difficulty` are read where they are there.
        budget: a number of rows (int) or a share of all rows (float in (0, 1]).
        stratify_by: a column, each value of which gets its part of the budget: of its own usable rows where the budget is
            a share, else in proportion, at least one where there are enough.
        seed: of the draw.
        overrides: marks of a person, which go before the rule, see `select_cognitive`.

    Raises:
        SettingError: the budget is out of its range, or larger than the number of usable rows.
        MissingColumnError: there is no column `stratify_by`.

    """
    return RANDOM.select(ds, Settings(budget=budget, stratify_by=stratify_by, seed=seed), overrides)


def select_hardest(
    ds: Any, *, budget: float, stratify_by: str | None = None, seed: int = 0, overrides: Any = None
) -> Selection:
    """The rows with the highest `rap_difficulty`, those that are never solved included.

    Ties go by a seeded order. Arguments and errors as in `select_random`; also raises
    `MissingColumnError` without `rap_difficulty`.
    """
    return HARDEST.select(ds, Settings(budget=budget, stratify_by=stratify_by, seed=seed), overrides)


def select_longest(
    ds: Any, *, budget: float, stratify_by: str | None = None, seed: int = 0, overrides: Any = None
) -> Selection:
    """The rows whose replies with the image are longest: highest mean of `rap_image_tokens`.

    Ties go by a seeded order. Arguments and errors as in `select_random`; also raises
    `MissingColumnError` without `rap_image_tokens`.
    """
    return LONGEST.select(ds, Settings(budget=budget, stratify_by=stratify_by, seed=seed), overrides)


def select_limr(ds: Any, *, min_limr: float = LIMR_PUBLISHED.min_limr, overrides: Any = None) -> Selection:
    """The rows with `rap_limr` >= min_limr: their rewards follow the mean curve of training.

    Args:
        ds: a `Dataset` with `rap_limr`, see `hf_rap.scorers.add_limr_score`.
        min_limr: at most 1; 0.6 is published.
        overrides: marks of a person, which go before the rule, see `select_cognitive`.

    Raises:
        MissingColumnError: `rap_limr` is absent.
        SettingError: min_limr is above 1, or no number.

    Source:
        arXiv 2502.11886.

    """
    check_number("min_limr", min_limr, most=1)
    return replace(LIMR, decide=lambda ds, _: _decide_limr(ds, min_limr)).select(ds, Settings(), overrides)


def by_chance(ds: Any, settings: Settings) -> Decision:
    """`method="random"` of `select_cognitive`."""
    import numpy as np

    columns = arrow_columns(ds, [CDE.name, DIFFICULTY.name, ERROR.name])
    usable = np.zeros(len(ds), dtype=np.float64)
    if ERROR.name in columns:
        unusable = columns[ERROR.name].is_valid().to_numpy(zero_copy_only=False)
        for column in (CDE, DIFFICULTY):
            if column.name in columns:
                unusable = unusable & np.isnan(numbers_of(columns[column.name]))
        usable[unusable] = np.nan
    return by_rank(ds, settings, usable, ("drawn", "not_drawn"))


def by_hardness(ds: Any, settings: Settings) -> Decision:
    """`method="hardest"` of `select_cognitive`."""
    require("select_hardest", ds.column_names, (DIFFICULTY,))
    difficulty = numbers_of(arrow_columns(ds, [DIFFICULTY.name])[DIFFICULTY.name])
    return by_rank(ds, settings, difficulty, ("hardest", "not_hardest"))


def by_length(ds: Any, settings: Settings) -> Decision:
    """`method="longest"` of `select_cognitive`."""
    import numpy as np
    import pyarrow.compute as pc

    require("select_longest", ds.column_names, (IMAGE_TOKENS,))
    tokens = number_lists(
        "select_longest", IMAGE_TOKENS.name, arrow_columns(ds, [IMAGE_TOKENS.name])[IMAGE_TOKENS.name]
    )
    flat = pc.list_flatten(tokens).to_numpy(zero_copy_only=False)
    rows = pc.list_parent_indices(tokens).to_numpy()
    has_tokens = ~np.isnan(flat)
    counts = np.bincount(rows[has_tokens], minlength=len(tokens)).astype(np.float64)
    counts[counts == 0] = np.nan
    means = np.bincount(rows[has_tokens], flat[has_tokens], minlength=len(tokens)) / counts
    return by_rank(ds, settings, means, ("longest_response", "not_longest"))


def _decide_limr(ds: Any, min_limr: float) -> Decision:
    require("select_limr", ds.column_names, (LIMR_SCORE,))
    limr = numbers_of(arrow_columns(ds, [LIMR_SCORE.name])[LIMR_SCORE.name])
    reasons = ("learning_impact", "low_learning_impact")
    return by_bound(ds, limr, limr >= min_limr, reasons, {"min_limr": float(min_limr)})


RANDOM = Method(
    "random",
    by_chance,
    "a random baseline, rows drawn by chance",
    reasons=(
        Reason("drawn", True, "drawn at random"),
        Reason("not_drawn", False, "not drawn at random"),
    ),
    needs_all_attempts=False,
    function="select_random",
    steps=STEPS,
    options=RANKED,
    needs_budget=True,
    version="2",
)
HARDEST = Method(
    "hardest",
    by_hardness,
    "a baseline, the rows that are solved least often",
    reasons=(
        Reason("hardest", True, "among the rows of highest difficulty"),
        Reason("not_hardest", False, "other rows have a higher difficulty"),
        Reason(
            "not_scored",
            False,
            "difficulty is null and rap_error does not say why",
            "rap_difficulty is None",
        ),
    ),
    ranks_by=DIFFICULTY.name,
    decide_again=rank_again(difficulty_of),
    function="select_hardest",
    steps=STEPS,
    options=RANKED,
    needs_budget=True,
    version="2",
)
LONGEST = Method(
    "longest",
    by_length,
    "a baseline, the rows with the longest replies",
    reasons=(
        Reason("longest_response", True, "among the rows with the longest replies"),
        Reason("not_longest", False, "other rows have longer replies"),
        Reason(
            "not_scored",
            False,
            "there are no replies and rap_error does not say why",
            "not at_least(rap_image_tokens, 0)",
        ),
    ),
    needs_all_attempts=False,
    function="select_longest",
    steps=STEPS,
    options=RANKED,
    needs_budget=True,
    version="2",
)
LIMR = Method(
    "limr",
    lambda ds, _: _decide_limr(ds, LIMR_PUBLISHED.min_limr),
    "a baseline, rows whose rewards follow the mean curve of a training run",
    reasons=(
        Reason(
            "learning_impact",
            True,
            "limr of at least min_limr",
            "rap_limr >= min_limr",
        ),
        Reason(
            "low_learning_impact",
            False,
            "limr below min_limr",
            "rap_limr < min_limr",
        ),
        Reason(
            "not_scored",
            False,
            "limr is null and rap_error does not say why",
            "rap_limr is None",
        ),
    ),
    steps={"scored": "have a learning impact: rap_limr"},
    meanings={"min_limr": "a row needs a learning impact of at least this"},
    ranks_by=LIMR_SCORE.name,
    citations=(Citation("The method (learning impact measurement)", CITE_LIMR),),
    function="select_limr",
)
