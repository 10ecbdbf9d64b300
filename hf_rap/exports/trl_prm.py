"""Rollouts with step scores -> the stepwise supervision of TRL: `prompt`, `completions`, `labels`.

`trl.experimental.prm` is there up to TRL 1.13 and gone since 1.14. It reads text only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hf_rap.options import check_flags, check_number
from hf_rap.rows.prompts import IMAGE
from hf_rap.system import whole_file
from hf_rap.tables import whole_dataset

from .prm_rows import COUNTS, checked_path, prm_rows
from .writing import write_rows

if TYPE_CHECKING:
    import os

    import datasets


def export_trl_prm(
    ds: datasets.Dataset, path: str | os.PathLike[str], *, threshold: float = 0.0, counts: bool = False
) -> int:
    """Write one Parquet file for `PRMTrainer`; the number of rows.

    The placeholders of images are taken out of the question: the trainer has a tokenizer only.

    Args:
        ds: rows with `steps_with_score`, such as `selection.selected`.
        path: the file to write, ends in .parquet; it appears when it is whole.
        threshold: a step is positive above it. The trainer takes no soft labels.
        counts: also `num_mc_correct` and `num_mc_total` of each step, which the trainer leaves out.

    Raises:
        SettingError: the threshold is out of its range, or the path ends otherwise.
        LayoutError: a row has no usable steps.

    """
    from datasets import Features, List, Value

    ds = whole_dataset("export_trl_prm", ds)
    path = checked_path(path, ".parquet")
    check_number("threshold", threshold, least=0, below=1)
    check_flags(counts=counts)
    features = Features(
        {"prompt": Value("string"), "completions": List(Value("string")), "labels": List(Value("bool"))}
        | ({name: List(Value("int64")) for name in COUNTS} if counts else {})
    )
    rows = (
        {
            "prompt": row.question.replace(IMAGE, "").strip(),
            "completions": row.steps,
            "labels": row.labels(threshold),
            **(row.count_columns() if counts else {}),
        }
        for row in prm_rows(ds)
    )
    with whole_file(path) as partial:
        write_rows(rows, features, partial)
    return len(ds)
