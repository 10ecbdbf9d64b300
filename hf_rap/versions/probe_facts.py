"""What a probe left out, and how well that went, in numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_rap.columns import IMAGE_TOKENS, PROBED, TEXT_TOKENS
from hf_rap.options import ForeignError, read_json

if TYPE_CHECKING:
    import datasets


def describe_probed(ds: datasets.Dataset) -> dict[str, Any] | None:
    """What `collect_probed` did; None for rows that no probe was asked about, or a mixture of several collections.

    Returns:
        What is in `rap_probed`, and "tokens_spared": the attempts of the rows left out, less those made to settle rows, at the
        mean tokens of each arm's attempts, against as many attempts of every row. It is below 0 where more was spent on
        settling than was spared, and None where the engine did not count tokens or attempts were adaptive.

    """
    import pyarrow.compute as pc

    if PROBED.name not in ds.column_names:
        return None
    records = set(ds.with_format("arrow")[PROBED.name].to_pylist()) if len(ds) else set()
    if len(records) != 1 or None in records:
        return None
    try:
        record: dict[str, Any] = read_json(records.pop())
    except ForeignError:  # a record of somebody else
        return None
    names = [column.name for column in (IMAGE_TOKENS, TEXT_TOKENS)]
    if not set(names) <= set(ds.column_names):
        return {**record, "tokens_spared": None}
    table = ds.select_columns(names).with_format("arrow")[:]
    spared = 0.0
    extra = record.get("settled_attempts")
    if extra is None:  # of an earlier release, where every settled row got as many
        extra = record["settled"] * max(record["settle"] - record["attempts"], 0)
    for name in names:
        tokens = pc.list_flatten(table[name])
        mean = pc.mean(tokens).as_py()
        lengths = set(pc.list_value_length(table[name]).drop_null().to_pylist())
        if mean is None or tokens.null_count or lengths != {record["attempts"]}:
            return {**record, "tokens_spared": None}
        spared += mean * (record["left_out"] * record["attempts"] - extra)
    return {**record, "tokens_spared": round(spared)}
