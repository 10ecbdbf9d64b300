"""hf-rap dependence: read stored replies again, with the image and without."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import click

from .collecting import check_usage, collect, report
from .options import (
    as_json,
    command,
    engine_options,
    layout_options,
    make_engine,
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

    from hf_rap.engines.base import LikelihoodEngine


@command()
@source_argument
@layout_options
@model_options
@engine_options
@click.option(
    "--arms",
    default="text",
    show_default=True,
    help="What the image is compared with: some of text, blank, shuffled; comma-separated.",
)
@click.option("--seed", default=0, show_default=True, help="Of who gives pictures to whom.")
@click.option("--other-model", is_flag=True, help="Read replies that another model or revision wrote.")
@prompt_option("How the replies were asked for; default: as their rap_settings say.")
@old_instruction
@run_options
@out_option("Parquet file to write; needed without --run.")
@as_json
def dependence(
    source: str,
    *,
    arms: str,
    seed: int,
    other_model: bool,
    out: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Note how likely each token of the replies in SOURCE is, with their image and without it.

    `hf-rap score` makes rap_visual_dependence of it. The model is the one that wrote the replies, here, in vLLM, or behind a
    vLLM server.

    Example: hf-rap dependence evidence.parquet --model Qwen/Qwen2.5-VL-3B-Instruct --out read-again.parquet

    In Python: ds.map(hf_rap.ReplyLikelihood(engine), batched=True).map(hf_rap.visual_dependence_score, batched=True)
    """
    from hf_rap.columns import REPLY_LOGPROBS
    from hf_rap.evidence.reply_likelihood import ReplyLikelihood

    from .files import open_source

    check_usage(options, out)
    ds, info = open_source(source)
    layout = settle_layout(options, ds, source)
    reader = ReplyLikelihood(
        cast("LikelihoodEngine", make_engine(options)),
        arms=tuple(name.strip() for name in arms.split(",") if name.strip()),
        seed=seed,
        prompt=prompt_if_given(options),
        other_model=other_model,
        layout=layout,
    )
    evidence = collect(ds, reader, options, wanted=out is not None)
    if evidence is None:
        return
    replies = [reply for row in evidence[REPLY_LOGPROBS.name] for reply in row or () if reply is not None]
    result = {
        "rows": len(ds),
        "replies": len(replies),
        "replies with an error": sum(reply["error"] is not None for reply in replies),
    }
    then = "hf-rap score {} --out scored.parquet"
    report(evidence, result, out, info, options, then=then, layout=layout, as_json=as_json)
