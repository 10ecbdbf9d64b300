"""Process-reward data: responses in steps, each step with the share of continuations that succeed."""

from __future__ import annotations

from .annotate import StepRewards, annotate_steps, one_row_per_response
from .reading import ProcessLayout, count_faults, load_process_rewards
from .steps import split_steps

__all__ = [
    "ProcessLayout",
    "StepRewards",
    "annotate_steps",
    "count_faults",
    "load_process_rewards",
    "one_row_per_response",
    "split_steps",
]
