"""hf-rap annotate-steps: score every step of a response by continuing it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .collecting import check_usage, collect, report
from .options import (
    as_json,
    command,
    drawing_options,
    engine_options,
    layout_options,
    make_engine,
    make_prompt,
    model_options,
    out_option,
    run_options,
    settle_layout,
    source_argument,
)

if TYPE_CHECKING:
    from pathlib import Path


@command(name="annotate-steps")
@source_argument
@layout_options
@model_options
@engine_options
@drawing_options
@click.option("--response", default="response", show_default=True, help="Column of the response.")
@click.option(
    "--steps-by",
    metavar="MODULE:ATTRIBUTE",
    default="hf_rap.process.steps:split_steps",
    show_default=True,
    help="What takes a response apart: text -> its steps.",
)
@click.option("--continuations", default=16, show_default=True, help="Samples from the end of every step.")
@click.option("--early-stop", is_flag=True, help="After the first step without success, later steps are 0 unsampled.")
@run_options
@out_option("Parquet file to write; needed without --run.")
@as_json
def annotate_steps(
    source: str,
    *,
    response: str,
    steps_by: str,
    continuations: int,
    early_stop: bool,
    out: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Split each response of SOURCE into steps, and score every step by where it leads.

    The replies of `hf-rap rollouts` are taken one by one where there is no such column. With --run it
    survives whatever happens to it, as `hf-rap rollouts --run` does.

    Example: hf-rap annotate-steps evidence.parquet --model Qwen/Qwen2.5-VL-3B-Instruct --out annotated.parquet

    In Python: ds.map(hf_rap.StepRewards(hf_rap.TransformersEngine(model)), batched=True)
    """
    from hf_rap.columns import IMAGE_RESPONSES
    from hf_rap.plugins import object_at
    from hf_rap.process import StepRewards, count_faults, one_row_per_response

    from .files import open_source

    check_usage(options, out)
    ds, info = open_source(source)
    if response not in ds.column_names and IMAGE_RESPONSES.name in ds.column_names:
        ds = one_row_per_response(ds, column=response)
    layout = settle_layout(options, ds, source)
    rewards = StepRewards(
        make_engine(options),
        continuations=continuations,
        response=response,
        split=object_at(steps_by, "--steps-by", "my_steps:by_sentence"),
        early_stop=early_stop,
        **{name: options[name] for name in ("temperature", "top_p", "top_k", "max_new_tokens", "seed")},
        prompt=make_prompt(options, "default"),
        layout=layout,
    )
    annotated = collect(ds, rewards, options, wanted=out is not None)
    if annotated is None:
        return
    result = {"rows": len(annotated), **count_faults(annotated)}
    report(
        annotated,
        result,
        out,
        info,
        options,
        then="hf-rap score {} --bis --out scored.parquet",
        layout=layout,
        as_json=as_json,
    )
