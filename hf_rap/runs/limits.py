"""Rows whose replies had another token limit than the one of now: they stay as they are, and that is said."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .index import Index
    from .row_table import Rows
    from .stretches import Stretch


def fewer_tokens(stretch: Stretch, limit: int | None) -> bool:
    """Its replies could have fewer tokens than they may have now."""
    return limit is not None and stretch.limit is not None and stretch.limit < limit


def limit_remarks(
    index: Index, rows: Rows, goal: Callable[[int], Mapping[str | None, int]], *, continued: bool
) -> list[str]:
    """A line for every smaller limit at which replies were cut off, and one for larger ones."""
    limit = index.limit
    if limit is None or index.limits() <= {limit}:
        return []
    cut: Counter[int] = Counter()
    more = 0
    for number, key in enumerate(rows.keys()):
        taken = [stretch for arm, attempts in goal(number).items() for stretch in index.chosen(key, attempts, arm=arm)]
        limits = [stretch.limit or 0 for stretch in taken if stretch.cut and fewer_tokens(stretch, limit)]
        cut.update(limits and [min(limits)])
        more += any((stretch.limit or 0) > limit for stretch in taken)
    then = (
        "could not go on, and stay as they are"
        if continued
        else ("stay as they are; --continue-cut (continue_cut=True) goes on with them")
    )
    remarks = [
        f"{count:,} rows have replies that were cut off at {least:,} tokens, while max_new_tokens is {limit:,}: they {then}."
        for least, count in sorted(cut.items())
    ]
    if more:
        remarks.append(
            f"{more:,} rows have replies from a larger limit than max_new_tokens={limit:,}: they stay as they are."
        )
    return remarks
