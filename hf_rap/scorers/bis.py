"""Balanced information: how much the step labels of a rollout teach a process reward model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_rap.columns import (
    BIS,
    BIS_MEAN,
    BIS_MIXTURE,
    BIS_POSITIVE,
    BIS_RELIABILITY,
    BIS_STEPS,
    STEPS,
    Column,
    features_of,
    require,
    typed,
)
from hf_rap.errors import LayoutError, SettingError
from hf_rap.options import check_number
from hf_rap.papers import BALANCED
from hf_rap.rows.batches import Batch, batched

from .base import scores

if TYPE_CHECKING:
    from collections.abc import Mapping

    import datasets
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


@dataclass(frozen=True)
class BISScore:
    """Balanced-information score of a rollout: mixed step labels whose positives are reliable.

    With s_j the score of step j, y_j = 1 if s_j > threshold, p the mean of y, and R the mean of s_j
    over the positive steps (1 without any):

        mixture = p (1 - p)        reliability = R        bis = (mixture + alpha) R

    The subsets that the paper compares are each one call of `select_top`: `by="rap_bis"`, `by="rap_bis_mixture"`,
    whose ties are drawn at random as there, `by="rap_bis_reliability"`, and `by="rap_bis_mean", lowest=True` for the
    lowest average score. A threshold above 0 is ours: in the paper stricter labels, above 1/N and 2/N, are another
    labelling of the full data, which the exports' `threshold` writes.

    Args:
        alpha: what reliability counts where the labels are not mixed, 0 or more; 0.05 is the paper's. The README of the
            release gives 0.2 for 10 %.
        threshold: a step is positive above this, in [0, 1).
        version: part of the cache key of `Dataset.map`.

    Reads:
        - `steps_with_score`: per step its Monte Carlo score in [0, 1]; null where a row cannot be used.

    Writes:
        - `rap_bis`: float64 in [0, 0.25 + alpha]; higher = teaches more.
        - `rap_bis_mixture`, `rap_bis_reliability`, `rap_bis_mean`: float64, its parts and the mean score.
        - `rap_bis_steps`, `rap_bis_positive`: int32, numbers of steps.
        - All null where the steps are null or empty.

    Raises:
        MissingColumnError: `steps_with_score` is absent.
        SettingError: an option is out of its range, or what came is no batch of rows.
        LayoutError: a score is null, NaN or outside [0, 1].

    Source:
        arXiv 2602.04145; released script in JinYuanLi0012/Balanced-Info-MPRM. Differs: a row with an
        unusable step is an error here, where the script scores the row without that step and drops it
        after the quota is counted. float64, and operations in the order of the script, so that
        ranks agree with it to the last bit; sums do not depend on the order of the steps.

    Examples:
        >>> steps = [[{"score": 1.0}, {"score": 0.5}, {"score": 0.0}, {"score": 0.0}], None]
        >>> scored = bis_score({"steps_with_score": steps})
        >>> scored["rap_bis"], scored["rap_bis_mixture"], scored["rap_bis_reliability"]
        ([0.22499999999999998, None], [0.25, None], [0.75, None])

    """

    alpha: float = BALANCED.alpha
    threshold: float = 0.0
    version: str = "1"  # raise it whenever the same input can give another number

    def __post_init__(self) -> None:
        check_number("alpha", self.alpha, least=0)
        check_number("threshold", self.threshold, least=0, below=1)

    @property
    def reads(self) -> tuple[Column, ...]:
        """`steps_with_score`."""
        return (STEPS,)

    @property
    def writes(self) -> tuple[Column, ...]:
        """The parts, then `rap_bis`."""
        return (BIS_MIXTURE, BIS_RELIABILITY, BIS_MEAN, BIS_STEPS, BIS_POSITIVE, BIS)

    @property
    def features(self) -> datasets.Features:
        """The types of `writes`."""
        return features_of(self.writes)

    @batched
    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """The new columns of a batch."""
        scores_of_steps, lengths = _scores(Batch("BISScore", batch))
        measures = measure(scores_of_steps, lengths, alpha=self.alpha, threshold=self.threshold)
        return typed({column: scores(measures[column], lengths > 0) for column in self.writes})


def measure(
    scores: NDArray[np.float64], lengths: NDArray[np.int64], *, alpha: float, threshold: float
) -> dict[Column, NDArray[Any]]:
    """The score and its parts for rows of `lengths` steps, whose scores stand one after the other.

    Arrays are (n_rows,); of rows without steps the numbers mean nothing.
    """
    import numpy as np

    row = np.repeat(np.arange(len(lengths)), lengths)
    if not np.array_equal(scores * 1024, np.rint(scores * 1024)):
        # Multiples of 1/16 and the like add up exactly in any order; others get one order.
        scores = scores[np.lexsort((scores, row))]
    positive = scores > threshold
    steps = np.maximum(lengths, 1)
    n_positive = np.bincount(row[positive], minlength=len(lengths))
    sum_positive = np.bincount(row[positive], weights=scores[positive], minlength=len(lengths))
    p = n_positive / steps
    mixture = p * (1.0 - p)
    reliability = np.where(n_positive > 0, sum_positive / np.maximum(n_positive, 1), 1.0)
    return {
        BIS_MIXTURE: mixture,
        BIS_RELIABILITY: reliability,
        BIS_MEAN: np.bincount(row, weights=scores, minlength=len(lengths)) / steps,
        BIS_STEPS: lengths,
        BIS_POSITIVE: n_positive,
        BIS: (mixture + alpha) * reliability,
    }


def _scores(batch: Batch) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The scores of all steps one after the other, and the number of steps of each row."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    steps = _stored(batch)
    lengths = pc.list_value_length(steps).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    flat = pc.list_flatten(steps)
    flat = pa.nulls(len(flat), pa.float64()) if pa.types.is_null(flat.type) else pc.struct_field(flat, "score")
    scores = flat.cast("float64").to_numpy(zero_copy_only=False)
    wrong = np.flatnonzero(~((scores >= 0) & (scores <= 1)))  # NaN, which null became, is neither
    if wrong.size:
        row = int(np.searchsorted(np.cumsum(lengths), wrong[0], side="right"))
        raise LayoutError(
            f"BISScore reads scores in [0, 1], but {wrong.size} steps have none or another; the first is in row {row} "
            f"of the batch: {flat[int(wrong[0])].as_py()}. Read the data with load_process_rewards, which keeps such rows out."
        )
    return scores, lengths


def _stored(batch: Batch) -> pa.Array:
    """The steps as an Arrow list array."""
    import pyarrow as pa

    require("BISScore", batch, (STEPS,))
    stored = batch.arrow(STEPS.name, exact=True)
    if pa.types.is_null(stored.type):
        return stored.cast(pa.list_(pa.null()))
    lists = hasattr(stored.type, "value_type") and not pa.types.is_dictionary(stored.type)
    steps = stored.type.value_type if lists else None
    if steps is None or not (
        pa.types.is_null(steps) or (pa.types.is_struct(steps) and steps.get_field_index("score") >= 0)
    ):
        raise SettingError(
            f"BISScore takes batches of rows with a list of {{step, score}} in {STEPS.name!r}, which is of type {stored.type}."
        )
    return stored


bis_score = BISScore()
"""`BISScore` with its defaults, how much rollouts teach a process reward model: `ds.map(bis_score, batched=True)`.

Args:
    batch (dict[str, list]): rows with steps_with_score, as `Dataset.map` hands them over.

Returns:
    columns (dict[str, list]): rap_bis and its parts, a value per row; null is unknown.

Examples:
    >>> bis_score({"steps_with_score": [[{"score": 1.0}, {"score": 0.0}]]})["rap_bis_mixture"]
    [0.25]

"""
