"""Chats with several questions -> a row for each that has a reply, with what was said before it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_rap.errors import LayoutError, RowError
from hf_rap.options import ForeignError, read_json

from .cells import columns_of
from .chats import EACH, LAST, read_chat
from .layouts import check_layout

if TYPE_CHECKING:
    import datasets

    from .layouts import Layout


_MOST_TURNS = 2_000


class Turned(NamedTuple):
    """Rows of which each asks one question, and their layout."""

    ds: datasets.Dataset
    layout: Layout | None


def each_turn(ds: datasets.Dataset, layout: Layout | None) -> Turned:
    """What `one_row_per_turn` gives for a layout with turns="each"; any other as it is.

    Raises:
        LayoutError: as `one_row_per_turn`, or `ds` is a stream.
    """
    import datasets

    if layout is None or layout.turns != EACH:
        return Turned(ds, layout)
    if isinstance(ds, datasets.IterableDataset):
        raise LayoutError(
            "turns='each' makes several rows of one, which takes a table: use load_dataset without streaming."
        )
    return Turned(one_row_per_turn(ds, layout), replace(layout, turns=LAST))


def one_row_per_turn(ds: datasets.Dataset, layout: Layout) -> datasets.Dataset:
    """A row for each question of a chat that has a reply: the chat up to there, so that its last question is asked.

    Read the rows with `turns="last"`. Rows with one question stay as they are, and so do those that cannot be read. An id
    column gets the number of the question behind it, `17-2`.

    Args:
        ds: the rows; other columns are repeated.
        layout: which column is what; the replies are in the chat (`answer` is the same column as `question`).

    Raises:
        LayoutError: the answers are in another column, or one is missing.
    """
    import datasets

    check_layout(layout, ds.features)
    if layout.answer != layout.question:
        raise LayoutError(
            f"turns='each' takes the reply to each question as its gold, and golds are in {layout.answer!r}: say 'first' or "
            "'last' for one question per row."
        )
    chats = columns_of(ds.select_columns([layout.question]).with_format("arrow")[:])[layout.question]
    cuts = [_cuts(chat) for chat in chats]
    indices = [row for row, of_row in enumerate(cuts) for _ in of_row]
    names = [(layout.question, [chat for of_row in cuts for chat in of_row], ds.features[layout.question])]
    if layout.id is not None:
        ids = columns_of(ds.select_columns([layout.id]).with_format("arrow")[:])[layout.id]
        numbered = [
            None if own is None else f"{own}-{number}" if len(of_row) > 1 else str(own)
            for own, of_row in zip(ids, cuts, strict=True)
            for number in range(1, len(of_row) + 1)
        ]
        names.append((layout.id, numbered, datasets.Value("string")))
    repeated = ds.with_format(None).select(indices)
    for name, cells, feature in names:
        column = datasets.Dataset.from_dict({name: cells}, features=datasets.Features({name: feature}))
        rest = repeated.remove_columns(name)
        # A dataset without columns has no rows.
        repeated = datasets.concatenate_datasets([rest, column], axis=1) if rest.column_names else column
    return repeated.select_columns(ds.column_names)


def _may_have_several(entries: Any) -> bool:
    """It is a chat, and not one of thousands of turns, each of which would be a row with all that came before it."""
    try:
        if read_chat(entries) is None:
            return False
    except RowError:
        return False
    cells = entries.values() if isinstance(entries, Mapping) else [entries]
    return all(isinstance(cell, list | tuple) and len(cell) <= _MOST_TURNS for cell in cells)


def _cuts(chat: Any) -> list[Any]:
    """The chat up to each reply to a question; the chat itself where it holds one question, or cannot be read."""
    as_text = isinstance(chat, str)
    entries: Any = chat
    if as_text:
        try:
            entries = read_json(chat, object)
        except ForeignError:
            return [chat]
    if not _may_have_several(entries):
        return [chat]
    count = len(next(iter(entries.values()), ())) if isinstance(entries, Mapping) else len(entries)
    cuts: list[Any] = []
    answered = 0
    for end in range(1, count + 1):
        part = {name: cells[:end] for name, cells in entries.items()} if isinstance(entries, Mapping) else entries[:end]
        try:
            turns = read_chat(part)
        except RowError:
            return [chat]
        if turns and turns[-1].side == "assistant":
            questions = sum(turn.side == "user" for turn in turns)
            if questions == answered:
                cuts.pop()  # the reply goes on
            cuts.append(json.dumps(part) if as_text else part)
            answered = questions
    return cuts if len(cuts) > 1 else [chat]
