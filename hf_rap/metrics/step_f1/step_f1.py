"""Macro-F1 of step judgements, per source and over sources, as a metric of `evaluate`."""

from typing import Any

import datasets
import evaluate

from hf_rap.metrics.steps import (
    best_threshold,
    check_share_held_out,
    over_sources,
    read_steps,
    rows_held_out,
    step_f1,
    step_f1_of_sources,
)

_DESCRIPTION = """
How well the scores of a process reward model tell right steps from wrong ones, as VisualProcessBench (arXiv 2503.10291) has
them labelled: F1 of the right and of the wrong steps, their mean per source (macro-F1), and the mean of the sources by their
steps. Neutral steps are left out. At a given threshold these are the figures of the evaluation script of
arXiv 2602.04145 (JinYuanLi0012/Balanced-Info-MPRM, commit 81c3de6). That script looks for the best threshold on the rows
that it reports; here it is found on rows that are then left out, and `held_out=0` is its way.
"""
_INPUTS = """
Args:
    predictions: for every row the scores of its steps.
    references: for every row 1 (right), -1 (wrong) or 0 (neutral) for each step.
    sources: optional; the source of every row.
    threshold: a step counts as right from this score on; None, the default, finds it.
    held_out: share of rows that it is found on, default 0.5; they are in no figure.
    seed: of their draw.

Returns:
    over_sources, pooled, right, wrong: in [0, 1].
    per_source: macro-F1 of each.
    threshold, steps, rows: what was used, and counted.
"""


class StepF1(evaluate.Metric):  # type: ignore[misc]
    """`evaluate.load(metric_path("step_f1"))`."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_INPUTS,
            features=datasets.Features(
                {
                    "predictions": datasets.Sequence(datasets.Value("float64")),
                    "references": datasets.Sequence(datasets.Value("int64")),
                }
            ),
        )

    def _compute(  # noqa: PLR0917 - evaluate hands them over by name
        self,
        predictions: list[list[float]],
        references: list[list[int]],
        sources: list[str] | None = None,
        threshold: float | None = None,
        held_out: float = 0.5,
        seed: int = 0,
    ) -> dict[str, Any]:
        steps = read_steps(predictions, references, sources)
        rows = len(predictions)
        if threshold is None:
            check_share_held_out(held_out)
            apart = rows_held_out(rows, held_out, seed)[steps.row]
            threshold = best_threshold(steps.of(apart) if held_out else steps)
            if held_out:
                steps, rows = steps.of(~apart), rows - round(held_out * rows)
        per_source = step_f1_of_sources(steps, threshold)
        pooled = step_f1(steps, threshold)
        return {
            "over_sources": over_sources(per_source),
            "pooled": pooled.macro,
            "right": pooled.right,
            "wrong": pooled.wrong,
            "per_source": {name: each.macro for name, each in per_source.items()},
            "threshold": threshold,
            "steps": pooled.steps,
            "rows": rows,
        }
