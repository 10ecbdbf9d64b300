"""The selection that the authors of arXiv 2506.04755 released, which differs from their paper in every part."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_rap.columns import ARM_COLUMNS, ARMS, ERROR, FORMATTED, IMAGE_REWARDS, SETTINGS, TEXT_REWARDS, require
from hf_rap.errors import LayoutError, SettingError
from hf_rap.papers import CITE_RAP, RELEASED
from hf_rap.stats.arrays import arrow_columns
from hf_rap.stats.lists import number_lists
from hf_rap.stats.settings import CORRECT, correct_of_rows

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

    The reward of a reply is 0.9 for a right answer and 0.1 for the format that the prompt asked for. So a right answer
    without it is not "correct" below, but "at least 0.9". Evidence without format columns (from before they were
    collected, or to a prompt that asks for no format) goes in with its rewards as they are, and `rule["reward"]` says so.

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
        count in no mean. The means are rounded once, where the script's depend on the order of a set. A reply that
        was cut off is wrong unless it was collected with cut="graded"; there its text is graded.

    Raises:
        MissingColumnError: `rap_image_rewards` or `rap_text_rewards` is absent.
        SettingError: an option was changed (the rule has none), or no row has five judged attempts.
        LayoutError: a reward is outside [0, 1].

    """
    import numpy as np

    del settings  # it has no options
    require("rap-released", ds.column_names, (IMAGE_REWARDS, TEXT_REWARDS))
    arms = [_read(ds, arm) for arm in ARMS]
    image, text = (arm.rewards for arm in arms)
    judged = _complete(image) & _complete(text)
    if not judged.any():
        raise SettingError(
            f"rap-released needs rows with {RELEASED.attempts} judged attempts in both arms, and none of the "
            f"{len(ds):,} rows has them. Collect with attempts={RELEASED.attempts}, or use method='rap'."
        )
    rows = np.flatnonzero(judged)
    core, pool = (rows[flags].tolist() for flags in decide_released(image[judged], text[judged]))
    drawn = _drawn(pool)
    unscored = np.where(judged, 0.0, np.nan)
    errors = arrow_columns(ds, [ERROR.name]).get(ERROR.name)
    reason = why_unscored(unscored, errors, "not_five_judged")
    reason[judged] = "not_core"
    reason[pool] = "not_sampled"
    reason[drawn] = "one_right_sampled"
    reason[core] = "core"
    keep = np.zeros(len(ds), dtype=bool)
    keep[core] = keep[drawn] = True
    n_kept = int(keep.sum())
    sampled = n_kept - len(core)
    funnel = [Step("rows", len(ds)), Step("five_judged", len(rows)), Step("core", len(core))]
    funnel += [Step("sampled", n_kept, sampled)] if sampled else []
    told = {"min_gain": RELEASED.core_gain, "reward": _told(arms[0].with_format & arms[1].with_format & judged, judged)}
    return Decision(keep, reason, (*funnel, Step("selected", n_kept, sampled)), told)


def decide_released_again(ds: Any, rule: Mapping[str, Any]) -> DecideAgain:  # noqa: ARG001 - it has no options
    """The same rule for other counts of the same rows: as large a share of the right replies of a row lacks the format."""
    import numpy as np

    lacking = [_read(ds, arm).share_lacking() for arm in ARMS]

    def decide_again(image: Counts, text: Counts) -> NDArray[np.bool_]:
        rows = np.flatnonzero((image.judged == RELEASED.attempts) & (text.judged == RELEASED.attempts))
        rewards = []
        for arm, share in zip((image, text), lacking, strict=True):
            right = arm.solved[rows, None]
            whole = right - np.round(right * share[rows, None])
            place = np.arange(RELEASED.attempts)
            rewards.append(np.where(place < whole, RELEASED.right, np.where(place < right, RELEASED.accuracy, 0.0)))
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


class _Arm(NamedTuple):
    """One arm of all rows.

    rewards: (n_rows, 5) as the script has them; NaN in rows without five.
    with_format: which rows have format evidence in it, (n_rows,).
    """

    rewards: NDArray[np.float64]
    with_format: NDArray[np.bool_]

    def share_lacking(self) -> NDArray[np.float64]:
        """Of the right replies of each row, the share without the format; of all rows, where it has no right one."""
        import numpy as np

        right = (self.rewards >= RELEASED.nearly_right).sum(axis=1) * self.with_format
        lacking = right - (self.rewards == RELEASED.right).sum(axis=1) * self.with_format
        usual = lacking.sum() / max(right.sum(), 1)
        share: NDArray[np.float64] = np.where(right > 0, lacking / np.maximum(right, 1), usual * self.with_format)
        return share


def _read(ds: Any, arm: str) -> _Arm:
    """The rewards of an arm, with the format of the replies counted in where there is evidence of it."""
    import numpy as np
    import pyarrow as pa

    rewards_name, format_name = ARM_COLUMNS[arm].rewards.name, FORMATTED[arm].name
    columns = arrow_columns(ds, [rewards_name, format_name, SETTINGS.name])
    rewards = _five(rewards_name, columns[rewards_name])
    if format_name not in columns or pa.types.is_null(columns[format_name].type):
        return _Arm(rewards, np.zeros(len(ds), dtype=bool))
    keeps = _five(format_name, columns[format_name])
    correct = correct_of_rows(columns[SETTINGS.name]) if SETTINGS.name in columns else CORRECT
    right = (rewards >= np.broadcast_to(correct, len(ds))[:, None]).astype(np.float64)
    counted = RELEASED.accuracy * right + RELEASED.format * keeps
    known = _complete(keeps) & _complete(rewards)
    return _Arm(np.where(known[:, None], counted, rewards), known)


def _complete(of_attempts: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which rows have all five, (n_rows,)."""
    import numpy as np

    return np.asarray(~np.isnan(of_attempts).any(axis=1), dtype=np.bool_)


def _told(with_format: NDArray[np.bool_], judged: NDArray[np.bool_]) -> str:
    """What the rule counted as the reward of a reply."""
    counted, rows = int(with_format.sum()), int(judged.sum())
    if not counted:
        return "as stored, no format evidence"
    told = f"{RELEASED.accuracy} accuracy + {RELEASED.format} format"
    return told if counted == rows else f"{told} in {counted:,} of {rows:,} rows, as stored in the others"


def _five(name: str, column: Any) -> NDArray[np.float64]:
    """The rewards or flags as (n_rows, 5); a row of NaN where there are not five, or one is unknown."""
    import numpy as np
    import pyarrow.compute as pc

    column = number_lists("rap-released", name, column)
    flat = pc.list_flatten(column).to_numpy(zero_copy_only=False)
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


RELEASED_RULE = Method(
    "rap-released",
    select_released,
    "rows by the rule of the authors' released script for arXiv 2506.04755",
    reasons=(
        Reason(
            "core",
            True,
            "released rule: similar enough, helped by the image, not easy",
            f"at_least(rap_image_rewards, {RELEASED.nearly_right}) < {RELEASED.attempts}",
        ),
        Reason(
            "one_right_sampled",
            True,
            "released rule: one attempt is right, and drawn with the tenth of such rows",
            f"at_least(rap_image_rewards, {RELEASED.nearly_right}) <= 1",
            came_in=True,
        ),
        Reason("not_five_judged", False, "released rule: an arm has other than five judged attempts"),
        Reason("not_core", False, "released rule: neither core nor in the pool of rows with one right attempt"),
        Reason(
            "not_sampled",
            False,
            "released rule: in the pool, but not drawn",
            f"at_least(rap_image_rewards, {RELEASED.nearly_right}) <= 1",
        ),
    ),
    steps={
        "five_judged": "have five judged attempts in both arms",
        "core": "are similar enough, helped by the image and not easy",
        "sampled": "a tenth of the rows with one right attempt that come near",
    },
    meanings={
        "min_gain": "a core row is right more often with the image by more than this",
        "reward": "what a reply is worth to the rule",
    },
    attempts=RELEASED.attempts,
    decide_again=decide_released_again,
    citations=(Citation("The method, as its authors released it", CITE_RAP),),
)
