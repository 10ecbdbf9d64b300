"""A selection in a notebook: what is left after each step, why, and eight rows to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_rap.columns import ERROR_CODES
from hf_rap.tables.notebook import Html, bar, code, html_page, html_table, picture

from .looking import layout_if_any, rows_to_look_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .looking import Example

PER_SIDE = 4


def selection_html(selection: Any, sides: Mapping[bool, Mapping[str, int]]) -> str:
    """The page of a `Selection`; `sides` has the rows of each reason, of those that are kept and of the others."""
    first, last = selection.funnel[0], selection.funnel[-1]
    steps, meanings = selection.method.get("steps", {}), {**ERROR_CODES, **selection.method["reasons"]}
    funnel = [
        (code(step.name), step.rows, bar(step.rows / max(first.rows, 1)), steps.get(step.name, ""))
        for step in selection.funnel
    ]
    reasons = [
        ("kept" if kept else "dropped", code(name), rows, meanings.get(name, ""))
        for kept, counts in sides.items()
        for name, rows in counts.items()
    ]
    examples = rows_to_look_at(selection, layout_if_any(selection), PER_SIDE)
    return html_page(
        f"Selection: {last.rows:,} of {first.rows:,} rows",
        html_table(funnel, ("step", "rows", "", "")),
        html_table(reasons, ("", "reason", "rows", "")),
        *selection.remarks,
        html_table(map(_row, examples), ("", "", "question", "answer", selection.method["score"])),
    )


def _row(example: Example) -> tuple[Any, ...]:
    """Picture, reason, question, answer and score."""
    row, image = example
    score = row["score"]["value"]
    side = "kept" if row["kept"] else "dropped"
    shown = "" if image is None else picture(image)
    reason = Html(f"{side}<br>{code(row['reason'])}<br>row {row['index']:,}, {code(row['id'], 40)}")
    return shown, reason, row["question"], row["answer"], "unknown" if score is None else float(score)
