"""Rewards of a whole dataset as counts of attempts, on Arrow: a million rows in a fraction of a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from hf_rap.columns import IMAGE_REWARDS, Column, control_rewards, require
from hf_rap.errors import LayoutError

from .arrays import check_whole_dataset
from .exact import total

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Counts(NamedTuple):
    """Attempts of one arm, for each row.

    Attributes:
        solved: sum of the known rewards, (n_rows,), between 0 and `judged`; the double nearest to it (`hf_rap.stats.exact`).
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
    table = ds.select_columns([column.name for column in columns]).with_format("arrow")[:]
    counts = [count_rewards(reader, column, table[column.name].combine_chunks()) for column in columns]
    return counts[0], counts[1] if len(counts) > 1 else none_judged(len(ds))


def count_rewards(reader: str, column: Column, rewards: Any) -> Counts:
    """The counts of one column of rewards, an Arrow array of lists; raises `LayoutError` for what is no reward."""
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
    judged = np.bincount(rows, minlength=len(rewards))
    solved: NDArray[np.float64] = np.bincount(rows, weights=values, minlength=len(rewards)).astype(np.float64)
    ends = np.cumsum(judged)
    for row in np.unique(rows[(values != 0) & (values != 1)]):
        solved[row] = float(total(values[ends[row] - judged[row] : ends[row]].tolist()))
    return Counts(solved, judged)


def none_judged(n_rows: int) -> Counts:
    """No attempt of any row."""
    import numpy as np

    return Counts(np.zeros(n_rows), np.zeros(n_rows, dtype=np.int64))
