"""Rows with step scores, as the exporters for process reward models read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_rap.chats import flatten_content, turns_of
from hf_rap.columns import ID, QUESTIONS, STEPS, require
from hf_rap.errors import LayoutError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import datasets

ROWS_PER_BATCH = 1000


@dataclass(frozen=True)
class PRMRow:
    """One rollout: `question` is the bare one where the data has it; `images` are names or stored images."""

    id: str
    question: str
    images: list[Any]
    steps: list[str]
    scores: list[float]

    def labels(self, threshold: float) -> list[bool]:
        """Whether each step is positive: its score is above the threshold."""
        return [score > threshold for score in self.scores]


def prm_rows(ds: datasets.Dataset) -> Iterator[PRMRow]:
    """The rows of a dataset with `steps_with_score`; images are not decoded.

    Raises:
        MissingColumnError, LayoutError: a column is missing, or a row has no usable steps.

    """
    require("The export", ds.column_names, [STEPS], "Read it with load_process_rewards, or annotate it: StepRewards.")
    questions = [name for name in QUESTIONS if name in ds.column_names]
    if not questions:
        raise LayoutError(f"No column of a question ({', '.join(QUESTIONS)}) among: {', '.join(ds.column_names)}.")
    images = next((name for name in ("image", "images") if name in ds.column_names), None)
    identity = next((name for name in (ID.name, "id") if name in ds.column_names), None)
    read = [STEPS.name, *questions, *(name for name in (images, identity) if name)]
    stored = ds.select_columns(read).with_format("arrow")
    number = 0
    for table in stored.iter(batch_size=ROWS_PER_BATCH):
        for row in table.to_pylist():
            yield _row(row, str(row[identity]) if identity else str(number), questions, images)
            number += 1


def _row(row: dict[str, Any], identity: str, questions: list[str], images: str | None) -> PRMRow:
    steps = row[STEPS.name] or []
    texts = [(step["step"] or "").strip() for step in steps]
    scores = [step["score"] for step in steps]
    if not steps or not all(texts) or not all(score is not None and 0 <= score <= 1 for score in scores):
        raise LayoutError(
            f"Row {identity} has no steps, a step without text, or a score outside [0, 1], so it is nothing to train "
            "on. Export the rows that are selected: selection.selected."
        )
    found = row[images] if images else None
    listed = found if isinstance(found, list) else [found]
    return PRMRow(
        identity,
        next((text for name in questions if (text := _text(row[name]))), ""),
        [one for one in listed if one],
        texts,
        scores,
    )


def _text(value: Any) -> str:
    """The stripped text of a question, which may be a chat."""
    if (turns := turns_of(value)) is not None:
        value = "\n".join(flatten_content(content)[0] for role, content in turns if role in ("user", "human"))
    return value.strip() if isinstance(value, str) else ""
