"""What every maker of evidence tells of itself, so that runs and clusters need not know which one it is, and how it goes over a dataset."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from hf_rap.columns import ERROR, features_of, refuse_existing
from hf_rap.engines.options import not_counted
from hf_rap.errors import SettingError, SourceError
from hf_rap.rows.layouts import Layout, check_layout, recognise_layout, row_id
from hf_rap.settings import set_apart
from hf_rap.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import datasets
    from typing_extensions import Self

    from hf_rap.columns import Column
    from hf_rap.engines.base import Engine

ROWS_AT_ONCE = 64  # the engine batches on its own
# Not a failure: the row is what it is.
_NO_FAULT = "no_image"


class Collector:
    """Makes evidence for batches of rows: `Rollouts`, `Attention`, `Likelihood`, `Controls` or `StepRewards`.

    The way of one row:

        layout = collector.check(ds.features)              # do the columns fit? before a model is loaded
        collector = collector.over(ds)                     # for those that look at other rows, too
        names = layout.columns, collector.reads(ds.features)  # all that the evidence depends on, with `settings`
        row_id = collector.row_id(row, layout)             # what people know the row by
        first, attempts = what it has not yet, of collector.goal
        evidence = collector.only(first, attempts, arm)(batch)  # the columns of collector.writes; None: every arm
        collector.failures(evidence), collector.tokens(evidence)
        collector.join({arm: [(range, evidence), ...]}, {arm: attempts})  # one row from what was collected at several times

    Only rollouts have attempts to add to: `goal` is 1 and `only` and `join` do nothing elsewhere.
    """

    kind: ClassVar[str]
    """What it makes, for people."""
    tops_up: ClassVar[bool] = False
    """A row that has some attempts can get more."""
    separate_arms: ClassVar[tuple[str | None, ...]] = (None,)
    """What has attempts of its own, which can be collected one by one; (None,) for evidence that is made as a whole."""

    engine: Engine
    layout: Layout | None

    @property
    def writes(self) -> tuple[Column, ...]:
        """The columns that are added."""
        raise NotImplementedError

    @property
    def features(self) -> datasets.Features:
        """The types of the columns that are added."""
        return features_of(self.writes)

    @property
    def goal(self) -> int:
        """Attempts that a row is to have."""
        return 1

    @property
    def rows_at_once(self) -> int:
        """Rows to hand over together: enough to keep the engine busy, few enough to lose."""
        return getattr(self.engine, "rows_per_part", ROWS_AT_ONCE)

    def settings(self) -> dict[str, Any]:
        """JSON-able: everything that could change the evidence of a row, and what is only written down beside it.

        `hf_rap.settings.counted` tells the two apart. Loads the model.
        """
        raise NotImplementedError

    def told(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """These settings with the version of hf_rap, and with the names of those that are not counted."""
        return set_apart({**settings, "hf_rap": VERSION}, "hf_rap", *not_counted(self))

    def identify(self) -> None:
        """Find out which model it is, before anything is asked or looked up: a folder is read again.

        Raises:
            EngineError: it cannot be found.
        """
        identify = getattr(self.engine, "identify", None)
        if identify is not None:
            identify()

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Evidence for the rows of `batch`, as new columns."""
        raise NotImplementedError

    def reads(self, available: Iterable[str]) -> tuple[str, ...]:
        """The columns that are read beside those of the layout.

        Raises:
            MissingColumnError: one that has to be there is not `available`.
        """
        del available
        return ()

    def check(self, available: Iterable[str]) -> Layout:
        """The layout of a dataset with these columns.

        Args:
            available: `ds.features`, or just the names.

        Raises:
            LayoutError: the layout is not recognised, or a column is missing.
            ColumnExistsError: a column that would be written is there already.
        """
        self.reads(available)
        refuse_existing(type(self).__name__, available, self.writes)
        layout = self.layout or recognise_layout(available)
        check_layout(layout, available)
        return layout

    def row_id(self, row: Mapping[str, Any], layout: Layout) -> str:
        """What people know the row by; `row` has the columns of the layout and of `reads`."""
        return row_id(row, layout)

    def over(self, ds: datasets.Dataset) -> Self:
        """The same, once it knows all the rows that it will get; most need not know."""
        del ds
        return self

    def only(self, first: int, attempts: int, arm: str | None = None) -> Self:
        """The same for these attempts alone, of one arm or of all."""
        del first, attempts, arm
        return self

    def join(
        self, pieces: Mapping[str | None, Sequence[tuple[range, Mapping[str, Any]]]], attempts: Mapping[str | None, int]
    ) -> dict[str, Any]:
        """One row of evidence from those of its attempts, which follow each other, with so many attempts per arm."""
        del attempts
        ((_, row),) = pieces[None]
        return dict(row)

    def failures(self, evidence: Mapping[str, Sequence[Any]]) -> list[str | None]:
        """Per row an error that another try could change, or that a person should look at."""
        errors: Sequence[str | None] = evidence[ERROR.name]
        return [None if error is None or error.startswith(_NO_FAULT) else error for error in errors]

    def tokens(self, evidence: Mapping[str, Sequence[Any]]) -> int | None:
        """Tokens that the model wrote or read for these rows; None where that is not counted."""
        del evidence
        return None


def collect_evidence(
    ds: datasets.Dataset, collector: Collector, *, rows_per_step: int | None = None
) -> datasets.Dataset:
    """The dataset with the columns of `collector` added: `Rollouts`, `Attention`, `Likelihood`, `Controls`, ...

    The same as `ds.map(collector, batched=True)`, but columns are checked before the model is
    loaded, the images are not written a second time, and the progress bar moves every `rows_per_step`
    rows (None: `collector.rows_at_once`).

    Raises:
        SourceError: the dataset has no rows.
        LayoutError, MissingColumnError, ColumnExistsError: the columns do not fit.
        EngineError: the model cannot be loaded, or fails on all of its first rows.
    """
    import datasets

    if len(ds) == 0:
        raise SourceError("The dataset has no rows.")
    collector.check(ds.features)
    collector.identify()
    collector = collector.over(ds)
    evidence = ds.with_format(None).map(
        collector,
        batched=True,
        batch_size=rows_per_step or collector.rows_at_once,
        remove_columns=ds.column_names,
        features=collector.features,
        desc=collector.kind,
    )
    return datasets.concatenate_datasets([ds.with_format(None), evidence], axis=1)


@dataclass(frozen=True)
class Estimate:
    """What a run over all rows would take, from a measured sample of them."""

    rows_measured: int
    seconds_measured: float
    rows: int
    rows_per_second: float
    tokens_per_second: float | None
    hours: float
    price: float | None = None
    """Hours times the price of one, in its currency; None where no price was given."""

    def as_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return asdict(self)


def estimate(ds: datasets.Dataset, collector: Collector, *, rows: int, gpu_hour_price: float | None = None) -> Estimate:
    """Times `collector` on `rows` rows spread evenly over the dataset; the loading of the model does not count.

    Raises:
        SettingError: rows below 1.
    """
    if rows < 1:
        raise SettingError(f"An estimate needs at least 1 row, got {rows}.")
    rows = min(rows, len(ds))
    collector = collector.over(ds)
    sample = ds.select([index * len(ds) // rows for index in range(rows)])

    def answer(rows: datasets.Dataset) -> datasets.Dataset:
        return rows.with_format(None).map(
            collector, batched=True, remove_columns=ds.column_names, load_from_cache_file=False, desc="estimate"
        )

    answer(sample.select([0]))  # loads the model and warms up
    started = time.perf_counter()
    evidence = answer(sample)
    seconds = time.perf_counter() - started
    tokens = collector.tokens(evidence)
    hours = len(ds) / rows * seconds / 3600
    price = None if gpu_hour_price is None else hours * gpu_hour_price
    rate = None if tokens is None else tokens / seconds
    return Estimate(rows, seconds, len(ds), rows / seconds, rate, hours, price)
