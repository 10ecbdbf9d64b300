"""Learning impact: how closely a row's rewards during training follow the mean of all rows."""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum
from typing import TYPE_CHECKING, Any

from hf_rap.columns import EPOCH_REWARDS, LIMR, Column, features_of, require, typed
from hf_rap.errors import LayoutError
from hf_rap.options import check, check_number
from hf_rap.rows.batches import Batch, batched
from hf_rap.stats.lists import number_lists
from hf_rap.tables import whole_dataset

from .base import add_scores

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import datasets


@dataclass(frozen=True)
class LIMRScore:
    """How closely the rewards of a row follow the mean reward curve of a training run.

    s = 1 - sum_k (r_k - m_k)^2 / sum_k (1 - m_k)^2 over the epochs k in which the row was seen, where r_k
    is its mean reward in epoch k and m_k the mean of r_k over all rows seen then.

    Args:
        epoch_means: m_k; None where an epoch saw no row. `add_limr_score` takes them from the dataset.
        version: part of the cache key of `Dataset.map`.

    Reads:
        - `rap_epoch_rewards`: mean reward in each epoch, in [0, 1]; null where the row was not seen.

    Writes:
        - `rap_limr`: float64, at most 1 (exactly on the curve), below 0 for rows further away than one that
          is always solved. Null where the row was seen in no epoch, or the curve is 1 throughout.

    Raises:
        MissingColumnError: `rap_epoch_rewards` is absent.
        LayoutError: a row has another number of epochs, or a reward outside [0, 1].

    Source:
        arXiv 2502.11886; GAIR-NLP/LIMR, lim/lim_selection.py. Differs: an epoch in which a row was not
        seen is left out of both sums and of m_k, where the authors copy the epoch after it and drop the
        row when that is missing too; r_k is the mean reward, where they count rewards of exactly 1.

    Examples:
        >>> LIMRScore(epoch_means=(0.25, 0.5))({"rap_epoch_rewards": [[0.25, 0.5], [1.0, None], None]})
        {'rap_limr': [1.0, 0.0, None]}

    """

    epoch_means: tuple[float | None, ...]
    version: str = "2"  # raise it whenever the same input can give another number

    def __post_init__(self) -> None:
        means = self.epoch_means
        check(
            isinstance(means, (tuple, list)),
            "epoch_means",
            means,
            "a mean reward for each epoch, or add_limr_score(ds)",
        )
        for mean in means:
            check_number("epoch_means", mean, least=0, most=1, none=True)

    @property
    def reads(self) -> tuple[Column, ...]:
        """`rap_epoch_rewards`."""
        return (EPOCH_REWARDS,)

    @property
    def writes(self) -> tuple[Column, ...]:
        """`rap_limr`."""
        return (LIMR,)

    @property
    def features(self) -> datasets.Features:
        """The types of `writes`."""
        return features_of(self.writes)

    @batched
    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """The new column of a batch."""
        require("LIMRScore", batch, self.reads)
        stored = Batch("LIMRScore", batch).arrow(EPOCH_REWARDS.name, exact=True)
        rows = number_lists("LIMRScore", EPOCH_REWARDS.name, stored).to_pylist()
        _check(rows, len(self.epoch_means))
        return typed({LIMR: [self._score(rewards) for rewards in rows]})

    def _score(self, rewards: list[float | None] | None) -> float | None:
        seen = [
            (reward, mean)
            for reward, mean in zip(rewards or (), self.epoch_means, strict=False)
            if reward is not None and mean is not None
        ]
        largest = fsum((1 - mean) ** 2 for _, mean in seen)
        return 1 - fsum((reward - mean) ** 2 for reward, mean in seen) / largest if largest else None


def add_limr_score(ds: Any) -> datasets.Dataset:
    """The dataset with `rap_limr`, from the `rap_epoch_rewards` of all its rows.

    Unlike other scores this one compares rows, so it is a function of the whole dataset.

    Raises:
        MissingColumnError: `rap_epoch_rewards` is absent.
        ColumnExistsError: `rap_limr` is there already.
        LayoutError: rows have different numbers of epochs, or a reward is outside [0, 1].

    """
    ds = whole_dataset("add_limr_score", ds)
    require("add_limr_score", ds.column_names, (EPOCH_REWARDS,))
    return add_scores(ds, LIMRScore(epoch_means=epoch_means(ds[EPOCH_REWARDS.name])))


def epoch_means(rows: Iterable[list[float | None] | None]) -> tuple[float | None, ...]:
    """The mean over the rows that were seen, for each epoch.

    Examples:
        >>> epoch_means([[0.0, 1.0, None], [0.5, None, None], None])
        (0.25, 1.0, None)

    """
    lists = [rewards for rewards in rows if rewards is not None]
    _check(lists, len(lists[0]) if lists else 0)
    seen = [[reward for reward in rewards if reward is not None] for rewards in zip(*lists, strict=True)]
    return tuple(fsum(rewards) / len(rewards) if rewards else None for rewards in seen)


def _check(rows: Iterable[list[float | None] | None], epochs: int) -> None:
    for index, rewards in enumerate(rows):
        if rewards is None:
            continue
        if len(rewards) != epochs:
            raise LayoutError(
                f"Row {index} has {len(rewards)} epochs in {EPOCH_REWARDS.name!r} where {epochs} were expected: every "
                "row has one entry per epoch, null where it was not seen."
            )
        outside = [reward for reward in rewards if reward is not None and not 0 <= reward <= 1]
        if outside:
            raise LayoutError(
                f"Row {index} has {outside[0]!r} in {EPOCH_REWARDS.name!r}, which holds mean rewards in [0, 1] or null."
            )
