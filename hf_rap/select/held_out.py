"""Rows that half of their attempts keep, judged by the other half: what a bias that two scorings share cannot flatter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_rap.columns import IMAGE_REWARDS, control_rewards
from hf_rap.papers import PAPER
from hf_rap.stats.arrays import arrow_columns
from hf_rap.stats.counts import cde_of, read_counts

from .again import decide_again

if TYPE_CHECKING:
    from collections.abc import Mapping

    import datasets


@dataclass(frozen=True)
class HeldOut:
    """How well the rows that one half of the attempts keeps are worth keeping by the other half.

    Attributes:
        precision: of the kept rows, those whose held-out cde is above min_cde; None where none is kept.
        recall: of the rows whose held-out cde is above min_cde, those that are kept; None where there is none.
        rows: that have judged attempts of both arms in both halves.

    """

    precision: float | None
    recall: float | None
    rows: int


def held_out(ds: datasets.Dataset, rule: Mapping[str, Any]) -> HeldOut | None:
    """The rule on every second attempt, against the plain cde of the others; None for a rule without a threshold of cde.

    Both halves have fewer attempts than the whole, so both figures are lower than those of the selection itself.
    """
    import numpy as np

    min_cde = rule.get("min_cde", PAPER.min_cde)
    if not isinstance(min_cde, (int, float)):
        return None
    control = rule.get("control", "text")
    first, second = (_every_second(ds, control, start) for start in (0, 1))
    counts, others = read_counts("stability", first, control), read_counts("stability", second, control)
    kept = decide_again(first, rule)(*counts)
    there = np.logical_and.reduce([arm.judged > 0 for arm in (*counts, *others)])
    worth = there & (cde_of(*others) > min_cde)
    kept = there & kept
    both = int(np.count_nonzero(kept & worth))
    precision, recall = (round(both / count, 6) if count else None for count in (int(kept.sum()), int(worth.sum())))
    return HeldOut(precision, recall, int(there.sum()))


def _every_second(ds: datasets.Dataset, control: str, start: int) -> datasets.Dataset:
    """The rows with every second attempt of both arms, from this one on."""
    import pyarrow.compute as pc

    for column in (IMAGE_REWARDS, control_rewards(control)):
        if column.name in ds.column_names:
            rewards = arrow_columns(ds, [column.name])[column.name]
            half = pc.list_slice(rewards, start, None, 2, return_fixed_size_list=False)
            feature = ds.features[column.name]
            ds = ds.remove_columns(column.name).add_column(column.name, half, feature=feature)
    return ds
