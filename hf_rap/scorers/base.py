"""What a scorer is, how scorers are applied to a dataset, and how they read rewards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, overload

from hf_rap.columns import (
    ID,
    SETTINGS,
    Column,
    refuse_existing,
    require,
    typed,
)
from hf_rap.errors import SettingError
from hf_rap.evidence.results import Results, check_columns
from hf_rap.options import check, is_ours
from hf_rap.rows.compat import with_columns
from hf_rap.stats.arrays import arrow_columns
from hf_rap.stats.counts import Counts, Where, count_rewards
from hf_rap.stats.settings import CORRECT, correct_of_rows
from hf_rap.tables import whole_or_stream

if TYPE_CHECKING:
    from collections.abc import Mapping

    import datasets
    import numpy as np
    from numpy.typing import NDArray

    from hf_rap.rows.batches import Batch

ROWS_PER_BATCH = 10_000  # only the columns that a score reads are taken from a batch


class Scorer(Protocol):
    """A batched callable for `Dataset.map`: evidence columns in, score columns out, nothing else.

    Ours are frozen dataclasses. Every field is part of the cache key of `Dataset.map`, and an
    installed class is known to that cache by name and fields, not by code: hence their `version`.
    """

    @property
    def reads(self) -> tuple[Column, ...]:
        """The columns that must be there."""

    @property
    def writes(self) -> tuple[Column, ...]:
        """The columns that come out."""

    @property
    def features(self) -> datasets.Features:
        """The types of the columns that come out."""

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """The new columns of a batch, which itself stays as it is."""


@overload
def add_scores(ds: datasets.IterableDataset, *scorers: Scorer) -> datasets.IterableDataset: ...
@overload  # datasets has no types for mypy, to which this is the same as the one above
def add_scores(ds: Any, *scorers: Scorer) -> datasets.Dataset: ...  # type: ignore[overload-cannot-match]
def add_scores(ds: Any, *scorers: Scorer) -> Any:
    """The dataset with the scores of these scorers as further columns.

    The same numbers as `ds.map(scorer, batched=True)` one after the other, but columns are checked
    before any work starts, nothing is overwritten, and the columns that are there (images above
    all) are not written a second time: only the scores are, also after `filter`, `shuffle` or `select`. Columns of images are
    not even read, unless a scorer names them, or names nothing, among its `reads`.

    Args:
        ds: a `Dataset`, the only split of a `DatasetDict`, or an `IterableDataset`. Where the columns of a streamed dataset are not
            known, a missing one shows only when the first batch is read.
        scorers: a later one may read what an earlier one writes.

    Raises:
        SettingError: `ds` is none of these.
        MissingColumnError: a column to be read is absent.
        ColumnExistsError: a column to be written is there already.

    Examples:
        >>> from datasets import Dataset
        >>> from hf_rap import cde_score, difficulty_score
        >>> ds = Dataset.from_dict({"rap_image_rewards": [[1.0, 0.0]], "rap_text_rewards": [[0.0, 0.0]]})
        >>> add_scores(ds, cde_score, difficulty_score).select_columns(["rap_cde", "rap_difficulty"])[0]
        {'rap_cde': 0.5, 'rap_difficulty': 0.5}

    """
    import datasets

    ds = whole_or_stream("add_scores", ds)
    for scorer in scorers:
        check_scorer(scorer)
    if ds.column_names is not None:
        available = list(ds.column_names)
        for scorer in scorers:
            name = getattr(scorer, "name", type(scorer).__name__)
            require(name, available, scorer.reads)
            refuse_existing(name, available, scorer.writes)
            available += [column.name for column in scorer.writes]
    add = _add_to_table if isinstance(ds, datasets.Dataset) else _add_to_stream
    for scorer in scorers:
        ds = add(ds, scorer if is_ours(scorer) else _Checked(scorer))
    return ds


def check_scorer(scorer: Any) -> None:
    """Raise `SettingError` for what is no scorer, with what it lacks."""
    fine = callable(scorer) and not isinstance(scorer, type) and hasattr(scorer, "writes")
    check(fine, "scorers", scorer, "scores such as cde_score, one after the other")
    lacking = [part for part in ("reads", "features") if not hasattr(scorer, part)]
    if lacking:
        raise SettingError(
            f"The scorer {type(scorer).__name__} has no {lacking[0]!r}: see hf_rap.Scorer for what one has."
        )
    check_columns(f"{type(scorer).__name__}.writes", scorer.writes)


@dataclass(frozen=True)
class _Checked:
    """A scorer from outside, whose results are read as those of a function are."""

    scorer: Scorer

    @property
    def reads(self) -> tuple[Column, ...]:
        """As the scorer has it."""
        return self.scorer.reads

    @property
    def writes(self) -> tuple[Column, ...]:
        """As the scorer has it."""
        return self.scorer.writes

    @property
    def features(self) -> datasets.Features:
        """As the scorer has it."""
        return self.scorer.features

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Its new columns; raises as `FunctionScorer` does."""
        names = [column.name for column in self.scorer.reads] or list(batch)
        return typed(
            Results.of_columns(f"The scorer {type(self.scorer).__name__!r}", self.scorer, batch, names).read(
                self.writes
            )
        )


def _add_to_table(ds: Any, scorer: Scorer) -> Any:
    names = [name for name in ds.column_names if not (scorer.reads and _is_binary(ds, name))]
    names += [column.name for column in scorer.reads if column.name not in names]
    scored = (
        ds.with_format(None)
        .select_columns(names)
        .map(scorer, batched=True, batch_size=ROWS_PER_BATCH, remove_columns=names, features=scorer.features)
    )
    return with_columns(ds, arrow_columns(scored, scorer.features), scorer.features)


def _is_binary(ds: Any, name: str) -> bool:
    """The column holds files, such as those of images."""
    import pyarrow as pa

    inside = [ds.data.schema.field(name).type]
    while inside:
        kind = inside.pop()
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            return True
        inside += [kind.field(place).type for place in range(kind.num_fields)]
    return False


def _add_to_stream(ds: Any, scorer: Scorer) -> Any:
    features = None if ds.features is None else type(ds.features)({**ds.features, **scorer.features})
    return ds.map(scorer, batched=True, features=features)


def counts_in(batch: Batch, *columns: Column) -> list[Counts]:
    """How many attempts of each row of a batch count as solved, and how many are judged, for each column of rewards.

    Solved is a reward of at least 1, or of what `rap_settings` says where it is there (`hf_rap.stats.settings.correct_of`).
    A reward that is null was not judged and counts in neither. No rewards at all give 0 of 0.

    Examples:
        >>> from hf_rap.columns import IMAGE_REWARDS
        >>> from hf_rap.rows.batches import Batch
        >>> (counts,) = counts_in(Batch("example", {"rap_image_rewards": [[1, 0, None, 1], [0.1], [None], None]}), IMAGE_REWARDS)
        >>> counts.solved.tolist(), counts.judged.tolist()
        ([2.0, 0.0, 0.0, 0.0], [3, 1, 0, 0])

    Raises:
        MissingColumnError: a column is absent.
        LayoutError: a reward is NaN or outside [0, 1].

    """
    require(batch.reader, batch, columns)
    correct = correct_of_rows(batch.arrow(SETTINGS.name)) if SETTINGS.name in batch else CORRECT
    where = Where(ids=partial(batch.__getitem__, ID.name) if ID.name in batch else None, of=" of the batch")
    return [count_rewards(batch.reader, column, batch.arrow(column.name), correct, where) for column in columns]


def scores(values: NDArray[Any], has_score: NDArray[np.bool_]) -> list[Any]:
    """Scores as Python numbers; None where the row has none."""
    import numpy as np

    numbers: list[Any] = values.tolist()
    for row in np.flatnonzero(~has_score).tolist():
        numbers[row] = None
    return numbers
