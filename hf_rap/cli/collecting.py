"""What `rollouts`, `attention` and `annotate-steps` share: evidence in one go, or by way of a run folder."""

from __future__ import annotations

import atexit
import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any, cast

import click

from hf_rap.errors import RunError, SourceError

from .output import note, paste, print_json, print_pairs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import datasets

    from hf_rap.adaptive.probing import Probing
    from hf_rap.adaptive.stopping import Exact, Sequential
    from hf_rap.evidence.collector import Collector
    from hf_rap.evidence.rollouts import Rollouts
    from hf_rap.rows.layouts import Layout
    from hf_rap.rows.provenance import SourceInfo


def check_usage(options: Mapping[str, Any], out: Path | None) -> None:
    """What has to be given together, before anything is loaded."""
    from hf_rap.runs.fill import rank_and_world

    if out is None and options["run"] is None:
        raise click.UsageError("Give --out FILE.parquet or --run URL.")
    if options.get("continue_cut") and (options["run"] is None or options["ray"] is not None):
        raise click.UsageError("--continue-cut goes on with the replies of a --run, and without --ray.")
    if options["partial"] and (options["run"] is None or options["ray"] is not None or options.get("adaptive")):
        raise click.UsageError("--partial reads what a --run holds so far: it goes with neither --ray nor --adaptive.")
    if options["max_total_tokens"] is not None and options["run"] is None:
        raise click.UsageError("--max-total-tokens needs --run: a folder that keeps what is done until it goes on.")
    if options["ray"] is not None and options["run"] is None:
        raise click.UsageError("--ray needs --run: a URL that every node of the cluster reaches.")
    if options["run"] is None and rank_and_world()[1] > 1:
        raise click.UsageError("Several processes need --run: without it each would do all rows.")


def collect(
    ds: datasets.Dataset,
    collector: Collector,
    options: Mapping[str, Any],
    *,
    wanted: bool,
    stopping: Exact | Sequential | None = None,
    probing: Probing | None = None,
) -> datasets.Dataset | None:
    """The evidence, by way of the run that `run_options` name if they do.

    Args:
        ds: the rows.
        collector: what to collect.
        options: those of `run_options`.
        wanted: a file is to be written from it.
        stopping: attempts are to be spared by it; then `collector` is a `Rollouts`.
        probing: rows are to be left out by a probe; the same.

    Returns:
        The rows with their evidence; None where another process gives them.
    """
    from hf_rap.adaptive.collect import collect_adaptive
    from hf_rap.adaptive.probed import collect_probed
    from hf_rap.evidence.collector import collect_evidence
    from hf_rap.runs.cluster import fill_on_ray
    from hf_rap.runs.fill import Run, rank_and_world

    if probing is not None:
        settings = {} if options["run"] is None else run_settings(options, collector.kind)
        rollouts = cast("Rollouts", collector)
        return collect_probed(ds, rollouts, probing=probing, stopping=stopping, url=options["run"], **settings)
    if options["run"] is None:
        return (
            collect_evidence(ds, collector)
            if stopping is None
            else collect_adaptive(ds, cast("Rollouts", collector), stopping)
        )
    if stopping is not None and options["ray"] is not None:
        raise click.UsageError("--adaptive asks in rounds, which --ray would load the model for each time.")
    rank, world = rank_and_world()
    settings = {"rank": rank, "world": world, **run_settings(options, collector.kind)}
    if stopping is not None:
        return collect_adaptive(ds, cast("Rollouts", collector), stopping, options["run"], **settings)
    with Run(ds, collector, options["run"], **settings) as run:
        if options["partial"]:
            missing = len(run.lacking())
            evidence = run.read(partial=True)
            note(f"--partial: {missing:,} of {len(ds):,} rows are not in the run yet, and are left out")
            return evidence
        if options["ray"] is None:
            run.fill()
        else:
            fill_on_ray(run, options["ray"], workers=options["ray_workers"])
        if rank or (world > 1 and not wanted):
            note(f"process {rank} of {world} has done its rows")
            return None
        run.finish()
        return run.read()


def run_settings(options: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """What `run_options` gathered, as `Run` takes it."""
    from hf_rap.runs.fill import rank_and_world

    names = ("rows_per_part", "retry_errors", "max_errors", "continue_cut", "max_total_tokens")
    settings = {name: options[name] for name in names if name in options}
    if options["trackio"] is not None:
        settings["log"] = _trackio_log(options["trackio"], f"{kind} {rank_and_world()[0]}")
    return settings


def report(
    evidence: datasets.Dataset,
    counts: dict[str, Any],
    out: Path | None,
    source: SourceInfo,
    options: Mapping[str, Any],
    *,
    then: str,
    layout: Layout | None,
    as_json: bool,
) -> None:
    """Write the file that was asked for, and say what there is now."""
    from .files import write_file

    result = dict(counts)
    if out is not None:
        try:
            write_file(evidence, out, source=source, layout=layout)
        except SourceError as error:
            if options["run"] is None:
                raise
            raise SourceError(
                f"{error} The evidence is in the run {options['run']}: the same command asks nothing again."
            ) from error
        result["file"] = str(out)
    if options["run"] is not None:
        result["run"] = options["run"]
    if as_json:
        print_json(result)
    else:
        print_pairs(result)
    if out is not None:
        note(f"next: {then.replace('{}', paste(out))}")


def _trackio_log(project: str, name: str) -> Callable[[dict[str, float]], object]:
    """What sends the numbers of each line of progress to trackio, a run of its own for each process."""
    try:
        import trackio
    except ImportError as error:
        raise RunError("--trackio needs trackio: pip install trackio.") from error
    with redirect_stdout(sys.stderr):  # it greets on stdout, which is for data
        trackio.init(project=project, name=name)

    def finish() -> None:
        with redirect_stdout(sys.stderr):
            trackio.finish()

    atexit.register(finish)
    log: Callable[[dict[str, float]], object] = trackio.log
    return log


def say_faster(options: Mapping[str, Any]) -> None:
    """Says that vLLM would have been faster where it would: on a GPU, instead of transformers."""
    from hf_rap.engines.loading import device_of_rank

    from .options import TRANSFORMERS, VLLM

    local = options["engine"] == TRANSFORMERS and options["endpoint"] is None
    if local and (options["device"] or device_of_rank(None)).startswith(("cuda", "auto")):
        note(
            f"on a GPU --engine {VLLM} is faster (pip install vllm); it makes other evidence, in a run folder of its own: "
            "docs/engines.md"
        )
