"""Scores -> a decision and its reason for every row.

Decisions are cheap and follow from the columns alone, so thresholds can be tried out at will.
"""

from hf_rap.stats.thresholds import Quantile

from .base import DROPPED_REASONS, KEPT_REASONS, Decision, Selection, Settings, Step
from .baselines import select_hardest, select_limr, select_longest, select_random
from .cognitive import select_cognitive
from .difficulty import Stages, select_difficulty, split_stages
from .methods import METHODS, NEED_BUDGET
from .rap import decide
from .top import select_top

__all__ = [
    "DROPPED_REASONS",
    "KEPT_REASONS",
    "METHODS",
    "NEED_BUDGET",
    "Decision",
    "Quantile",
    "Selection",
    "Settings",
    "Stages",
    "Step",
    "decide",
    "select_cognitive",
    "select_difficulty",
    "select_hardest",
    "select_limr",
    "select_longest",
    "select_random",
    "select_top",
    "split_stages",
]
