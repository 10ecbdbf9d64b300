"""psi: how much one token of a reply is stared at by the tokens after it. Pure arithmetic on numbers of each column.

A is the attention of a model's last text layer between the tokens of a reply, lower triangular, heads
pooled; j is a column of it, a token that is looked at. Everything is in the log domain: a product
over 500 rows is far below what a float holds.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

FORMS = ("literal", "windowed")
POOLINGS = ("max", "mean")
SIGMA = 2.0  # arXiv 2506.04755
# What decides where nothing else is said; docs/ace.md has the evidence.
FORM = "windowed"
POOLING = "max"
# Rows that a column needs to count. The paper has no minimum.
MIN_COLUMN = 4
# Rows of a column that the windowed form takes.
WINDOW = 16


def log_psis(attempt: Mapping[str, Any], *, form: str, heads: str, sigma: float) -> list[float]:
    """Log psi of every column, from one entry of `rap_attention`.

    literal: log of the product over rows i >= j of sigma A[i, j].
    windowed: log of the geometric mean of sigma A[i, j] over the first rows i >= j of column j, as
    many as the probe was told (`Attention(window=...)`).
    """
    scale = math.log(sigma)
    columns: Sequence[float] = attempt[f"{'product' if form == 'literal' else 'window'}_{heads}"]
    if form == "windowed":
        return [scale + mean for mean in columns]
    return [(len(columns) - place) * scale + product for place, product in enumerate(columns)]


def highest(log_psi: Sequence[float], min_column: int) -> tuple[float, int] | None:
    """The highest log psi and its column, among columns of at least `min_column` rows; None without one.

    >>> highest([-3.0, -0.5, 0.6], min_column=2)
    (-0.5, 1)
    """
    long = log_psi[: max(0, len(log_psi) - min_column + 1)]
    if not long:
        return None
    place = max(range(len(long)), key=long.__getitem__)
    return long[place], place
