"""Run rollouts over a dataset and measure how long they take."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from .columns import IMAGE_TOKENS, TEXT_TOKENS, refuse_existing
from .errors import SettingError, SourceError
from .layouts import check_layout, recognise_layout

if TYPE_CHECKING:
    import datasets

    from .attention import Attention
    from .rollouts import Rollouts

ROWS_PER_STEP = 64  # rows between two moves of the progress bar; the engine batches on its own


def collect_evidence(
    ds: datasets.Dataset, rollouts: Rollouts | Attention, *, rows_per_step: int = ROWS_PER_STEP
) -> datasets.Dataset:
    """The dataset with the evidence columns of `rollouts` (or of an `Attention`) added.

    The same evidence as `ds.map(rollouts, batched=True)`, but columns are checked before the model
    is loaded, the images are not written a second time, and the progress bar moves every few rows.

    Raises:
        SourceError: the dataset has no rows.
        LayoutError, MissingColumnError, ColumnExistsError: the columns do not fit.
        EngineError: the model cannot be loaded, or fails on all of its first rows.
    """
    import datasets

    if len(ds) == 0:
        raise SourceError("The dataset has no rows.")
    check_layout(rollouts.layout or recognise_layout(ds.features), ds.features)
    refuse_existing(type(rollouts).__name__, ds.column_names, rollouts.writes)
    evidence = ds.with_format(None).map(
        rollouts,
        batched=True,
        batch_size=rows_per_step,
        remove_columns=ds.column_names,
        features=rollouts.features,
        desc=type(rollouts).__name__.lower(),
    )
    return datasets.concatenate_datasets([ds.with_format(None), evidence], axis=1)


@dataclass(frozen=True)
class Estimate:
    """What a run over all rows would take, from a measured sample of them."""

    rows_measured: int
    seconds_measured: float
    rows: int
    rows_per_second: float
    tokens_per_second: float
    hours: float
    price: float | None = None
    """Hours times the price of one, in its currency; None where no price was given."""

    def as_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return asdict(self)


def estimate(ds: datasets.Dataset, rollouts: Rollouts, *, rows: int, gpu_hour_price: float | None = None) -> Estimate:
    """Times `rollouts` on `rows` rows spread evenly over the dataset; the loading of the model does not count.

    Raises:
        SettingError: rows below 1.
    """
    if rows < 1:
        raise SettingError(f"An estimate needs at least 1 row, got {rows}.")
    rows = min(rows, len(ds))
    sample = ds.select([index * len(ds) // rows for index in range(rows)])

    def answer(rows: datasets.Dataset) -> datasets.Dataset:
        return rows.with_format(None).map(
            rollouts, batched=True, remove_columns=ds.column_names, load_from_cache_file=False, desc="estimate"
        )

    answer(sample.select([0]))  # loads the model and warms up
    started = time.perf_counter()
    evidence = answer(sample)
    seconds = time.perf_counter() - started
    counts = [one for column in (IMAGE_TOKENS, TEXT_TOKENS) for each in evidence[column.name] for one in each or ()]
    tokens = sum(one or 0 for one in counts)
    hours = len(ds) / rows * seconds / 3600
    price = None if gpu_hour_price is None else hours * gpu_hour_price
    return Estimate(rows, seconds, len(ds), rows / seconds, tokens / seconds, hours, price)
