"""The selection that the authors of arXiv 2506.04755 released, which differs from their paper in every part."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any

from hf_rap.columns import ERROR, IMAGE_REWARDS, TEXT_REWARDS, require
from hf_rap.errors import LayoutError, SettingError
from hf_rap.papers import CITE_RAP, RELEASED
from hf_rap.stats.arrays import arrow_columns

from .arrays import why_unscored
from .base import DecideAgain, Decision, Settings, Step
from .method import Citation, Method, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from hf_rap.stats.counts import Counts


def select_released(ds: Any, settings: Settings) -> Decision:
    """`method="rap-released"` of `select_cognitive`: so that published numbers can be traced.

    Per arm a = correct / 5, where a reward of exactly 1 is correct, and b its mean over the rows; with
    1 the arm with the image and 0 the text alone. sim = 1 - (a1 - b1)^2 / (1 - b1)^2. A row is easy when
    all five rewards with the image are at least 0.9, and has one right when exactly one is.

    core: sim >= 0.6 and a1 - a0 > 0.2 and not easy.
    pool: one right, and (sim >= 0.85 and (a1 - a0 > b1 - b0 or a1 - a0 >= 0.2) or a1 - a0 >= 0.6).
    Kept: the core, and a tenth of the pool, rounded down: `random.Random(42).sample`, in row order.

    Everything is compared in plain float64, as in the script: 4/5 - 3/5 > 0.2 is True, 3/5 - 2/5 > 0.2
    is False. Where every row is always solved, sim is not defined and nothing is core.

    Source:
        Mrshenshen/RAP, select/selection.py. Differs: a missing reward is unknown, where the script
        counts it as solved; rows without five judged attempts in both arms are dropped and named, and
        count in no mean. The means are rounded once, where the script's depend on the order of a set.

    Raises:
        MissingColumnError: `rap_image_rewards` or `rap_text_rewards` is absent.
        SettingError: an option was changed (the rule has none), or no row has five judged attempts.
        LayoutError: a reward is outside [0, 1].

    """
    import numpy as np

    del settings  # it has no options
    require("rap-released", ds.column_names, (IMAGE_REWARDS, TEXT_REWARDS))
    columns = arrow_columns(ds, [IMAGE_REWARDS.name, TEXT_REWARDS.name, ERROR.name])
    image, text = (_five(name, columns[name]) for name in (IMAGE_REWARDS.name, TEXT_REWARDS.name))
    judged = ~np.isnan(image).any(axis=1) & ~np.isnan(text).any(axis=1)
    if not judged.any():
        raise SettingError(
            f"rap-released needs rows with {RELEASED.attempts} judged attempts in both arms, and none of the "
            f"{len(ds):,} rows has them. Collect with attempts={RELEASED.attempts}, or use method='rap'."
        )
    rows = np.flatnonzero(judged)
    core, pool = (rows[flags].tolist() for flags in decide_released(image[judged], text[judged]))
    drawn = _drawn(pool)
    unscored = np.where(judged, 0.0, np.nan)
    reason = why_unscored(unscored, columns.get(ERROR.name), "not_five_judged")
    reason[judged] = "not_core"
    reason[pool] = "not_sampled"
    reason[drawn] = "one_right_sampled"
    reason[core] = "core"
    keep = np.zeros(len(ds), dtype=bool)
    keep[core] = keep[drawn] = True
    counts = {"rows": len(ds), "five_judged": len(rows), "core": len(core), "selected": int(keep.sum())}
    return Decision(keep, reason, tuple(Step(*step) for step in counts.items()), {})


def decide_released_again(ds: Any, rule: Mapping[str, Any]) -> DecideAgain:  # noqa: ARG001 - the rule knows no rows
    """The same rule for other counts of the same rows, with rewards of 0 and 1."""
    import numpy as np

    def decide_again(image: Counts, text: Counts) -> NDArray[np.bool_]:
        rows = np.flatnonzero((image.judged == RELEASED.attempts) & (text.judged == RELEASED.attempts))
        rewards = [(np.arange(RELEASED.attempts) < arm.solved[rows, None]).astype(np.float64) for arm in (image, text)]
        core, pool = (rows[flags] for flags in decide_released(rewards[0], rewards[1]))
        keep = np.zeros(len(image.judged), dtype=bool)
        keep[core] = keep[_drawn(pool.tolist())] = True
        return keep

    return decide_again


def _drawn(pool: list[int]) -> list[int]:
    """The part of the pool that is kept, in the order in which it was drawn."""
    return random.Random(RELEASED.seed).sample(pool, int(len(pool) * RELEASED.pool_share))


def decide_released(
    image: NDArray[np.float64], text: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which rows are core, and which are in the pool, from rewards of shape (n_rows, 5) without gaps.

    >>> import numpy as np
    >>> image, text = np.array([[1.0, 1, 1, 0, 0], [1, 0, 0, 0, 0]]), np.zeros((2, 5))
    >>> [rows.tolist() for rows in decide_released(image, text)]
    [[True, False], [False, True]]

    """
    import numpy as np

    rule = RELEASED
    a1, a0 = ((rewards == rule.right).sum(axis=1) / rule.attempts for rewards in (image, text))
    # fsum rounds once, so the order of the rows cannot matter.
    b1, b0 = (math.fsum(rates.tolist()) / len(rates) for rates in (a1, a0))
    with np.errstate(invalid="ignore"):  # 0 / 0 where every row is always solved
        similarity = 1 - (a1 - b1) ** 2 / np.float64((1 - b1) ** 2)
    gain = a1 - a0
    solved = (image >= rule.nearly_right).sum(axis=1)
    core = (similarity >= rule.core_similarity) & (gain > rule.core_gain) & (solved < rule.attempts)
    helped = (gain > b1 - b0) | (gain >= rule.pool_gain)
    in_pool = ((similarity >= rule.pool_similarity) & helped) | (gain >= rule.pool_large_gain)
    return core, (solved == 1) & in_pool


def _five(name: str, column: Any) -> NDArray[np.float64]:
    """The rewards as (n_rows, 5); a row of NaN where there are not five, or one is unknown."""
    import numpy as np
    import pyarrow.compute as pc

    flat = pc.list_flatten(column).cast("float64").to_numpy(zero_copy_only=False)
    outside = (flat < 0) | (flat > 1)
    rows = pc.list_parent_indices(column).to_numpy()
    if outside.any():
        row = int(rows[outside][0])
        raise LayoutError(
            f"rap-released reads rewards in [0, 1] from {name!r}, but {len(set(rows[outside].tolist())):,} rows have "
            f"others, the first is row {row} with {float(flat[outside][0])!r}. Scale the rewards."
        )
    lengths = np.bincount(rows, minlength=len(column))
    five = lengths == RELEASED.attempts
    rewards = np.full((len(column), RELEASED.attempts), np.nan)
    rewards[five] = flat[five[rows]].reshape(-1, RELEASED.attempts)
    return rewards


def _solved(row: Mapping[str, Any], at_least: float) -> int:
    """Attempts with the image whose reward is at least this."""
    return sum(reward >= at_least for reward in row[IMAGE_REWARDS.name])


RELEASED_RULE = Method(
    "rap-released",
    select_released,
    "rows by the rule of the authors' released script for arXiv 2506.04755",
    reasons=(
        Reason(
            "core",
            True,
            "released rule: similar enough, helped by the image, not easy",
            lambda row, _: _solved(row, RELEASED.nearly_right) < RELEASED.attempts,
        ),
        Reason(
            "one_right_sampled",
            True,
            "released rule: one attempt is right, and drawn with the tenth of such rows",
            lambda row, _: _solved(row, RELEASED.nearly_right) == 1,
        ),
        Reason("not_five_judged", False, "released rule: an arm has other than five judged attempts"),
        Reason("not_core", False, "released rule: neither core nor in the pool of rows with one right attempt"),
        Reason(
            "not_sampled",
            False,
            "released rule: in the pool, but not drawn",
            lambda row, _: _solved(row, RELEASED.nearly_right) == 1,
        ),
    ),
    attempts=RELEASED.attempts,
    decide_again=decide_released_again,
    citations=(Citation("The method, as its authors released it", CITE_RAP),),
)
