"""hf-rap rollouts: ask the model every question with and without its images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .collecting import check_usage, collect, report, say_faster
from .options import (
    adaptive_options,
    as_json,
    command,
    engine_options,
    grading_options,
    layout_options,
    make_rollouts,
    make_stopping,
    model_options,
    out_option,
    rule_options,
    run_options,
    sampling_options,
    settle_noting,
    sources_argument,
    together,
)
from .output import pairs_of_cut, print_adaptive, print_health, print_json, print_pairs
from .probing import make_probing, print_probed, probe_options
from .streaming import stream_rollouts

if TYPE_CHECKING:
    from pathlib import Path

    import datasets

    from hf_rap.evidence.rollouts import Rollouts


_continue_cut = click.option(
    "--continue-cut",
    is_flag=True,
    help="With --run: go on with replies that were cut off at fewer tokens than --max-new-tokens, and with no others.",
)
_streaming = click.option(
    "--streaming", is_flag=True, help="With --run: read rows when they are asked for, for a set that fits no disk."
)


@command()
@sources_argument
@layout_options
@model_options
@engine_options
@sampling_options
@grading_options
@run_options
@together([_continue_cut, _streaming], title="Run folder")
@rule_options
@adaptive_options
@probe_options
@out_option("Parquet file to write; needed without --run or --dry-run.")
@click.option("--dry-run", type=int, metavar="N", help="Only time N rows and estimate the whole.")
@click.option("--gpu-hour-price", type=float, help="With --dry-run: also estimate the money.")
@as_json
def rollouts(
    sources: tuple[str, ...],
    *,
    out: Path | None,
    streaming: bool,
    dry_run: int | None,
    gpu_hour_price: float | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Collect evidence for SOURCE, or several as one dataset: replies with and without the image, graded.

    With --run everything is written into a run folder as it is made: start the same command again
    after whatever happened, and it goes on. `accelerate launch -m hf_rap rollouts ...` shares the
    rows of a run between processes and machines. With --adaptive a row gets only the attempts that its
    decision needs; --min-cde, --keep-easy and --min-replacement-cde say which decision. With --probe rows
    that are not worth it get none; the same --run without it rolls them out later.

    Example: hf-rap rollouts hiyouga/geometry3k --model Qwen/Qwen2.5-VL-3B-Instruct --run geo-run --out evidence.parquet

    In Python: hf_rap.collect_in_run(ds, hf_rap.Rollouts(hf_rap.TransformersEngine(model)), url)
    """
    from hf_rap.rows.turns import each_turn
    from hf_rap.stats.health import check_health
    from hf_rap.versions.adaptive_facts import describe_adaptive
    from hf_rap.versions.probe_facts import describe_probed

    from .opening import open_rows

    stopping = make_stopping(options)
    probing = make_probing({**options, "dry_run": dry_run})
    if streaming:
        stream_rollouts(sources, out, {**options, "dry_run": dry_run}, as_json=as_json)
        return
    if dry_run is None:
        check_usage(options, out)
    ds, info, layout = open_rows(sources, options)
    ds, layout = each_turn(ds, layout)
    layout = settle_noting(layout, ds)
    if dry_run is not None:
        print_estimate(ds, make_rollouts(options, layout), rows=dry_run, gpu_hour_price=gpu_hour_price, as_json=as_json)
        return
    collector = make_rollouts(options, layout)
    evidence = collect(ds, collector, options, wanted=out is not None, stopping=stopping, probing=probing)
    if evidence is None:
        return
    probed = describe_probed(evidence)
    if not as_json:
        print_adaptive(describe_adaptive(evidence))
        print_probed(probed)
    result = {
        "rows": len(evidence),
        "rows with rap_error": sum(error is not None for error in evidence["rap_error"]),
        **pairs_of_cut(evidence, as_json=as_json),
    }
    health = check_health(evidence).as_dict()
    if as_json:
        result["health"] = health
        if probing is not None:
            result["probe"] = probed
    report(
        evidence,
        result,
        out,
        info,
        options,
        then="hf-rap score {} --out scored.parquet",
        layout=layout,
        as_json=as_json,
    )
    if not as_json:
        print_health(health)
    say_faster(options)


def print_estimate(
    ds: datasets.Dataset,
    collector: Rollouts,
    *,
    rows: int,
    gpu_hour_price: float | None = None,
    as_json: bool,
) -> None:
    """What the whole of `ds` would take, measured on a few of its rows."""
    from hf_rap.evidence.collector import estimate

    forecast = estimate(ds, collector, rows=rows, gpu_hour_price=gpu_hour_price)
    if as_json:
        print_json(forecast.as_dict())
        return
    pairs = {
        "measured": f"{forecast.rows_measured} rows in {forecast.seconds_measured:.1f} s, model already loaded",
        "rate": f"{forecast.rows_per_second:.2f} rows/s, {forecast.tokens_per_second or 0:.0f} tokens/s",
        "all rows": f"{forecast.rows:,} rows, {forecast.time}",
    }
    if forecast.price is not None:
        pairs["price"] = f"about {forecast.price:,.2f}, at {gpu_hour_price:,.2f} an hour on one GPU"
    print_pairs(pairs)
