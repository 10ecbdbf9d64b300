"""What an adaptive collection made and spared, in numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_rap.columns import ADAPTIVE, ARMS, IMAGE_TOKENS, TEXT_TOKENS
from hf_rap.select.stopped import stopping_of

if TYPE_CHECKING:
    import datasets

_TOKENS = dict(zip(ARMS, (IMAGE_TOKENS, TEXT_TOKENS), strict=True))


def describe_adaptive(ds: datasets.Dataset) -> dict[str, Any] | None:
    """Attempts per row, and what was spared; None for rows that have all their attempts.

    Returns:
        {"stopping": as in `rap_adaptive`, "per_row": {arm: {"min", "mean", "max"}}, "attempts": made,
        "attempts_spared", "tokens": generated, "tokens_spared": estimated by the mean tokens of each arm's attempts}.
        What was spared is None in sequential mode, where nothing was planned. Tokens are None where the engine did not
        count them.

    """
    import numpy as np
    import pyarrow.compute as pc

    stopping = stopping_of(ds)
    names = [column.name for column in _TOKENS.values()]
    if stopping is None or not set(names) <= set(ds.column_names):
        return None
    table = ds.select_columns([ADAPTIVE.name, *names]).with_format("arrow")[:]
    table = table.filter(table[ADAPTIVE.name].is_valid())
    per_row: dict[str, Any] = {}
    made = spared = 0
    tokens: float | None = 0.0
    tokens_spared: float | None = 0.0
    for arm, column in _TOKENS.items():
        lengths = pc.list_value_length(table[column.name]).drop_null().to_numpy()
        if not lengths.size:
            continue
        numbers = pc.list_flatten(table[column.name]).cast("float64").to_numpy()
        per_row[arm] = {
            "min": int(lengths.min()),
            "mean": round(float(lengths.mean()), 6),
            "max": int(lengths.max()),
        }
        left = int(np.maximum(stopping["attempts"] - lengths, 0).sum())
        made, spared = made + len(numbers), spared + left
        counts = numbers[~np.isnan(numbers)]
        counted = tokens is not None and tokens_spared is not None and counts.size == numbers.size
        tokens = tokens + counts.sum() if counted and tokens is not None else None
        mean = counts.mean() if counts.size else 0.0
        tokens_spared = tokens_spared + left * mean if counted and tokens_spared is not None else None
    exact = stopping["mode"] == "exact"
    return {
        "stopping": stopping,
        "per_row": per_row,
        "attempts": made,
        "attempts_spared": spared if exact else None,
        "tokens": None if tokens is None else round(tokens),
        "tokens_spared": round(tokens_spared) if exact and tokens_spared is not None else None,
    }
