"""Rewards of a whole dataset as counts of attempts, on Arrow: a million rows in a fraction of a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from hf_rap.columns import IMAGE_REWARDS, SETTINGS, Column, control_rewards, require
from hf_rap.errors import LayoutError

from .arrays import check_whole_dataset
from .settings import CORRECT, correct_of_rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Counts(NamedTuple):
    """Attempts of one arm, for each row.

    Attributes:
        solved: attempts that count as solved, (n_rows,), between 0 and `judged`.
        judged: number of known rewards, (n_rows,); attempts whose reward is null are in neither.

    """

    solved: NDArray[np.float64]
    judged: NDArray[np.int64]


def read_counts(reader: str, ds: Any, control: str = "text") -> tuple[Counts, Counts]:
    """The counts with the image and of the control, of all rows; no attempts there where its rewards are not there.

    Raises:
        SettingError: `ds` is no `Dataset`, or there is no such control.
        MissingColumnError: `rap_image_rewards` is absent.
        LayoutError: a reward is NaN or outside [0, 1].

    """
    check_whole_dataset(reader, ds)
    require(reader, ds.column_names, (IMAGE_REWARDS,))
    columns = [column for column in (IMAGE_REWARDS, control_rewards(control)) if column.name in ds.column_names]
    settings = [SETTINGS.name] if SETTINGS.name in ds.column_names else []
    table = ds.select_columns([*(column.name for column in columns), *settings]).with_format("arrow")[:]
    correct = correct_of_rows(table[SETTINGS.name].combine_chunks()) if settings else CORRECT
    found = [count_rewards(reader, column, table[column.name].combine_chunks(), correct) for column in columns]
    return found[0], found[1] if len(found) > 1 else none_judged(len(ds))


def count_rewards(reader: str, column: Column, rewards: Any, correct: float | NDArray[np.float64] = CORRECT) -> Counts:
    """The counts of one column of rewards, an Arrow array of lists; raises `LayoutError` for what is no reward.

    `correct` is the reward from which on an attempt counts as solved, for all rows or for each, (n_rows,).
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_null(rewards.type):
        return none_judged(len(rewards))
    flat = pc.list_flatten(rewards)
    has_reward = pc.is_valid(flat).to_numpy(zero_copy_only=False)
    values = flat.cast("float64").to_numpy(zero_copy_only=False)[has_reward]
    rows = pc.list_parent_indices(rewards).to_numpy(zero_copy_only=False)[has_reward]
    wrong = ~((values >= 0) & (values <= 1))  # NaN is neither
    if wrong.any():
        raise LayoutError(
            f"{reader} reads rewards in [0, 1] or null from {column.name!r}, but {len(np.unique(rows[wrong])):,} rows "
            f"have others; the first is row {int(rows[wrong][0])} with {float(values[wrong][0])!r}. Scale the rewards, "
            "and store null where an attempt was not judged."
        )
    solved = values >= np.broadcast_to(correct, len(rewards))[rows]
    of_row = np.bincount(rows[solved], minlength=len(rewards)).astype(np.float64)
    return Counts(of_row, np.bincount(rows, minlength=len(rewards)))


def none_judged(n_rows: int) -> Counts:
    """No attempt of any row."""
    import numpy as np

    return Counts(np.zeros(n_rows), np.zeros(n_rows, dtype=np.int64))
