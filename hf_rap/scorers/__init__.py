"""Evidence -> scores: one small pure file per score.

A new score is one file here and one line in `SCORERS`; the command line and the contract tests
take it from there.
"""

from __future__ import annotations

from .ace import ACEScore, ace_score
from .base import Scorer, add_scores
from .cde import CDEScore, cde_score
from .difficulty import DifficultyScore, difficulty_score
from .limr import LimrScore, limr_score

SCORERS: dict[str, Scorer] = {
    "ace": ace_score,
    "cde": cde_score,
    "difficulty": difficulty_score,
}

__all__ = [
    "SCORERS",
    "ACEScore",
    "CDEScore",
    "DifficultyScore",
    "LimrScore",
    "Scorer",
    "ace_score",
    "add_scores",
    "cde_score",
    "difficulty_score",
    "limr_score",
]
