"""Metrics for the `evaluate` library: `evaluate.load(metric_path("pass_at_k"))`.

They are files that `evaluate` copies and imports on its own; `pip install evaluate` beside hf_rap.
"""

from __future__ import annotations

from pathlib import Path

from hf_rap.errors import SettingError

METRICS = ("pass_at_k", "rap_accuracy", "modality_gap", "step_f1", "best_of_n")


def metric_path(name: str) -> str:
    """The folder of one of `METRICS`.

    Raises:
        SettingError: there is none of that name.

    """
    if name not in METRICS:
        raise SettingError(f"There is no metric {name!r}: choose one of {', '.join(METRICS)}.")
    return str(Path(__file__).parent / name)
