"""Collect evidence over a dataset, and measure how long that takes."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from .errors import SettingError, SourceError

if TYPE_CHECKING:
    import datasets

    from .collector import Collector


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
