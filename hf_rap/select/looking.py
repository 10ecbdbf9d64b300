"""A few kept and a few dropped rows to look at.

Chosen without a look at their content: every reason in turn, rows of one reason in a seeded order.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_rap.columns import ARM_COLUMNS, ARMS, ID, KEEP, REASON, STEPS
from hf_rap.errors import RapError, RowError
from hf_rap.rows.cells import columns_of
from hf_rap.rows.questions import raw_rows, read_question, row_id, text_and_images
from hf_rap.rows.settling import settle
from hf_rap.stats.arrays import ids_of, seeded_order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL import Image

    from hf_rap.rows.layouts import Layout

_REWARDS = {arm: ARM_COLUMNS[arm].rewards for arm in ARMS}
_ROWS_SETTLED = 1_000


class Example(NamedTuple):
    """One row: what there is to read of it, and its first picture.

    A question or picture that cannot be read is None: the row's reason says why.
    """

    row: dict[str, Any]
    picture: Image.Image | None


def rows_to_look_at(selection: Any, layout: Layout | None, per_side: int) -> Iterator[Example]:
    """Up to `per_side` kept rows of a `Selection`, then as many dropped ones; without a layout no question is read."""
    scored = selection.scored
    score = selection.method["score"]
    for kept in (True, False):
        chosen = _choose(selection, per_side, kept=kept)
        if not chosen:
            continue
        rows = columns_of(scored.with_format("arrow").select(chosen)[:])
        unknown = [None] * len(chosen)
        raws = [None] * len(chosen) if layout is None else raw_rows(rows, layout)
        for place, raw in enumerate(raws):
            row = {
                "kept": kept,
                "index": chosen[place],
                "reason": rows[REASON.name][place],
                "score": {"name": score, "value": _plain(rows.get(score, unknown)[place])},
                "pass_rates": {
                    arm: _pass_rate(rows.get(column.name, unknown)[place]) for arm, column in _REWARDS.items()
                },
                "steps": _steps(rows.get(STEPS.name, unknown)[place]),
                "image": None,
            }
            if raw is None or layout is None:
                nothing = {"question": None, "answer": None, "images": 0}
                yield Example({**row, "id": rows.get(ID.name, unknown)[place], **nothing}, None)
                continue
            picture, shown = _shown(raw, layout)
            yield Example({**row, **shown}, picture)


def layout_if_any(selection: Any) -> Layout | None:
    """Which column of a `Selection` is what, where that is recognised."""
    ds = selection.scored
    try:
        return settle(None, ds.select(range(min(len(ds), _ROWS_SETTLED))), despite_unread=True).layout
    except RapError:
        return None


def _choose(selection: Any, count: int, *, kept: bool) -> list[int]:
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
