"""Accuracy of the reply whose steps a process reward model likes best, as a metric of `evaluate`."""

import datasets
import evaluate

from hf_rap.metrics.rates import mean_known, pass_at_k
from hf_rap.metrics.steps import best_of, mean_of_first

_DESCRIPTION = """
Of several stored replies to a question the one with the best steps is taken: how often is it right? Beside it stand what any
reply gives (mean), and what the best choice would give (any). Questions whose chosen reply could not be judged are left out
of the first and counted.
"""
_INPUTS = """
Args:
    predictions: for every question, for every reply, the scores of its steps.
    references: for every question the reward of each reply in [0, 1], such as `rap_image_rewards`; null is unknown.
    aggregate: min (default), last, mean or product of the steps of a reply.
    correct: the reward from which on a reply is right, for `any`.

Returns:
    best: mean reward of the chosen replies, or None.
    mean, any: of all replies, and of a choice that is always right.
    questions: that `best` is over.
"""


class BestOfN(evaluate.Metric):  # type: ignore[misc]
    """`evaluate.load(metric_path("best_of_n"))`."""

    def _info(self) -> evaluate.MetricInfo:
        number = datasets.Value("float64")
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_INPUTS,
            features=datasets.Features(
                {"predictions": datasets.Sequence(datasets.Sequence(number)), "references": datasets.Sequence(number)}
            ),
        )

    def _compute(
        self,
        predictions: list[list[list[float]]],
        references: list[list[float | None]],
        aggregate: str = "min",
        correct: float = 1.0,
    ) -> dict[str, float | int | None]:
        chosen = best_of(predictions, references, aggregate)
        judged = [[reward for reward in rewards if reward is not None] for rewards in references]
        return {
            "best": mean_known(chosen),
            "mean": mean_of_first(references),
            "any": mean_known([pass_at_k(rewards, len(rewards), correct) if rewards else None for rewards in judged]),
            "questions": sum(reward is not None for reward in chosen),
        }
