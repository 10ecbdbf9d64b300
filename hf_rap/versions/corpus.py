"""What a corpus of rollouts with step scores is like: how many steps are wrong, how sure the labels are, what each source keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_rap.columns import BIS_MEAN, BIS_POSITIVE, BIS_STEPS, KEEP

if TYPE_CHECKING:
    import pyarrow as pa

_NEEDS = (BIS_STEPS, BIS_POSITIVE, BIS_MEAN)
MAX_SHOWN = 50


def describe_corpus(table: pa.Table) -> dict[str, Any] | None:
    """Steps in all and of the kept rows, and of each source; None where the rows have no score of `BISScore`.

    `wrong` is the share of steps whose score is not above the threshold of the labels, `mean` the mean score of a step.
    """
    import numpy as np
    import pyarrow.compute as pc

    if not {column.name for column in _NEEDS} <= set(table.column_names):
        return None
    rows = {column.name: table[column.name].fill_null(0).to_numpy() for column in _NEEDS}
    steps, positive = rows[BIS_STEPS.name].astype(np.int64), rows[BIS_POSITIVE.name].astype(np.int64)
    total = rows[BIS_MEAN.name].astype(np.float64) * steps
    keep = table[KEEP.name].to_numpy().astype(bool)

    def of(chosen: Any) -> dict[str, Any]:
        count = int(steps[chosen].sum())
        return {
            "rows": int(np.count_nonzero(chosen & (steps > 0))),
            "steps": count,
            "wrong": round(1 - int(positive[chosen].sum()) / count, 6) if count else None,
            "mean": round(float(total[chosen].sum()) / count, 6) if count else None,
        }

    values = []
    if "source" in table.column_names:
        names = table["source"].cast("string")
        values = sorted(names.value_counts().to_pylist(), key=lambda entry: (-entry["counts"], str(entry["values"])))
    sources = []
    for value in (entry["values"] for entry in values[:MAX_SHOWN]):
        here = (pc.is_null(names) if value is None else pc.fill_null(pc.equal(names, value), False)).to_numpy()
        sources.append({"source": value, "all": of(here), "kept": of(here & keep)})
    return {
        "all": of(np.ones(len(keep), dtype=bool)),
        "kept": of(keep),
        "sources": sources,
        "others": max(0, len(values) - MAX_SHOWN),
    }
