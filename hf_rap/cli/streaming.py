"""Rollouts of a stream: rows are read when they are asked for, and none lies on this disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .collecting import report, run_settings
from .options import make_layout, make_rollouts, refuse_together, settle_noting
from .output import note

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# What looks at all rows before it begins.
_NOT_OF_STREAMS = {
    "without": "--without compares all rows with a test set",
    "adaptive": "--adaptive decides over all rows",
    "probe": "--probe decides over all rows",
    "dry_run": "--dry-run spreads its rows over the whole set, whose size a stream does not tell",
    "ray": "--ray hands out rows that are known beforehand",
}


def stream_rollouts(sources: Sequence[str], out: Path | None, options: dict[str, Any], *, as_json: bool) -> None:
    """Collects what a stream has into a run, and writes its evidence where --out is given."""
    from hf_rap.rows.provenance import describe_source
    from hf_rap.rows.streams import stream_source
    from hf_rap.runs.collecting import collect_in_run
    from hf_rap.runs.fill import rank_and_world

    if options["run"] is None:
        raise click.UsageError("--streaming needs --run: a folder that keeps what is done.")
    if len(sources) > 1:
        raise click.UsageError("--streaming takes one SOURCE.")
    refuse_together(options, _NOT_OF_STREAMS, "leave out --streaming")
    (source,) = sources
    stream = stream_source(source)
    layout = settle_noting(make_layout(options, stream), stream)
    rank, world = rank_and_world()
    evidence = collect_in_run(
        stream,
        make_rollouts(options, layout),
        options["run"],
        rank=rank,
        world=world,
        **run_settings(options, "rollouts"),
    )
    if rank:
        note(f"process {rank} of {world} has done its rows")
        return
    info = describe_source(source, stream)
    report(
        evidence, {}, out, info, options, then="hf-rap score {} --out scored.parquet", layout=layout, as_json=as_json
    )
