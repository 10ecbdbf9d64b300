"""How much of a model's accuracy comes from the image, as a metric of `evaluate`."""

import datasets
import evaluate

from hf_rap.metrics.rates import mean_known, rewards_of

_DESCRIPTION = """
Accuracy with the image minus accuracy on the text alone, over the questions for which both could be judged, graded with
the verifier of hf_rap. 0 says that the images did not matter.
"""
_INPUTS = """
Args:
    predictions: replies to the questions with their images.
    text_predictions: replies to the same questions without them.
    references: answers, each a list of accepted ones.
    questions: optional; where the options of a multiple choice stand.

Returns:
    modality_gap: in [-1, 1]; image_accuracy, text_accuracy: in [0, 1]; all None where nothing could be judged.
    judged: questions for which both replies could be.
    unreadable: the others.
"""


class ModalityGap(evaluate.Metric):  # type: ignore[misc]
    """`evaluate.load(metric_path("modality_gap"))`."""

    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        features = {"predictions": text, "text_predictions": text, "references": datasets.Sequence(text)}
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_INPUTS,
            features=datasets.Features(features),
        )

    def _compute(
        self,
        predictions: list[str],
        references: list[list[str]],
        text_predictions: list[str],
        questions: list[str] | None = None,
    ) -> dict[str, float | int | None]:
        with_image = rewards_of(predictions, references, questions)
        alone = rewards_of(text_predictions, references, questions)
        both = [
            (image, text)
            for image, text in zip(with_image, alone, strict=True)
            if image is not None and text is not None
        ]
        image_accuracy = mean_known([image for image, _ in both])
        text_accuracy = mean_known([text for _, text in both])
        gap = None if image_accuracy is None or text_accuracy is None else image_accuracy - text_accuracy
        return {
            "modality_gap": gap,
            "image_accuracy": image_accuracy,
            "text_accuracy": text_accuracy,
            "judged": len(both),
            "unreadable": len(with_image) - len(both),
        }
