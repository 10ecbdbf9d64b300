"""hf-rap likelihood: a cheap first look before any rollout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import click

from .collecting import check_usage, collect, report
from .options import (
    as_json,
    command,
    engine_options,
    layout_options,
    likelihood_prompt_options,
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

    from hf_rap.engines.base import LikelihoodEngine


@command()
@source_argument
@layout_options
@model_options
@engine_options
@likelihood_prompt_options
@click.option("--lead", help="Start of the reply, before the gold answer; default: \\boxed{.")
@click.option("--tail", help="Text that ends the answer; default: }.")
@run_options
@out_option("Parquet file to write; needed without --run.")
@as_json
def likelihood(
    source: str,
    *,
    out: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """How much likelier the image makes the gold answer: one forward pass with it and one without.

    It leaves out no row; `hf-rap rollouts --probe` does. docs/likelihood.md says how far it can be trusted.

    Example: hf-rap likelihood hiyouga/geometry3k --model Qwen/Qwen2.5-VL-3B-Instruct --out looked.parquet

    In Python: ds.map(hf_rap.Likelihood(engine), batched=True).map(hf_rap.scorers.likelihood_cde_score, batched=True)
    """
    from hf_rap.columns import LIKELIHOOD_CDE, LIKELIHOOD_ERROR
    from hf_rap.evidence.likelihood import Likelihood
    from hf_rap.scorers.base import add_scores
    from hf_rap.scorers.likelihood_cde import likelihood_cde_score

    from .files import open_source

    check_usage(options, out)
    ds, info = open_source(source)
    given = {name: options[name] for name in ("lead", "tail") if options[name] is not None}
    prompt = make_prompt(options, "at-once")
    layout = settle_layout(options, ds, source)
    reader = Likelihood(cast("LikelihoodEngine", make_engine(options)), prompt=prompt, layout=layout, **given)
    evidence = collect(ds, reader, options, wanted=out is not None)
    if evidence is None:
        return
    scored = add_scores(evidence, likelihood_cde_score)
    scores = sorted(score for score in scored[LIKELIHOOD_CDE.name] if score is not None)
    result: dict[str, Any] = {
        "rows": len(scored),
        "rows with rap_likelihood_error": len(evidence) - evidence.data.column(LIKELIHOOD_ERROR.name).null_count,
        "rap_likelihood_cde unknown": len(scored) - len(scores),
    }
    for share in (0.1, 0.3, 0.5, 0.7, 0.9) if scores else ():
        result[f"q{share:g}"] = round(scores[int(share * (len(scores) - 1))], 4)
    then = "hf-rap rollouts {} --model MODEL --out evidence.parquet"
    report(scored, result, out, info, options, then=then, layout=layout, as_json=as_json)
