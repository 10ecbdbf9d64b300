"""A cheap first look: rows whose gold answer the image hardly makes likelier are not rolled out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_rap.columns import ERROR, ID, LIKELIHOOD_CDE, require
from hf_rap.errors import RowError, SettingError
from hf_rap.options import check, check_flags
from hf_rap.rows.cells import rows_of
from hf_rap.rows.questions import row_id
from hf_rap.stats.arrays import arrow_columns, numbers_of
from hf_rap.stats.thresholds import Quantile, threshold
from hf_rap.tables import whole_dataset

if TYPE_CHECKING:
    from collections.abc import Callable

    import datasets

    from hf_rap.evidence.collector import Collector


@dataclass(frozen=True)
class Prescreened:
    """What `collect_prescreened` gives.

    Attributes:
        evidence: all rows in their order; those that were left out have nulls, and say so in `rap_error`. None
            where `collect` gave None.
        cut: rows with a `rap_likelihood_cde` below it were left out.
        left_out: how many.

    """

    evidence: Any
    cut: float
    left_out: int


def collect_prescreened(
    ds: datasets.Dataset,
    collector: Collector,
    *,
    min_likelihood_cde: float | str | Quantile,
    either_way: bool = False,
    collect: Callable[[datasets.Dataset, Collector], datasets.Dataset | None] | None = None,
) -> Prescreened:
    """The evidence of the rows that pass a cheap first look; the others stay, with the reason.

    A row is left out when its `rap_likelihood_cde` is below the cut. A row where that is unknown is not:
    unknown is not low. What is left out has no cde, so it can be neither selected nor take the place of
    another row, and its `rap_reason` becomes "below_prescreen".

    `docs/likelihood.md` says how many rows worth keeping are lost that way: nothing here is done
    unless it is asked for.

    Args:
        ds: rows with `rap_likelihood_cde` (`Likelihood`, then `likelihood_cde_score`).
        collector: what collects the evidence: `Rollouts`.
        min_likelihood_cde: a number, or a quantile of the known scores: "q0.3" leaves out the rows below it,
            about three tenths.
        either_way: go by the size of the score, whatever its sign: leave out the rows whose gold answer the
            image makes neither likelier nor less likely. A model that is misled at a first look may still
            come to the answer when it thinks.
        collect: how; `collect_evidence` by default. With a run folder
            `lambda ds, collector: collect_in_run(ds, collector, url)`: the pre-screen is no part of what a run
            depends on, so that another cut reuses all that is there.

    Raises:
        MissingColumnError: `rap_likelihood_cde` is not there.
        SettingError: the cut is neither a finite number nor a quantile, or no row passes.

    """
    import datasets
    import numpy as np

    from hf_rap.evidence.collector import check_collector, collect_evidence

    ds = whole_dataset("collect_prescreened", ds)
    check_collector(collector)
    limit = threshold("min_likelihood_cde", min_likelihood_cde, -_HIGHEST, _HIGHEST)
    check_flags(either_way=either_way)
    check(collect is None or callable(collect), "collect", collect, "a function of rows and collector, or None")
    require("collect_prescreened", ds.column_names, (LIKELIHOOD_CDE,))
    layout = collector.check(ds.features)
    scores = numbers_of(arrow_columns(ds, [LIKELIHOOD_CDE.name])[LIKELIHOOD_CDE.name])
    scores = np.abs(scores) if either_way else scores
    cut = limit.of(scores) if isinstance(limit, Quantile) else limit
    left_out = scores < cut  # NaN, the unknown, is not
    passed = np.flatnonzero(~left_out)
    if not len(passed):
        raise SettingError(f"No row has a {LIKELIHOOD_CDE.name} of at least {cut:g}: lower the cut.")
    collected = (collect or collect_evidence)(ds.select(passed), collector)
    if collected is None:
        return Prescreened(None, cut, len(ds) - len(passed))
    evidence = collected.select_columns([column.name for column in collector.writes])
    stored = ds.with_format("arrow")
    read = layout.columns_in(ds.column_names)

    def unasked(batch: dict[str, list[int]]) -> dict[str, list[Any]]:
        """The evidence of rows that were left out: an id and an error."""
        rows = rows_of(stored.select_columns(read)[batch["number"]])
        ids = [row_id(row, layout) for row in rows]
        errors = [str(_error(float(scores[number]), cut, size=either_way)) for number in batch["number"]]
        columns = {ID.name: ids, ERROR.name: errors}
        return {name: columns.get(name, [None] * len(rows)) for name in evidence.column_names}

    parts = [evidence.with_format(None)]
    numbers = np.flatnonzero(left_out)
    if len(numbers):
        parts.append(
            datasets.Dataset.from_dict({"number": numbers}).map(
                unasked,
                batched=True,
                batch_size=64,
                remove_columns="number",
                features=collector.features,
                load_from_cache_file=False,
                desc="left out",
            )
        )
    joined = datasets.concatenate_datasets(parts).select(np.argsort(np.concatenate([passed, numbers])))
    whole = datasets.concatenate_datasets([ds.with_format(None), joined.flatten_indices()], axis=1)
    return Prescreened(whole, cut, len(numbers))


_HIGHEST = 1e9  # nats; any finite number may be a cut


def _error(score: float, cut: float, *, size: bool) -> RowError:
    what = "the size of likelihood_cde" if size else "likelihood_cde"
    return RowError("below_prescreen", f"{what} is {score:.4g}, below {cut:.4g}: not rolled out")
