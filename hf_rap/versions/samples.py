"""A few kept and a few dropped rows to look at, with small pictures.

Chosen without a look at their content: every reason in turn, rows of one reason in a seeded order.
"""

from __future__ import annotations

import math
from io import BytesIO
from typing import TYPE_CHECKING, Any

from hf_rap.columns import ARM_COLUMNS, ARMS, KEEP, REASON, STEPS
from hf_rap.errors import RowError
from hf_rap.rows.cells import columns_of
from hf_rap.rows.questions import raw_rows, read_question, row_id, text_and_images
from hf_rap.stats.arrays import ids_of, seeded_order

if TYPE_CHECKING:
    from PIL import Image

    from hf_rap.rows.layouts import Layout
    from hf_rap.select import Selection

PER_SIDE = 10
# What is shown of a text or a list of an example row.
MOST_CHARS = 100
MOST_ITEMS = 3
_REWARDS = {arm: ARM_COLUMNS[arm].rewards for arm in ARMS}
# Pixels along the longer side; the widest column of a card still shows a picture of this size whole.
THUMBNAIL_SIDE = 160


def sample_rows(
    selection: Selection, layout: Layout, per_side: int = PER_SIDE
) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    """Up to `per_side` kept and `per_side` dropped rows for facts, and the picture files that they name.

    A question or picture that cannot be read is None: the row's reason says why.
    """
    scored = selection.scored
    score = selection.method["score"]
    samples: list[dict[str, Any]] = []
    files: dict[str, bytes] = {}
    for kept in (True, False):
        chosen = _choose(selection, per_side, kept=kept)
        table = scored.with_format("arrow").select(chosen)[:] if chosen else None
        if table is None:
            continue
        rows = columns_of(table)
        for place, raw in enumerate(raw_rows(rows, layout)):
            thumbnail, shown = _shown(raw, layout)
            name = f"samples/{'kept' if kept else 'dropped'}-{place:02d}.png"
            if thumbnail is not None:
                files[name] = _png(thumbnail)
            samples.append(
                {
                    "kept": kept,
                    "index": chosen[place],
                    "reason": rows[REASON.name][place],
                    "score": {"name": score, "value": _plain(rows.get(score, [None] * len(chosen))[place])},
                    "pass_rates": {
                        arm: _pass_rate(rows.get(column.name, [None] * len(chosen))[place])
                        for arm, column in _REWARDS.items()
                    },
                    "steps": _steps(rows.get(STEPS.name, [None] * len(chosen))[place]),
                    "image": None if thumbnail is None else name,
                    **shown,
                }
            )
    return samples, files


def shortened(value: Any) -> Any:
    """A value of a row for JSON: long texts and lists cut, files by their size."""
    if isinstance(value, dict):
        return {str(name): shortened(part) for name, part in value.items()}
    if isinstance(value, list):
        rest = len(value) - MOST_ITEMS
        return [*map(shortened, value[:MOST_ITEMS]), *([f"... {rest:,} more"] if rest > 0 else [])]
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    if value is None or isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    text = str(value)
    return text if len(text) <= MOST_CHARS else f"{text[:MOST_CHARS]}..."


def _choose(selection: Selection, count: int, *, kept: bool) -> list[int]:
    """Row numbers, in their order: the first of every reason, then the second, ..."""
    scored = selection.scored
    table = scored.select_columns([KEEP.name, REASON.name]).with_format("arrow")[:]
    flags = table[KEEP.name].to_numpy() == kept
    rows = flags.nonzero()[0]
    order = seeded_order(ids_of(scored), selection.rule.get("seed") or 0)
    reasons = table[REASON.name].to_pylist()
    waiting: dict[str, list[int]] = {}
    for row in sorted(rows.tolist(), key=lambda row: (order[row], row)):
        waiting.setdefault(reasons[row], []).append(row)
    turns = sorted(
        ((place, reason, row) for reason, rows in waiting.items() for place, row in enumerate(rows[:count])),
    )
    return sorted(row for _, _, row in turns[:count])


def _shown(raw: dict[str, Any], layout: Layout) -> tuple[Image.Image | None, dict[str, Any]]:
    """The first picture, and what else there is to read of a row."""
    try:
        question = read_question(raw, layout)
    except RowError:
        text, pictures = text_and_images(raw, layout)
        shown = {"question": text if isinstance(text, str) else None, "answer": None, "images": len(pictures)}
        return None, {"id": row_id(raw, layout), **shown}
    images = question.images
    answer = question.answer
    if isinstance(answer, (list, tuple)):
        answer = ", ".join(str(gold) for gold in answer if gold is not None)
    shown = {"question": question.text, "answer": None if answer is None else str(answer), "images": len(images)}
    return images[0] if images else None, {"id": question.id, **shown}


def _png(image: Image.Image) -> bytes:
    small = image.copy()
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    file = BytesIO()
    small.save(file, "PNG", optimize=True)
    return file.getvalue()


def _steps(steps: list[dict[str, Any]] | None) -> str | None:
    """The steps of a response, each with its score; None for rows without."""
    if not steps:
        return None
    pairs = ((step["step"], step["score"]) for step in steps)
    return " / ".join(f"{text} ({'unknown' if score is None else f'{score:.2f}'})" for text, score in pairs)


def _pass_rate(rewards: list[float | None] | None) -> float | None:
    """The mean reward of the attempts that could be judged, which is the share solved where rewards are 0 and 1."""
    judged = [reward for reward in rewards or [] if reward is not None]
    return round(sum(judged) / len(judged), 6) if judged else None


def _plain(score: float | None) -> float | None:
    return None if score is None or math.isnan(score) else round(score, 6)
