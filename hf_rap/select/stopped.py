"""Rows that were stopped early by an adaptive collection: what their missing attempts leave certain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from hf_rap.adaptive.exact import settle
from hf_rap.adaptive.state import State, cde_of, difficulty_of
from hf_rap.columns import ADAPTIVE, IMAGE_REWARDS, TEXT_REWARDS, require
from hf_rap.errors import SettingError
from hf_rap.stats.arrays import arrow_columns
from hf_rap.stats.counts import read_counts
from hf_rap.stats.settings import plan_in

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hf_rap.adaptive.stopping import Exact

COLLECT_ALL = (
    "Or make the attempts that are missing: collect again without adaptive, into the same run if there is one."
)


class Stopped(NamedTuple):
    """Rows without all of their attempts.

    rows: which those are, (n_rows,).
    state: attempts of all rows, and how many are left; none for rows that were not stopped.
    stopping: the decision that they were collected for, as `rap_adaptive` has it.
    """

    rows: NDArray[np.bool_]
    state: State
    stopping: dict[str, Any]


def read_stopped(ds: Any) -> Stopped | None:
    """The rows that exact mode has stopped; None where there are none.

    Raises:
        SettingError: rows of several adaptive collections are mixed.
        MissingColumnError: the rewards are gone.

    """
    import numpy as np
    import pyarrow.compute as pc

    stopping = stopping_of(ds)
    if stopping is None or stopping["mode"] != "exact":
        return None
    rewards = (IMAGE_REWARDS, TEXT_REWARDS)
    require("select_cognitive", ds.column_names, rewards, "Rows that were stopped early are decided by their rewards.")
    columns = arrow_columns(ds, [column.name for column in (*rewards, ADAPTIVE)])
    made = [pc.list_value_length(columns[column.name]) for column in rewards]
    left = np.stack([pc.subtract(stopping["attempts"], arm).fill_null(0).to_numpy() for arm in made], axis=1)
    left[columns[ADAPTIVE.name].is_null().to_numpy(zero_copy_only=False)] = 0
    counts = read_counts("select_cognitive", ds)
    solved, judged = (np.stack([getattr(arm, name) for arm in counts], axis=1) for name in ("solved", "judged"))
    rows: NDArray[np.bool_] = np.any(left > 0, axis=1)
    state = State(solved.astype(np.int64), judged.astype(np.int64), np.maximum(left, 0).astype(np.int64))
    return Stopped(rows, state, stopping) if rows.any() else None


def stopping_of(ds: Any) -> dict[str, Any] | None:
    """What an adaptive collection of these rows was told; None for rows that have all their attempts."""
    if ADAPTIVE.name not in ds.column_names:
        return None
    texts = [
        text for text in arrow_columns(ds, [ADAPTIVE.name])[ADAPTIVE.name].unique().to_pylist() if text is not None
    ]
    if len(texts) > 1:
        raise SettingError(
            f"These rows come from {len(texts)} adaptive collections, which do not compare: {'; '.join(sorted(texts))}. "
            "Select from each of them."
        )
    return plan_in(texts[0]) if texts else None


def refuse_spared(ds: Any, method: str) -> None:
    """Raise `SettingError` for a method that goes by all attempts of the rows, where some were spared."""
    stopping = stopping_of(ds)
    if stopping is not None:
        raise SettingError(
            f"Method {method!r} compares rows by all of their attempts, but attempts of these were spared for "
            f"{_in_words(stopping)}. Select with method 'rap'. {COLLECT_ALL}"
        )


def settle_stopped(
    stopped: Stopped, selection: Exact, order: NDArray[np.uint64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], NDArray[np.bool_]]:
    """Scores with which this selection keeps what it would select with all attempts, and rows whose reason is not certain.

    The scores are the worst that the rows can still get; every other outcome would select the same rows.

    Returns:
        cde, difficulty, judged attempts with the image, and rows that may be above min_cde or not: (n_rows,) each.

    Raises:
        SettingError: attempts that were not made could change this selection.

    """
    import numpy as np

    standing = settle(stopped.state, selection, order)
    unsure = np.flatnonzero(standing.open)
    if unsure.size:
        raise SettingError(
            f"{unsure.size:,} rows were stopped before it was certain whether this rule keeps them, the first is row "
            f"{unsure[0]}. Their attempts were spared for {_in_words(stopped.stopping)}: select with these options. {COLLECT_ALL}"
        )
    worst = stopped.state.at_worst()
    maybe_above = stopped.rows & ~standing.above & ~standing.not_above
    return cde_of(worst), difficulty_of(worst), worst.judged[:, 0], maybe_above


def _in_words(stopping: dict[str, Any]) -> str:
    options = (
        f"{name}={value!r}"
        for name, value in stopping.items()
        if name not in ("mode", "attempts", "rounds", "agreement_expected")
    )
    return f"{stopping['mode']} mode with {', '.join(options)}"
