"""Rewards as counts of attempts, on Arrow: a million rows in a fraction of a second."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_rap.columns import ID, IMAGE_REWARDS, SETTINGS, Column, control_rewards, require
from hf_rap.errors import LayoutError
from hf_rap.tables import whole_dataset

from .lists import lengths_of, number_lists, sums_of
from .settings import CORRECT, correct_of_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

MAX_BAD_ROWS_SHOWN = 5
_ROWS_AT_ONCE = 100_000


class Counts(NamedTuple):
    """Attempts of one arm, for each row.

    Attributes:
        solved: attempts that count as solved, (n_rows,), between 0 and `judged`.
        judged: number of known rewards, (n_rows,); attempts whose reward is null are in neither.

    """

    solved: NDArray[np.float64]
    judged: NDArray[np.int64]

    def rows(self, which: Any) -> Counts:
        """The attempts of these rows alone."""
        return Counts(self.solved[which], self.judged[which])


def read_counts(reader: str, ds: Any, control: str = "text") -> tuple[Counts, Counts]:
    """The counts with the image and of the control, of all rows; no attempts there where its rewards are not there.

    Raises:
        SettingError: `ds` is no `Dataset`, or there is no such control.
        MissingColumnError: `rap_image_rewards` is absent.
        LayoutError: a reward is NaN or outside [0, 1].

    """
    ds = whole_dataset(reader, ds, selection=True)
    require(reader, ds.column_names, (IMAGE_REWARDS,))
    columns = [column for column in (IMAGE_REWARDS, control_rewards(control)) if column.name in ds.column_names]
    beside = [column.name for column in (SETTINGS, ID) if column.name in ds.column_names]
    table = ds.select_columns([*(column.name for column in columns), *beside]).with_format("arrow")[:]
    arms: list[list[Counts]] = [[none_judged(0)] for _ in columns]
    start = 0
    for piece in table.to_batches(max_chunksize=_ROWS_AT_ONCE):  # so that no column is copied as a whole
        correct = correct_of_rows(piece[SETTINGS.name]) if SETTINGS.name in beside else CORRECT
        where = Where(start, partial(piece.column, ID.name) if ID.name in beside else None)
        for arm, column in zip(arms, columns, strict=True):
            arm.append(count_rewards(reader, column, piece[column.name], correct, where))
        start += len(piece)
    image, *without = (_joined(arm) for arm in arms)
    return image, without[0] if without else none_judged(len(ds))


class Where(NamedTuple):
    """What an error calls a row: its number, counted from `start`, and its id."""

    start: int = 0
    ids: Callable[[], Sequence[Any]] | None = None
    of: str = ""

    def name(self, row: int) -> str:
        """Of the row in this place."""
        named = "" if self.ids is None else f" ({ID.name} {str(self.ids()[row])!r})"
        return f"row {self.start + row}{self.of}{named}"


def count_rewards(
    reader: str,
    column: Column,
    rewards: pa.Array,
    correct: float | NDArray[np.float64] = CORRECT,
    where: Where | None = None,
) -> Counts:
    """The counts of one column of rewards, an Arrow array of lists, see `number_lists`.

    Args:
        reader: what reads them, for errors.
        column: which one it is.
        rewards: a list per row.
        correct: the reward from which on an attempt counts as solved, for all rows or for each, (n_rows,).
        where: the rows stand, for errors.

    Raises:
        LayoutError: a reward is NaN or outside [0, 1], or the column holds no lists of numbers.

    """
    import numpy as np

    lists = number_lists(reader, column.name, rewards)
    lengths = lengths_of(lists)
    ends = np.cumsum(lengths)
    flat = lists.flatten()
    values = flat.to_numpy(zero_copy_only=False)
    right = (values >= 0) & (values <= 1)  # NaN is neither, nor is a null, which is NaN here
    if np.count_nonzero(right) + flat.null_count < len(values):
        wrong = np.flatnonzero(~right & flat.is_valid().to_numpy(zero_copy_only=False))
        rows = np.searchsorted(ends, wrong, side="right")
        raise LayoutError(_bad_rewards(reader, column, rows, values[wrong], where or Where()))
    judged = sums_of(right, ends) if flat.null_count else lengths
    limit = correct if isinstance(correct, float) else np.repeat(correct, lengths)
    return Counts(sums_of(values >= limit, ends).astype(np.float64), judged)


def cde_of(image: Counts, without: Counts) -> NDArray[np.float64]:
    """The double nearest to p1 - p0 of each row, (n_rows,); NaN where an arm has no judged attempt.

    Counts and their products are whole numbers that a double holds, so one division rounds once.
    """
    import numpy as np

    attempts = image.judged * without.judged
    unknown = np.full(len(attempts), np.nan)
    difference = image.solved * without.judged - without.solved * image.judged
    cde: NDArray[np.float64] = np.divide(difference, attempts, out=unknown, where=attempts > 0)
    return cde


def difficulty_of(image: Counts) -> NDArray[np.float64]:
    """The double nearest to 1 - p1 of each row, (n_rows,); NaN without a judged attempt."""
    import numpy as np

    unknown = np.full(len(image.judged), np.nan)
    difficulty: NDArray[np.float64] = np.divide(
        image.judged - image.solved, image.judged, out=unknown, where=image.judged > 0
    )
    return difficulty


def none_judged(n_rows: int) -> Counts:
    """No attempt of any row."""
    import numpy as np

    return Counts(np.zeros(n_rows), np.zeros(n_rows, dtype=np.int64))


def _joined(parts: Sequence[Counts]) -> Counts:
    import numpy as np

    return Counts(*(np.concatenate(numbers) for numbers in zip(*parts, strict=True)))


def _bad_rewards(
    reader: str, column: Column, rows: NDArray[np.int64], values: NDArray[np.float64], where: Where
) -> str:
    """All bad rows, the first few spelled out with the first of their bad rewards."""
    import numpy as np

    rows, first = np.unique(rows, return_index=True)
    shown = [
        f"{where.name(row)} has {int(value) if value.is_integer() else value}"
        for row, value in zip(rows[:MAX_BAD_ROWS_SHOWN].tolist(), values[first].tolist(), strict=False)
    ]
    if len(rows) > MAX_BAD_ROWS_SHOWN:
        shown.append(f"and {len(rows) - MAX_BAD_ROWS_SHOWN:,} more rows")
    return (
        f"{reader} reads rewards in [0, 1] or null from {column.name!r}, but {', '.join(shown)}. "
        "Scale the rewards, and store null where an attempt was not judged "
        "(the formats numpy, torch and pandas turn null into NaN: ds.with_format(None))."
    )
