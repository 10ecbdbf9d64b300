"""pass@k of several replies per question, as a metric of `evaluate`."""

import datasets
import evaluate

from hf_rap.metrics.rates import mean_known, pass_at_k, rewards_of

_DESCRIPTION = """
The chance that at least one of k replies to a question is correct (arXiv 2107.03374), graded with the verifier of
hf_rap, mean over questions. Questions with fewer than k judged replies are left out and counted.
"""
_INPUTS = """
Args:
    predictions: for every question the list of replies.
    references: answers, each a list of accepted ones.
    k: list of numbers, default [1].
    questions: optional; where the options of a multiple choice stand.

Returns:
    pass@1, ...: in [0, 1], or None where no question has k judged replies.
    questions@1, ...: how many questions the mean is over.
"""


class PassAtK(evaluate.Metric):  # type: ignore[misc]
    """`evaluate.load(metric_path("pass_at_k"))`."""

    def _info(self) -> evaluate.MetricInfo:
        texts = datasets.Sequence(datasets.Value("string"))
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_INPUTS,
            features=datasets.Features({"predictions": texts, "references": texts}),
        )

    def _compute(
        self,
        predictions: list[list[str]],
        references: list[list[str]],
        k: tuple[int, ...] = (1,),
        questions: list[str] | None = None,
    ) -> dict[str, float | int | None]:
        texts = questions if questions is not None else [""] * len(predictions)
        rewards = [
            rewards_of(replies, [gold] * len(replies), [question] * len(replies))
            for replies, gold, question in zip(predictions, references, texts, strict=True)
        ]
        figures = {}
        for attempts in k:
            rates = [pass_at_k(of_question, attempts) for of_question in rewards]
            figures[f"pass@{attempts}"] = mean_known(rates)
            figures[f"questions@{attempts}"] = sum(rate is not None for rate in rates)
        return figures
