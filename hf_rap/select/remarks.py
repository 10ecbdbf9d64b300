"""What somebody should know of a selection who reads its numbers: that a threshold changes nothing, that another rule decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hf_rap.stats.exact import complement

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

# Of fewer scored rows nothing is said: there, everything agrees by chance.
LEAST_ROWS = 20
# From this share of the kept rows on, replacements are the selection.
MANY_REPLACED = 0.5
# A threshold is dead where the same rows are kept over a range as wide as this; of five attempts a step is 0.2.
DEAD_WIDTH = 0.25
_MOST_STEPS = 40


def remark_on_replaced(keep: NDArray[np.bool_], replaced: NDArray[np.bool_]) -> str | None:
    """That more than half of the kept rows are replacements."""
    kept, entered = int(keep.sum()), int(replaced.sum())
    if not entered > MANY_REPLACED * kept:
        return None
    return (
        f"{entered:,} of the {kept:,} kept rows ({entered / kept:.0%}) are replacements: they are in for their difficulty, "
        "not by min_cde. A higher min_replacement_cde asks more of them, replacements= says how many come in."
    )


def remark_on_ties(
    by: str,
    scores: NDArray[np.float64],
    keep: NDArray[np.bool_],
    left: NDArray[np.bool_],
    groups: NDArray[np.int64],
    *,
    first: bool,
) -> str | None:
    """That rows are kept and others are not although their scores are the same.

    Args:
        by: the score.
        scores: what was ranked.
        keep: the rows that are in.
        left: those that did not fit into the quota.
        groups: numbers of the quotas that rows belong to.
        first: the earlier row is kept; else a seeded draw decides.

    """
    import numpy as np

    ranked = keep | left
    _, codes = np.unique(np.stack([groups[ranked], scores[ranked]]), axis=1, return_inverse=True)
    counts = [np.bincount(codes.ravel()[part[ranked]], minlength=int(ranked.sum())) for part in (keep, left)]
    kept, dropped = (int(count[(counts[0] > 0) & (counts[1] > 0)].sum()) for count in counts)
    if not kept:
        return None
    how = "their order in the dataset" if first else "a draw by the seed"
    return (
        f"Level in {by}: {kept:,} of the {int(keep.sum()):,} kept rows and {dropped:,} of those that are not. Between them {how} "
        "has decided, not the score."
    )


def remark_on_band(keep: NDArray[np.bool_], difficulty: NDArray[np.float64] | None) -> str | None:
    """That the kept rows are those of a band of pass rates, no more and no less; of rows that are scored."""
    import numpy as np

    if difficulty is None or not keep.any() or np.isnan(difficulty[keep]).any():
        return None
    hardest, easiest = difficulty[keep].max(), difficulty[keep].min()
    band = (difficulty >= easiest) & (difficulty <= hardest)
    if not np.array_equal(band, keep) or np.array_equal(keep, ~np.isnan(difficulty)):
        return None
    low, high = complement(float(hardest)), complement(float(easiest))
    return (
        f"The kept rows are those with a pass rate from {low:.3g} to {high:.3g} with the image, no more and no less: a plain "
        "band of pass rates keeps them too, without a reply on the question alone."
    )


def remark_on_threshold(
    name: str,
    now: float,
    scores: NDArray[np.float64],
    keep: NDArray[np.bool_],
    kept_at: Callable[[float], NDArray[np.bool_]],
) -> str | None:
    """That a threshold is dead: every value of a wide range keeps the same rows.

    Args:
        name: of the option; rows above it pass.
        now: its value.
        scores: that it is compared with, NaN where unknown.
        keep: the rows that are kept with it.
        kept_at: another value -> the rows that are kept with that, all else being the same.

    """
    import numpy as np

    if not keep.any():
        return None
    # The kept rows can only change where the threshold passes a score.
    edges = np.unique(np.concatenate([[-1.0], scores[~np.isnan(scores)]]))
    here = int(np.searchsorted(edges, now, side="right")) - 1
    low = high = max(here, 0)
    while low > 0 and low > here - _MOST_STEPS and np.array_equal(kept_at(float(edges[low - 1])), keep):
        low -= 1
    while high + 1 < len(edges) and high < here + _MOST_STEPS and np.array_equal(kept_at(float(edges[high + 1])), keep):
        high += 1
    end = float(edges[high + 1]) if high + 1 < len(edges) else 1.0
    if low == high or end - edges[low] < DEAD_WIDTH:
        return None
    return (
        f"Every {name} from {edges[low]:.3g} to just below {end:.3g} keeps the same {int(keep.sum()):,} rows: there it decides "
        "nothing."
    )
