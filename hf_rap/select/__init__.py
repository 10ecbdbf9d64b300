"""Scores -> a decision and its reason for every row.

Decisions are cheap and follow from the columns alone, so thresholds can be tried out at will.
"""

from hf_rap.stats.thresholds import Quantile

from .base import Decision, Selection, Settings, Step
from .baselines import select_hardest, select_limr, select_longest, select_random
from .cognitive import select_cognitive
from .difficulty import Stages, select_difficulty, split_stages
from .method import Citation, Method, Reason
from .methods import METHODS
from .rap import decide
from .s1 import select_s1
from .sweep import Sweep, SweepPoint, sweep
from .top import select_top

__all__ = [
    "METHODS",
    "Citation",
    "Decision",
    "Method",
    "Quantile",
    "Reason",
    "Selection",
    "Settings",
    "Stages",
    "Step",
    "Sweep",
    "SweepPoint",
    "decide",
    "select_cognitive",
    "select_difficulty",
    "select_hardest",
    "select_limr",
    "select_longest",
    "select_random",
    "select_s1",
    "select_top",
    "split_stages",
    "sweep",
]
