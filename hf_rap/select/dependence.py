"""The rows whose replies depend most on the picture, by the column that a reading of the replies leaves behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_rap.columns import VISUAL_DEPENDENCE as SCORE
from hf_rap.papers import CITE_VISUAL_DEPENDENCE, CITE_VISUAL_GAIN
from hf_rap.stats.arrays import arrow_columns, numbers_of

from .method import Citation, Method
from .ranking import RANKED, STEPS, by_rank, reasons_of_rank

if TYPE_CHECKING:
    from .base import Decision, Settings


def by_dependence(ds: Any, settings: Settings) -> Decision:
    """`method="visual-dependence"` of `select_cognitive`."""
    dependence = numbers_of(arrow_columns(ds, [SCORE.name])[SCORE.name])
    return by_rank(ds, settings, dependence, ("most_visual", "not_most_visual"))


VISUAL_DEPENDENCE = Method(
    "visual-dependence",
    by_dependence,
    "rows whose replies change most when the picture is taken away",
    reasons=reasons_of_rank("most_visual", "visual dependence of replies", f"{SCORE.name} is None"),
    steps=STEPS,
    options=RANKED,
    needs_budget=True,
    needs_all_attempts=False,
    ranks_by=SCORE.name,
    citations=(
        Citation("The method (visual information gain)", CITE_VISUAL_GAIN),
        Citation("The method (visual dependence of tokens)", CITE_VISUAL_DEPENDENCE),
    ),
)
