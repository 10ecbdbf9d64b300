r"""Everything that a page shows of single rows: the prompt as it was asked, the gold as it is read, the replies with their grades.

{"id": "a1", "question": "<image>How many?", "prompt": "...", "gold": "4", "read_as": ["4 (number)"],
 "arms": {"image": [{"text": "\\boxed{4}", "reward": 1.0, "tokens": 5, "cut": false, "answer": [7, 8]}], "text": [...]},
 "error": null, "steps": null}
"""

from __future__ import annotations

import math
from itertools import repeat
from typing import TYPE_CHECKING, Any

from hf_rap.columns import ARM_COLUMNS, ATTENTION, ERROR, ID, REPLY_LOGPROBS, SETTINGS, STEPS
from hf_rap.errors import RowError, SettingError
from hf_rap.evidence.psi import MIN_COLUMN, POOLING, SIGMA, log_psis
from hf_rap.evidence.token_gains import token_gains
from hf_rap.rows.cells import columns_of
from hf_rap.rows.prompts import DEFAULT_PROMPT, IMAGE, prompt_of_replies
from hf_rap.rows.questions import raw_rows, read_question, row_id, text_and_images
from hf_rap.rows.shown import show_question
from hf_rap.stats.settings import BUILT_IN, correct_of, grader_of, settings_in
from hf_rap.verify.finding import find_answer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import datasets
    from PIL import Image

    from hf_rap.rows.layouts import Layout

ROWS_AT_ONCE = 64  # in memory with their pictures
MAX_TEXT = 20_000  # characters of a reply or a prompt; of a longer one the middle is left out, and that is said
MAX_PICTURES = 12  # of one row


def details(ds: datasets.Dataset, layout: Layout) -> Iterator[tuple[dict[str, Any], tuple[Image.Image, ...]]]:
    """What there is to read and to see of each row, in their order; a row that cannot be read says why."""
    ours = [column.name for column in (ID, SETTINGS, ERROR, STEPS, ATTENTION, REPLY_LOGPROBS)]
    arms = {arm: columns for arm, columns in ARM_COLUMNS.items() if columns.responses.name in ds.column_names}
    ours += [column.name for columns in arms.values() for column in columns]
    wanted = {*ours, *layout.columns_in(ds.column_names)}
    ds = ds.select_columns([name for name in ds.column_names if name in wanted]).with_format("arrow")
    for start in range(0, len(ds), ROWS_AT_ONCE):
        cells = columns_of(ds[start : start + ROWS_AT_ONCE])
        for place, raw in enumerate(raw_rows(cells, layout)):
            row = {name: cells[name][place] for name in ours if name in cells}
            yield _detail(row, raw, layout, arms)


def _detail(
    row: Mapping[str, Any], raw: dict[str, Any], layout: Layout, arms: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[Image.Image, ...]]:
    settings = _settings(row.get(SETTINGS.name))
    shown, pictures = _asked(raw, layout, settings)
    graded_here = (grader_of(settings) or (BUILT_IN, ""))[0] == BUILT_IN
    correct = correct_of(row.get(SETTINGS.name))
    detail = {
        **shown,
        "id": row.get(ID.name) or shown["id"],
        "arms": {arm: _replies(row, columns, correct, graded_here=graded_here) for arm, columns in arms.items()},
        "error": row.get(ERROR.name),
    }
    if steps := row.get(STEPS.name):
        detail["steps"] = [{"text": shortened(step["step"]), "score": _plain(step["score"])} for step in steps]
    if attention := row.get(ATTENTION.name):
        detail["attention"] = [_shades(attempt) for attempt in attention]
    if readings := row.get(REPLY_LOGPROBS.name):
        detail["dependence"] = [_gains(reply) for reply in readings]
    return detail, pictures


def _settings(text: str | None) -> dict[str, Any]:
    try:
        return settings_in(text)
    except SettingError:  # settings of somebody else
        return {}


def _asked(
    raw: dict[str, Any], layout: Layout, settings: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[Image.Image, ...]]:
    """Question, prompt and gold of a row, and its pictures; without settings nothing says how it was asked."""
    try:
        question = read_question(raw, layout)
    except RowError as error:
        text, _ = text_and_images(raw, layout)
        asked = shortened(text) if isinstance(text, str) else None
        return {
            "id": row_id(raw, layout),
            "question": asked,
            "prompt": None,
            "gold": None,
            "read_as": [],
            "problem": str(error),
            "pictures": 0,
        }, ()
    try:
        template = prompt_of_replies(settings)
    except SettingError:
        template, settings = DEFAULT_PROMPT, {}
    shown = show_question(0, question, template, repeat(IMAGE))
    return {
        "id": question.id,
        "question": shortened(question.text),
        "prompt": shortened(shown.prompt) if settings else None,
        "gold": None if question.answer is None else shortened(shown.gold),
        "read_as": list(shown.read_as),
        "problem": shown.problem,
        "pictures": len(question.images),
    }, question.images[:MAX_PICTURES]


def _replies(row: Mapping[str, Any], columns: Any, correct: float, *, graded_here: bool) -> list[dict[str, Any]]:
    texts = row.get(columns.responses.name) or []
    others = {
        name: row.get(getattr(columns, field).name) or []
        for name, field in (("reward", "rewards"), ("tokens", "tokens"), ("cut", "truncated"))
    }
    replies = []
    for place, text in enumerate(texts):
        reply: dict[str, Any] = {
            name: values[place] if place < len(values) else None for name, values in others.items()
        }
        reward = reply["reward"] = _plain(reply["reward"])
        reply["right"] = None if reward is None else reward >= correct
        reply["text"] = None if text is None else shortened(text)
        if text is not None and graded_here:
            reply["answer"] = _answer(reply["text"])
        replies.append(reply)
    return replies


def _answer(text: str) -> list[int] | str | None:
    """Where the answer of a reply begins and ends, in UTF-16 units as a page counts them; its words where they stand nowhere."""
    answer = find_answer(text).text
    if not answer:
        return None
    start = text.rfind(answer)
    if start < 0:
        return answer
    before, inside = (len(part.encode("utf-16-le", "surrogatepass")) // 2 for part in (text[:start], answer))
    return [before, before + inside]


def _shades(attempt: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The tokens of a reply, how much each is stared at (psi, of the highest), and the share of attention on the image."""
    if not attempt or attempt.get("error") or not attempt.get("tokens"):
        return None
    try:
        logs = log_psis(attempt, form="windowed", heads=POOLING, sigma=SIGMA)
    except LookupError:  # evidence of an earlier release
        return None
    counted = logs[: max(0, len(logs) - MIN_COLUMN + 1)]
    most = max(counted, default=0.0)
    psi = [round(math.exp(log - most), 3) for log in counted]
    shares = [round(share, 3) for share in attempt.get("image_shares") or []]
    if not all(map(math.isfinite, (*psi, *shares))):
        return None
    return {"tokens": attempt["tokens"], "psi": psi, "image_shares": shares}


def _gains(reply: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The tokens of a reply, and how much likelier the image makes each than the first of the other arms that was read, in nats."""
    if not reply or not reply.get("tokens"):
        return None
    for arm in ARM_COLUMNS:
        gains = token_gains(reply, arm) if arm != "image" else None
        if gains is not None and all(map(math.isfinite, gains)):
            return {"tokens": reply["tokens"], "arm": arm, "nats": [round(gain, 3) for gain in gains]}
    return None


def shortened(text: str) -> str:
    """A text of which the middle is left out where it is very long; what was left out is said."""
    if len(text) <= MAX_TEXT:
        return text
    half = MAX_TEXT // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half:,} characters are left out here ...]\n{text[-half:]}"


def _plain(number: float | None) -> float | None:
    return None if number is None or math.isnan(number) else number
