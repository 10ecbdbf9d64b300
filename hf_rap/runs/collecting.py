"""The evidence of a dataset or a stream by way of a run folder, in one call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_rap.tables import whole_or_stream

from .fill import Run
from .shards import collect_stream

if TYPE_CHECKING:
    from hf_rap.evidence.collector import Collector


def collect_in_run(ds: Any, collector: Collector, url: str, **options: Any) -> Any:
    """The dataset with its evidence, by way of a run folder; computes only what the run does not hold.

    The same as `collect_evidence(ds, collector)`, however often it was interrupted. Options and errors
    are those of `Run`.

    Of a stream (`load_dataset(..., streaming=True)`) all rows are collected now, a few at a time: see
    `hf_rap.runs.shards`. What comes back is the stream with its evidence, which is read from the run.

    Args:
        ds: a `Dataset`, or a stream.
        collector: what makes the evidence, such as `Rollouts(engine)`.
        url: the run folder: a path, or any URL that fsspec opens.
        options: those of `hf_rap.runs.fill.Run`, such as `retry_errors=True`.

    """
    rows = whole_or_stream("collect_in_run", ds)
    if hasattr(rows, "num_shards") and not hasattr(rows, "num_rows"):
        return collect_stream(rows, collector, url, **options)
    with Run(rows, collector, url, **options) as run:
        run.fill()
        run.finish()
        return run.read()
