"""What a scorer is, how scorers are applied to a dataset, and how they read rewards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from hf_rap.columns import (
    ID,
    SETTINGS,
    Column,
    refuse_existing,
    require,
    typed,
)
from hf_rap.errors import LayoutError, SettingError
from hf_rap.options import check
from hf_rap.stats.exact import as_double
from hf_rap.stats.settings import correct_of

from .results import Results, check_columns

if TYPE_CHECKING:
    from fractions import Fraction

    import datasets

# The sum of the known rewards of a row, and how many are known.
Tally: TypeAlias = "tuple[int | Fraction, int]"

MAX_BAD_ROWS_SHOWN = 5
ROWS_PER_BATCH = 10_000  # only the columns that a score reads are taken from a batch


_OURS = "hf_rap."


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


def add_scores(ds: Any, *scorers: Scorer) -> Any:
    """The dataset with the scores of these scorers as further columns.

    The same numbers as `ds.map(scorer, batched=True)` one after the other, but columns are checked
    before any work starts, nothing is overwritten, and the columns that are there (images above
    all) are not written a second time: only the scores are. A dataset with an indices mapping
    (after `filter`, `shuffle` or `select`) is flattened first, as by `Dataset.add_column`.

    Args:
        ds: a `Dataset` or an `IterableDataset`. Where the columns of a streamed dataset are not
            known, a missing one shows only when the first batch is read.
        scorers: a later one may read what an earlier one writes.

    Raises:
        MissingColumnError: a column to be read is absent.
        ColumnExistsError: a column to be written is there already.

    """
    import datasets

    if not isinstance(ds, (datasets.Dataset, datasets.IterableDataset)):
        raise SettingError(f"add_scores takes one Dataset or IterableDataset, not a {type(ds).__name__}.")
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
        ds = add(ds, scorer if type(scorer).__module__.startswith(_OURS) else Checked(scorer))
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
class Checked:
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
        return typed(Results(type(self.scorer).__name__, self.scorer, batch, names).read(self.writes))


def _add_to_table(ds: Any, scorer: Scorer) -> Any:
    features = scorer.features
    plain = ds.with_format(None)
    scores = plain.map(
        scorer, batched=True, batch_size=ROWS_PER_BATCH, remove_columns=ds.column_names, features=features
    )
    for name, feature in features.items():
        # Dataset.map adds no columns to a dataset without rows.
        column = scores.data.column(name) if len(ds) else []
        ds = ds.add_column(name, column, feature=feature)
    return ds


def _add_to_stream(ds: Any, scorer: Scorer) -> Any:
    features = None if ds.features is None else type(ds.features)({**ds.features, **scorer.features})
    return ds.map(scorer, batched=True, features=features)


def tallies(reader: str, batch: Mapping[str, Any], column: Column) -> list[tuple[int, int]]:
    """For each row of a batch: how many of its attempts count as solved, and how many are judged.

    Solved is a reward of at least 1, or of what `rap_settings` says where it is there (`hf_rap.stats.counts.correct_of`).
    A reward that is null was not judged and counts in neither. No rewards at all give (0, 0).

    >>> from hf_rap.columns import IMAGE_REWARDS
    >>> tallies("example", {"rap_image_rewards": [[1, 0, None, 1], [0.1, 0.9], [None], None]}, IMAGE_REWARDS)
    [(2, 3), (0, 2), (0, 0), (0, 0)]

    Raises:
        MissingColumnError: the column is absent.
        SettingError: what came is no batch of rows.
        LayoutError: a reward is NaN or outside [0, 1].

    """
    counted, bad = [], []
    rows = _rows(reader, batch, column)
    settings = batch.get(SETTINGS.name) or [None] * len(rows)
    for index, (rewards, text) in enumerate(zip(rows, settings, strict=True)):
        values = [] if rewards is None else [reward for reward in rewards if reward is not None]
        wrong = [reward for reward in values if not 0 <= reward <= 1]  # NaN is not >= 0 either
        if wrong:
            bad.append((index, wrong[0]))
        else:
            correct = correct_of(text)
            counted.append((sum(as_double(reward) >= correct for reward in values), len(values)))
    if bad:
        raise LayoutError(_bad_rewards(reader, batch, column, bad))
    return counted


def _rows(reader: str, batch: Mapping[str, Any], column: Column) -> Any:
    if isinstance(batch, Mapping):
        require(reader, batch, (column,))
        rows = batch[column.name]
        # One row instead of a batch has the rewards themselves here.
        if rows is not None and not any(isinstance(rewards, (int, float)) for rewards in rows):
            return rows
    raise SettingError(
        f"{reader} takes batches of Python lists: ds.map(..., batched=True), "
        "where a dataset formatted as arrow, pandas or polars goes through ds.with_format(None) first."
    )


def _bad_rewards(reader: str, batch: Mapping[str, Any], column: Column, bad: list[tuple[int, float]]) -> str:
    ids = batch.get(ID.name)
    shown = [
        f"row {index} of the batch{f' ({ID.name} {ids[index]!r})' if ids is not None else ''} has {reward}"
        for index, reward in bad[:MAX_BAD_ROWS_SHOWN]
    ]
    if len(bad) > MAX_BAD_ROWS_SHOWN:
        shown.append(f"and {len(bad) - MAX_BAD_ROWS_SHOWN} more rows")
    return (
        f"{reader} reads rewards in [0, 1] or null from {column.name!r}, but {', '.join(shown)}. "
        "Scale the rewards, and store null where an attempt was not judged "
        "(the numpy and torch formats turn null into NaN: ds.with_format(None))."
    )
