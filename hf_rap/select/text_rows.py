"""Rows without an image among rows with one: dropped, or judged by the pass rate of their text alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_rap.columns import DIFFICULTY, require
from hf_rap.errors import SettingError
from hf_rap.papers import DIFFICULTY_PRIOR
from hf_rap.stats.arrays import arrow_columns, numbers_of
from hf_rap.stats.exact import complement

from .arrays import asked_alone
from .base import BAND, Decision, Settings, Step
from .method import Reason

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EASIEST, HARDEST = complement(DIFFICULTY_PRIOR.high), complement(DIFFICULTY_PRIOR.low)
REASONS = (
    Reason(
        "text_in_band",
        True,
        f"without an image: its pass rate is from {DIFFICULTY_PRIOR.low:g} to {DIFFICULTY_PRIOR.high:g}",
        "rap_cde is None and text_easiest <= rap_difficulty <= text_hardest",
        came_in=True,
    ),
    Reason(
        "text_outside_band",
        False,
        f"without an image: its pass rate is not from {DIFFICULTY_PRIOR.low:g} to {DIFFICULTY_PRIOR.high:g}",
        "rap_cde is None and not text_easiest <= rap_difficulty <= text_hardest",
    ),
)


def check_text_rows(settings: Settings, *, stopped: bool) -> None:
    """Raise `SettingError` where rows without an image cannot be judged beside the others."""
    if settings.text_rows != BAND:
        return
    why = {
        "a budget counts rows by their cde": settings.budget is not None,
        "min_probability is of the cde": settings.min_probability is not None,
        "attempts were spared by the rule for rows with an image": stopped,
    }
    for reason in (reason for reason, holds in why.items() if holds):
        raise SettingError(
            f"text_rows='band' judges rows without an image by their pass rate, and {reason}: leave one out."
        )


def in_band(ds: Any, difficulty: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Rows without an image that have a difficulty, and those of them in the published band."""
    import numpy as np

    alone = asked_alone(ds) & ~np.isnan(difficulty)
    return alone, alone & (difficulty >= EASIEST) & (difficulty <= HARDEST)


def let_in(ds: Any, decision: Decision) -> Decision:
    """The decision about the other rows with these in it."""
    require("text_rows", ds.column_names, (DIFFICULTY,))
    alone, inside = in_band(ds, numbers_of(arrow_columns(ds, [DIFFICULTY.name])[DIFFICULTY.name]))
    reason = decision.reason.copy()
    reason[alone], reason[inside] = "text_outside_band", "text_in_band"
    *before, last = decision.funnel
    entered = int(inside.sum())
    rows = last.rows + entered
    return decision._replace(
        keep=decision.keep | inside,
        reason=reason,
        funnel=(*before, Step("text_in_band", rows, entered), last._replace(rows=rows)),
        rule={**decision.rule, "text_rows": BAND, "text_easiest": EASIEST, "text_hardest": HARDEST},
    )
