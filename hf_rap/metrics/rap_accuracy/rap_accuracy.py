"""Accuracy of replies with the verifier that hf_rap scores with, as a metric of `evaluate`."""

import datasets
import evaluate

from hf_rap.metrics.rates import mean_known, rewards_of

_DESCRIPTION = """
Share of replies whose answer agrees with the reference: numbers by value, LaTeX by math-verify, options by letter or
text, words without articles. What cannot be judged (no reply, an unreadable reference) is left out and counted.
"""
_INPUTS = """
Args:
    predictions: replies, each a text.
    references: answers, each a list of accepted ones.
    questions: optional; where the options of a multiple choice stand.

Returns:
    accuracy: in [0, 1], or None where nothing could be judged.
    judged, unreadable: how many replies.
"""


class RapAccuracy(evaluate.Metric):  # type: ignore[misc]
    """`evaluate.load(metric_path("rap_accuracy"))`."""

    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        features = {"predictions": text, "references": datasets.Sequence(text)}
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_INPUTS,
            features=datasets.Features(features),
        )

    def _compute(
        self, predictions: list[str], references: list[list[str]], questions: list[str] | None = None
    ) -> dict[str, float | int | None]:
        rewards = rewards_of(predictions, references, questions)
        unreadable = sum(reward is None for reward in rewards)
        return {"accuracy": mean_known(rewards), "judged": len(rewards) - unreadable, "unreadable": unreadable}
