"""hf-rap rollouts: ask the model every question with and without its images."""

from __future__ import annotations

import atexit
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hf_rap.errors import RunError

from .options import (
    as_json,
    endpoint_options,
    layout_options,
    make_rollouts,
    model_options,
    run_options,
    sampling_options,
    source_argument,
)
from .output import note, print_json, print_pairs

if TYPE_CHECKING:
    from collections.abc import Callable

    import datasets

    from hf_rap.rollouts import Rollouts


@click.command()
@source_argument
@layout_options
@model_options
@endpoint_options
@sampling_options
@run_options
@click.option(
    "--out", type=click.Path(path_type=Path), help="Parquet file to write; needed without --run or --dry-run."
)
@click.option("--dry-run", type=int, metavar="N", help="Only time N rows and estimate the whole.")
@click.option("--gpu-hour-price", type=float, help="With --dry-run: also estimate the money.")
@as_json
def rollouts(
    source: str,
    *,
    out: Path | None,
    dry_run: int | None,
    gpu_hour_price: float | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Collect evidence for SOURCE: replies with and without the image, graded.

    With --run everything is written into a run folder as it is made: start the same command again
    after whatever happened, and it goes on. `accelerate launch -m hf_rap rollouts ...` shares the
    rows of a run between processes and machines.

    Example: hf-rap rollouts hiyouga/geometry3k --model Qwen/Qwen2.5-VL-3B-Instruct --run geo-run --out evidence.parquet

    In Python: hf_rap.collect_in_run(ds, hf_rap.Rollouts(hf_rap.TransformersEngine(model)), url)
    """
    from hf_rap.collect import collect_evidence
    from hf_rap.files import open_source, write_file

    if out is None and dry_run is None and options["run"] is None:
        raise click.UsageError("Give --out FILE.parquet, --run URL, or --dry-run N.")
    if options["ray"] is not None and options["run"] is None:
        raise click.UsageError("--ray needs --run: a URL that every node of the cluster reaches.")
    ds, info = open_source(source)
    if dry_run is not None:
        print_estimate(ds, options, rows=dry_run, gpu_hour_price=gpu_hour_price, as_json=as_json)
        return
    collector = make_rollouts(options)
    if options["run"] is None:
        evidence: datasets.Dataset | None = collect_evidence(ds, collector)
    else:
        evidence = _through_a_run(ds, collector, options, wanted=out is not None)
    if evidence is None:
        return
    result: dict[str, Any] = {
        "rows": len(evidence),
        "rows with rap_error": sum(error is not None for error in evidence["rap_error"]),
    }
    if out is not None:
        write_file(evidence, out, source=info)
        result["file"] = str(out)
    if options["run"] is not None:
        result["run"] = options["run"]
    if as_json:
        print_json(result)
    else:
        print_pairs(result)
    if out is not None:
        note(f"next: hf-rap score {out} --out scored.parquet")


def _through_a_run(
    ds: datasets.Dataset, collector: Rollouts, options: dict[str, Any], *, wanted: bool
) -> datasets.Dataset | None:
    """The evidence by way of a run folder; None where another process gives it."""
    from hf_rap.runs.cluster import fill_on_ray
    from hf_rap.runs.fill import Run, rank_and_world

    rank, world = rank_and_world()
    settings = {name: options[name] for name in ("rows_per_part", "retry_errors", "max_errors")}
    log = None if options["trackio"] is None else _trackio_log(options["trackio"], rank)
    with Run(ds, collector, options["run"], rank=rank, world=world, log=log, **settings) as run:
        if options["ray"] is None:
            run.fill()
        else:
            fill_on_ray(run, options["ray"], workers=options["ray_workers"])
        if rank or (world > 1 and not wanted):
            note(f"process {rank} of {world} has done its rows")
            return None
        run.finish()
        return run.read()


def _trackio_log(project: str, rank: int) -> Callable[[dict[str, float]], object]:
    """What sends the numbers of each line of progress to trackio, a run of its own for each process."""
    try:
        import trackio
    except ImportError as error:
        raise RunError("--trackio needs trackio: pip install trackio.") from error
    with redirect_stdout(sys.stderr):  # it greets on stdout, which is for data
        trackio.init(project=project, name=f"rollouts-{rank}")

    def finish() -> None:
        with redirect_stdout(sys.stderr):
            trackio.finish()

    atexit.register(finish)
    log: Callable[[dict[str, float]], object] = trackio.log
    return log


def print_estimate(
    ds: datasets.Dataset,
    options: dict[str, Any],
    *,
    rows: int,
    gpu_hour_price: float | None = None,
    as_json: bool,
) -> None:
    """What the whole of `ds` would take, measured on a few of its rows."""
    from hf_rap.collect import estimate
    from hf_rap.runs.progress import duration

    found = estimate(ds, make_rollouts(options), rows=rows, gpu_hour_price=gpu_hour_price)
    if as_json:
        print_json(found.as_dict())
        return
    pairs = {
        "measured": f"{found.rows_measured} rows in {found.seconds_measured:.1f} s, model already loaded",
        "rate": f"{found.rows_per_second:.2f} rows/s, {found.tokens_per_second:.0f} tokens/s",
        "all rows": f"{found.rows:,} rows, about {duration(found.hours * 3600)}",
    }
    if found.price is not None:
        pairs["price"] = f"about {found.price:,.2f}, at {gpu_hour_price:,.2f} an hour on one GPU"
    print_pairs(pairs)
