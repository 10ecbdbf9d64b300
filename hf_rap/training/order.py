"""Rows from easy to hard: the order is data, so no trainer has to know of it (but it must not shuffle)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hf_rap.columns import require
from hf_rap.errors import LayoutError
from hf_rap.options import check, check_flags, check_text, check_whole, is_number, is_whole
from hf_rap.stats.arrays import arrow_columns, ids_of, numbers_of, seeded_order
from hf_rap.tables import whole_dataset

if TYPE_CHECKING:
    import datasets
    import numpy as np
    from numpy.typing import NDArray


def order_curriculum(
    ds: Any,
    by: str = "rap_difficulty",
    *,
    buckets: int | Sequence[float] | None = None,
    shuffle_within: bool = True,
    seed: int = 0,
) -> datasets.Dataset:
    """The rows in ascending order of a score: easy to hard.

    Rows with equal scores are never torn apart, so there may be fewer buckets than asked for. The order in a
    bucket depends on seed and `rap_id` alone (without `rap_id` on the position); the rows are neither copied nor
    decoded. Switch the trainer's own shuffling off (TRL: `shuffle_dataset=False`).

    Args:
        ds: a `Dataset` with the column `by`.
        by: a column of numbers; higher comes later.
        buckets: None makes one of each score; a number makes so many of about equal size; a list gives the
            largest score of each, what is above the last being one more.
        shuffle_within: shuffle each bucket; otherwise rows keep their order there.
        seed: of the shuffle.

    Raises:
        MissingColumnError: there is no column `by`.
        LayoutError: a row has no score.
        SettingError: buckets is no number above 0 and no ascending list.

    Examples:
        >>> from datasets import Dataset
        >>> ds = Dataset.from_dict({"rap_difficulty": [0.8, 0.0, 0.4], "name": ["c", "a", "b"]})
        >>> order_curriculum(ds)["name"][:]
        ['a', 'b', 'c']

    """
    import numpy as np

    ds = whole_dataset("order_curriculum", ds)
    check_text("by", by, empty=False)
    check(_are_buckets(buckets), "buckets", buckets, "a number above 0, or an ascending list of scores")
    check_flags(shuffle_within=shuffle_within)
    check_whole("seed", seed)
    require("order_curriculum", ds.column_names, [by])
    score = numbers_of(arrow_columns(ds, [by])[by])
    unknown = np.flatnonzero(np.isnan(score))
    if unknown.size:
        raise LayoutError(
            f"{unknown.size:,} of {len(ds):,} rows have no {by!r}, the first is row {unknown[0]}: they have no place in "
            f"the order. Leave them out first: ds.filter(lambda row: row[{by!r}] is not None)."
        )
    within = seeded_order(ids_of(ds), seed) if shuffle_within else np.arange(len(ds))
    return ds.select(np.lexsort((within, _bucket(score, buckets))))


def _are_buckets(buckets: Any) -> bool:
    """None, a number of them, or where they end, in ascending order."""
    if isinstance(buckets, Sequence) and not isinstance(buckets, str):
        return all(map(is_number, buckets)) and list(buckets) == sorted(set(buckets))
    return buckets is None or (is_whole(buckets) and buckets >= 1)


def _bucket(score: NDArray[np.float64], buckets: int | Sequence[float] | None) -> NDArray[np.int64]:
    """The number of each row's bucket."""
    import numpy as np

    if buckets is None:
        return np.unique(score, return_inverse=True)[1]
    if isinstance(buckets, Sequence):
        edges = np.array(buckets, dtype=np.float64)
    else:
        edges = np.quantile(score, np.arange(1, buckets) / buckets, method="inverted_cdf") if score.size else score
    return np.searchsorted(edges, score, side="left")
