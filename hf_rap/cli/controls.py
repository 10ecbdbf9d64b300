"""hf-rap controls: the same questions with a blank picture, or with another row's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hf_rap.columns import CONTROLS

from .collecting import check_usage, collect, report
from .options import (
    as_json,
    command,
    engine_options,
    grader_options,
    layout_options,
    make_engine,
    make_grading,
    model_options,
    out_option,
    run_options,
    settle_layout,
    source_argument,
)

if TYPE_CHECKING:
    from pathlib import Path


@command()
@source_argument
@layout_options
@model_options
@engine_options
@grader_options
@click.option("--arms", default=",".join(CONTROLS), show_default=True, help="Comma-separated.")
@click.option("--seed", default=0, show_default=True, help="Of who gives pictures to whom.")
@click.option("--donors-per-row", type=int, help="Givers of pictures to a row; default: one for each attempt.")
@run_options
@out_option("Parquet file to write; needed without --run.")
@as_json
def controls(
    source: str,
    *,
    arms: str,
    seed: int,
    donors_per_row: int | None,
    out: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Add replies with other pictures to the evidence in SOURCE: is it this image that is needed?

    blank is a grey picture of the same size, shuffled the pictures of other rows. Attempts, sampling and
    instruction are those of the replies that are there, from the same model.

    Example: hf-rap controls evidence.parquet --model Qwen/Qwen2.5-VL-3B-Instruct --out controlled.parquet

    In Python: hf_rap.collect_evidence(ds, hf_rap.Controls(hf_rap.TransformersEngine(model)))
    """
    from hf_rap.evidence.controls import Controls

    from .files import open_source

    check_usage(options, out)
    ds, info = open_source(source)
    layout = settle_layout(options, ds, source)
    collector = Controls(
        make_engine(options),
        arms=tuple(name.strip() for name in arms.split(",") if name.strip()),
        seed=seed,
        donors_per_row=donors_per_row,
        layout=layout,
        **make_grading(options),
    )
    evidence = collect(ds, collector, options, wanted=out is not None)
    if evidence is None:
        return
    result = {"rows": len(evidence)}
    for arm in collector.arms:
        name = CONTROLS[arm].error.name
        result[f"rows with {name}"] = len(evidence) - evidence.data.column(name).null_count
    then = f"hf-rap compare {{}} --methods {','.join(['rap', *(f'rap:{arm}' for arm in collector.arms)])}"
    report(evidence, result, out, info, options, then=then, layout=layout, as_json=as_json)
