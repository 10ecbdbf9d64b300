"""hf-rap attention: read stored replies again with a local model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .collecting import check_usage, collect, report
from .options import (
    as_json,
    command,
    layout_options,
    make_local_engine,
    model_options,
    old_instruction,
    out_option,
    prompt_if_given,
    prompt_option,
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
@click.option("--window", type=int, help="Rows of a column that the windowed psi takes; default: 16.")
@click.option("--other-model", is_flag=True, help="Read replies that another model or revision wrote.")
@prompt_option("How the replies were asked for; default: as their rap_settings say.")
@old_instruction
@run_options
@out_option("Parquet file to write; needed without --run.")
@as_json
def attention(
    source: str,
    *,
    window: int | None,
    other_model: bool,
    out: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Note where the model looked in the replies of SOURCE: a second pass, for replies from a server.

    With --run it survives whatever happens to it, as `hf-rap rollouts --run` does; the run of the
    rollouts may take it as well.

    Example: hf-rap attention evidence.parquet --model Qwen/Qwen2.5-VL-3B-Instruct --out with-attention.parquet

    In Python: ds.map(hf_rap.Attention(hf_rap.TransformersEngine(model)), batched=True)
    """
    from hf_rap.columns import ATTENTION
    from hf_rap.evidence.attention import Attention
    from hf_rap.evidence.psi import WINDOW

    from .files import open_source

    check_usage(options, out)
    ds, info = open_source(source)
    layout = settle_layout(options, ds, source)
    reader = Attention(
        make_local_engine(options),
        window=WINDOW if window is None else window,
        other_model=other_model,
        prompt=prompt_if_given(options),
        layout=layout,
    )
    evidence = collect(ds, reader, options, wanted=out is not None)
    if evidence is None:
        return
    attempts = [attempt for row in evidence[ATTENTION.name] for attempt in row or () if attempt is not None]
    result = {
        "rows": len(ds),
        "attempts": len(attempts),
        "attempts that cannot be read": sum(attempt["error"] is not None for attempt in attempts),
    }
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
