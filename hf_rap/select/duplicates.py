"""Rows that stand in a dataset more than once count once, whatever the method: the first of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_rap.columns import ID
from hf_rap.stats.arrays import arrow_columns
from hf_rap.stats.counts import Counts

from .base import Decision, Step

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .base import DecideAgain

DUPLICATE = "duplicate"
MEANING = "the same row stands earlier in the dataset: its rap_id is equal"


def first_of_equal(ds: Any) -> NDArray[np.int64] | None:
    """The positions of the rows whose `rap_id` stands nowhere before them; None where that is every row.

    Rows without an id are all different.
    """
    import numpy as np

    if ID.name not in ds.column_names:
        return None
    ids = arrow_columns(ds, [ID.name])[ID.name]
    coded = ids.dictionary_encode()
    if len(coded.dictionary) + ids.null_count == len(ids):
        return None
    numbers = np.asarray(coded.indices.fill_null(-1))
    _, first = np.unique(numbers, return_index=True)
    return np.union1d(first, np.flatnonzero(numbers < 0))


def stands_earlier(ds: Any) -> NDArray[np.bool_]:
    """Rows whose `rap_id` stands in an earlier row, (n_rows,)."""
    import numpy as np

    positions = first_of_equal(ds)
    again = np.full(len(ds), positions is not None)
    again[positions if positions is not None else []] = False
    return again


def spread(decision: Decision, positions: NDArray[np.int64], rows: int) -> Decision:
    """The decision about some of the rows as one about all of them; the others are dropped as duplicates."""
    import numpy as np

    keep = np.zeros(rows, dtype=bool)
    keep[positions] = decision.keep
    reason = np.full(rows, DUPLICATE, dtype=object)
    reason[positions] = decision.reason
    funnel = (Step("rows", rows), Step("distinct", len(positions)), *decision.funnel[1:])
    return decision._replace(keep=keep, reason=reason, funnel=funnel)


def spread_again(decide: DecideAgain, positions: NDArray[np.int64], rows: int) -> DecideAgain:
    """A rule for the counts of some rows as one for those of all of them."""

    def decide_again(image: Counts, text: Counts) -> NDArray[np.bool_]:
        import numpy as np

        keep = np.zeros(rows, dtype=bool)
        keep[positions] = decide(
            Counts(image.solved[positions], image.judged[positions]),
            Counts(text.solved[positions], text.judged[positions]),
        )
        return keep

    return decide_again
