"""Stored replies with the scores of their steps, as the metric `best_of_n` takes them: nothing is generated anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_rap.columns import ID, IMAGE_RESPONSES, IMAGE_REWARDS, STEPS, require
from hf_rap.errors import SettingError
from hf_rap.options import check_text
from hf_rap.tables import whole_dataset

from .annotate import id_of_response

if TYPE_CHECKING:
    import datasets


def stored_candidates(
    evidence: datasets.Dataset, scored: datasets.Dataset, *, scores: str = STEPS.name
) -> dict[str, list[Any]]:
    """Per question the step scores of each of its replies, and their rewards.

        evaluate.load(metric_path("best_of_n")).compute(**stored_candidates(evidence, annotated))

    Args:
        evidence: rows of `Rollouts`, with the replies and their rewards.
        scored: a row for each reply, as `StepRewards` and `hf-rap annotate-steps` name them in `rap_id`.
        scores: the column of their step scores: `steps_with_score`, or one that a process reward model has written, a list of
            numbers. A reply without any is never the best.

    Raises:
        MissingColumnError: a column is absent.
        SettingError: no reply of `evidence` has a row in `scored`.

    """
    evidence, scored = (whole_dataset("stored_candidates", ds) for ds in (evidence, scored))
    check_text("scores", scores, empty=False)
    require("stored_candidates", evidence.column_names, [ID, IMAGE_RESPONSES, IMAGE_REWARDS])
    require("stored_candidates", scored.column_names, [ID.name, scores])
    table = scored.select_columns([ID.name, scores]).with_format(None)
    of_reply = {row[ID.name]: _numbers(row[scores]) for row in table}
    predictions, references = [], []
    columns = [ID.name, IMAGE_RESPONSES.name, IMAGE_REWARDS.name]
    some = False
    for row in evidence.select_columns(columns).with_format(None):
        replies = row[IMAGE_RESPONSES.name] or []
        ids = [id_of_response(row[ID.name], reply or "") for reply in replies]
        some |= any(reply in of_reply for reply in ids)
        predictions.append([of_reply.get(reply, []) for reply in ids])
        references.append(list(row[IMAGE_REWARDS.name] or [None] * len(ids)))
    if not some:
        raise SettingError(
            "stored_candidates: no reply of the evidence has a row with step scores; take what `hf-rap annotate-steps` made of it."
        )
    return {"predictions": predictions, "references": references}


def _numbers(cell: Any) -> list[float]:
    """Of steps, or of a list of numbers; none where one is not known."""
    values = [step["score"] if isinstance(step, dict) else step for step in cell or []]
    return [] if None in values else [float(value) for value in values]
