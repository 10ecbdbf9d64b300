"""Rows with step scores, as the exporters for process reward models read them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_rap.columns import ID, QUESTIONS, STEPS, arrow_type, require
from hf_rap.errors import LayoutError
from hf_rap.options import check, check_path
from hf_rap.rows.chats import user_text

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    import datasets
    import pyarrow as pa

ROWS_PER_BATCH = 1000
COUNTS = ("num_mc_correct", "num_mc_total")
_CLOSE = 1e-3  # scores may be stored rounded


@dataclass(frozen=True)
class PRMRow:
    """One rollout: `question` is the bare one where the data has it; `images` are names or stored images."""

    id: str
    question: str
    images: list[Any]
    steps: list[str]
    scores: list[float]
    counts: list[tuple[int, int]] | None = None
    """Of each step the right continuations and the judged ones, k and N; None where the data has none."""

    def labels(self, threshold: float) -> list[bool]:
        """Whether each step is positive: its score is above the threshold."""
        return [score > threshold for score in self.scores]

    def count_columns(self) -> dict[str, list[int]]:
        """Right and judged continuations of each step (k and N), under the names that VisualPRM400K has for them.

        Raises:
            LayoutError: there are none, or they do not give the score.
        """
        if self.counts is None:
            raise LayoutError(
                f"Row {self.id} has no counts num_mc_correct and num_mc_total in every step, which a reliability is learned from."
            )
        for number, ((correct, total), score) in enumerate(zip(self.counts, self.scores, strict=True), 1):
            # Steps that early stopping has skipped are 0 of 0.
            if not 0 <= correct <= total or abs(correct / max(total, 1) - score) > _CLOSE:
                raise LayoutError(
                    f"Row {self.id}, step {number}: {correct} right of {total} continuations, and a score of {score:g}."
                )
        return {name: [pair[place] for pair in self.counts] for place, name in enumerate(COUNTS)}


def checked_path(path: str | os.PathLike[str], ending: str) -> Path:
    """The file that an export goes to; raises `SettingError` where its name ends otherwise than the trainer reads it."""
    takes = f"the name of a file that ends in {ending}"
    check_path("path", path, takes)
    check(Path(path).suffix == ending, "path", str(path), takes)
    return Path(path)


def prm_rows(ds: datasets.Dataset) -> Iterator[PRMRow]:
    """The rows of a dataset with `steps_with_score`; images are not decoded.

    Raises:
        MissingColumnError, LayoutError: a column is missing, or a row has no usable steps.

    """
    require("The export", ds.column_names, [STEPS])
    questions = [name for name in QUESTIONS if name in ds.column_names]
    if not questions:
        raise LayoutError(f"No column of a question ({', '.join(QUESTIONS)}) among: {', '.join(ds.column_names)}.")
    images = next((name for name in ("image", "images") if name in ds.column_names), None)
    identity = next((name for name in (ID.name, "id") if name in ds.column_names), None)
    read = [STEPS.name, *questions, *(name for name in (images, identity) if name)]
    stored = ds.select_columns(read).with_format("arrow")
    for start in range(0, len(ds), ROWS_PER_BATCH):
        table = stored[start : start + ROWS_PER_BATCH]
        names = table[identity].to_pylist() if identity else range(start, start + len(table))
        pictures = table[images].to_pylist() if images else [None] * len(table)
        texts = zip(*(table[name].to_pylist() for name in questions), strict=True)
        for name, picture, text, (steps, scores, counts) in zip(names, pictures, texts, _steps(table), strict=True):
            if not steps or not all(steps) or not all(score is not None and 0 <= score <= 1 for score in scores):
                raise LayoutError(
                    f"Row {name} has no steps, a step without text, or a score outside [0, 1], so it is nothing to "
                    "train on. Export the rows that are selected: selection.selected."
                )
            listed = picture if isinstance(picture, list) else [picture]
            question = next((words for cell in text if (words := _text(cell))), "")
            yield PRMRow(str(name), question, [image for image in listed if image], steps, scores, counts)


def _steps(table: pa.Table) -> Iterator[tuple[list[str], list[float], list[tuple[int, int]] | None]]:
    """The stripped texts, scores and counts of each row's steps; all columns at once, which is faster than row by row."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = table[STEPS.name].combine_chunks()
    if pa.types.is_null(column.type) or pa.types.is_null(column.type.value_type):  # no row has any
        column = pa.nulls(len(column), arrow_type(STEPS.dtype))
    flat = pc.list_flatten(column)
    texts = [(text or "").strip() for text in pc.struct_field(flat, "step").to_pylist()]
    scores = pc.struct_field(flat, "score").to_pylist()
    has_counts = all(flat.type.get_field_index(name) >= 0 for name in COUNTS)
    counts = (
        list(zip(*(pc.struct_field(flat, name).to_pylist() for name in COUNTS), strict=True)) if has_counts else None
    )
    start = 0
    for length in pc.list_value_length(column).fill_null(0).to_pylist():
        here = slice(start, start + length)
        known = counts is not None and not any(None in pair for pair in counts[here])
        yield texts[here], scores[here], counts[here] if counts is not None and known else None
        start += length


def _text(value: Any) -> str:
    """The stripped text of a question, which may be a chat."""
    if isinstance(value, str) and not value.startswith("["):
        return value.strip()
    value = user_text(value)
    return value.strip() if isinstance(value, str) else ""
