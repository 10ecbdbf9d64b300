"""The numbers and names of the rows that a page draws histograms of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_rap.columns import ARM_COLUMNS, ARMS, LIKELIHOOD_CDE, OTHER_SCORES, SCORES, foreign_scores, is_numeric
from hf_rap.stats.arrays import arrow_columns, nulls_for_nan, numbers_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hf_rap.rows.layouts import Layout
    from hf_rap.select import Selection

MOST_NAMES = 24  # of a column; the others count together
_WORDS = {
    "rap_cde": "causal discrepancy (cde)",
    "rap_ace": "attention confidence (ace)",
    "rap_difficulty": "difficulty",
    LIKELIHOOD_CDE.name: "likelihood cde",
    "rap_gold_doubt": "doubt of the gold",
    "rap_bis": "balanced information (bis)",
}
_ARM_WORDS = {"image": "with the image", "text": "on the text alone"}


def numbers_in(selection: Selection) -> dict[str, dict[str, Any]]:
    """Name -> {"label", "values"}: one number per row, null where it is unknown; those of which none is known are left out."""
    ds, by = selection.scored, str(selection.rule.get("by"))
    names = [column.name for column in (*SCORES, *OTHER_SCORES) if column.name in ds.column_names]
    names += foreign_scores(ds.features)
    if by in ds.column_names and is_numeric(ds.features[by]):
        names.append(by)
    columns = arrow_columns(ds, names)
    every = {
        name: (_WORDS.get(name, name.removeprefix("rap_")), numbers_of(columns[name])) for name in dict.fromkeys(names)
    }
    for arm in ARMS:
        rewards, responses, tokens, _ = (column.name for column in ARM_COLUMNS[arm])
        lists = arrow_columns(ds, [rewards, tokens])
        for name, label in ((rewards, "mean reward"), (tokens, "tokens per reply")):
            if name in lists:
                every[name] = (f"{label} {_ARM_WORDS[arm]}", _means(lists[name]))
        if responses in ds.column_names:
            every[responses] = (f"characters per reply {_ARM_WORDS[arm]}", _mean_lengths(ds, responses))
    return {
        name: {
            "label": label,
            "values": [None if value is None else round(value, 12) for value in nulls_for_nan(values)],
        }
        for name, (label, values) in every.items()
        if (values == values).any()  # noqa: PLR0124 - NaN alone differs from itself
    }


def names_in(selection: Selection, layout: Layout) -> dict[str, dict[str, Any]]:
    """Column -> {"names", "index"}: of its most frequent values, and of each row its place among them; null is a value."""
    import pyarrow as pa

    ds, rule = selection.scored, selection.rule
    wanted = dict.fromkeys([layout.source, rule.get("stratify_by"), rule.get("per"), *_short_texts(ds)])
    columns = arrow_columns(ds, [name for name in wanted if name in ds.column_names])
    given = {}
    for name, column in columns.items():
        if pa.types.is_nested(column.type) or pa.types.is_binary(column.type):
            continue
        texts = column.cast(pa.string()).fill_null("null")
        counts = sorted(texts.value_counts().to_pylist(), key=lambda count: (-count["counts"], count["values"]))
        if not len(counts) > 1:
            continue
        names = [count["values"] for count in counts[:MOST_NAMES]]
        places = {value: place for place, value in enumerate(names)}
        rest = len(counts) > MOST_NAMES
        index = [places.get(value, len(names)) for value in texts.to_pylist()]
        given[name] = {"names": [*names, *(["(others)"] if rest else [])], "index": index}
    return given


def _short_texts(ds: Any) -> list[str]:
    """Columns of the user's with few different texts: kinds, subjects, levels."""
    import pyarrow as pa

    names = [
        name
        for name, feature in ds.features.items()
        if getattr(feature, "dtype", None) in ("string", "large_string") and not name.startswith("rap_")
    ]
    columns = arrow_columns(ds, names)
    return [name for name in names if len(pa.compute.unique(columns[name])) <= min(MOST_NAMES, len(ds) // 2)]


def _means(lists: Any) -> NDArray[np.float64]:
    """The mean of the known numbers of each list; NaN without one."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    lists = lists.cast(pa.list_(pa.float64()))
    rows = pc.list_parent_indices(lists).to_numpy()
    values = pc.list_flatten(lists).to_numpy(zero_copy_only=False)
    return _mean_of(rows, values, len(lists)) if len(values) else np.full(len(lists), np.nan)


def _mean_lengths(ds: Any, name: str) -> NDArray[np.float64]:
    """The mean number of characters of the texts of each list, some rows at a time."""
    import numpy as np
    import pyarrow.compute as pc

    means = []
    for start in range(0, len(ds), 1_000):
        lists = ds.select_columns([name]).with_format("arrow")[start : start + 1_000][name].combine_chunks()
        rows = pc.list_parent_indices(lists).to_numpy()
        lengths = pc.utf8_length(pc.list_flatten(lists)).cast("float64").to_numpy(zero_copy_only=False)
        means.append(_mean_of(rows, lengths, len(lists)))
    return np.concatenate(means) if means else np.zeros(0)


def _mean_of(rows: NDArray[np.int64], values: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    import numpy as np

    known = ~np.isnan(values)
    sums = np.bincount(rows[known], weights=values[known], minlength=count)
    counts = np.bincount(rows[known], minlength=count)
    with np.errstate(invalid="ignore"):
        means: NDArray[np.float64] = sums / counts
    return means
