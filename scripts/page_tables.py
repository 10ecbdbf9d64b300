"""Tables of the pages that scripts write."""

from __future__ import annotations

import re


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    """Its lines."""
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return [*lines, *(f"| {' | '.join(map(cell, row))} |" for row in rows)]


def cell(text: str) -> str:
    """A text in one line that ends no cell."""
    return re.sub(r"\s+", " ", text).replace("|", "\\|").strip()
