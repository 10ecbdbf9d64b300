"""psi: how much one token of a reply is stared at by the tokens after it. Pure arithmetic on numbers of each column.

A is the attention of a model's last text layer between the tokens of a reply, lower triangular, heads
pooled; j is a column of it, a token that is looked at. Its rows are divided by their sum over all tokens, prompt
included, or over the reply's. Everything is in the log domain: a product
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
# What each row of A is divided by: its sum over all tokens, prompt included, or over the reply's.
NORMALISATIONS = ("all", "reply")
PARTS = ("all", "thinking", "answer")
SIGMA = 2.0  # arXiv 2506.04755
# What decides where nothing else is said; docs/ace.md has the evidence.
FORM = "windowed"
POOLING = "max"
# Rows that a column needs to count. The paper has no minimum.
MIN_COLUMN = 4
# Rows of a column that the windowed form takes.
WINDOW = 16


def log_psis(
    attempt: Mapping[str, Any], *, form: str, heads: str, sigma: float, normalise: str = "all", part: str = "all"
) -> list[float]:
    """Log psi of every column of a part of the reply, from one entry of `rap_attention`.

    literal: log of the product over rows i >= j of sigma A[i, j].
    windowed: log of the geometric mean of sigma A[i, j] over the first rows i >= j of column j, as
    many as the probe was told (`Attention(window=...)`).

    Rows and columns are those of the part: "thinking" is all up to the last `</think>`, "answer" what follows. A part that
    the reply has not is empty.

    Raises:
        LookupError: the evidence of an earlier release does not have what this takes; its name is the argument.
    """
    scale = math.log(sigma)
    columns = _columns(attempt, _field(form, heads, normalise), part)
    if form == "windowed":
        return [scale + mean for mean in columns]
    return [(len(columns) - place) * scale + product for place, product in enumerate(columns)]


_KINDS = {"literal": "product", "windowed": "window"}


def fields_read(form: str, heads: str, normalise: str) -> tuple[str, ...]:
    """The fields of an entry of `rap_attention` that `log_psis` reads, whatever the part."""
    name = _field(form, heads, normalise)
    return (name, "thinking_tokens", f"thinking_{name}")


def _field(form: str, heads: str, normalise: str) -> str:
    return f"{_KINDS[form]}_{heads}{'' if normalise == 'all' else '_reply'}"


def _columns(attempt: Mapping[str, Any], name: str, part: str) -> Sequence[float]:
    columns: Sequence[float] = _known(attempt, name)
    if part == "all":
        return columns
    thinking: int = _known(attempt, "thinking_tokens")
    if part == "answer":
        return columns[thinking:]  # the rows from these columns on are all of the answer
    if thinking in (0, len(columns)):
        return columns[:thinking]
    own: Sequence[float] = _known(attempt, f"thinking_{name}")
    return own


def _known(attempt: Mapping[str, Any], name: str) -> Any:
    value = attempt.get(name)
    if value is None:
        raise LookupError(name)
    return value


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
