"""Evidence -> scores: one small pure file per score.

A new score is one file here and one line in `SCORERS`; the command line and the contract tests
take it from there.
"""

from __future__ import annotations

from .ace import ACEScore, ace_score
from .base import Scorer, add_scores
from .bis import BISScore, bis_score
from .cde import CDEScore, cde_score
from .difficulty import DifficultyScore, difficulty_score
from .likelihood_cde import LikelihoodCDEScore, likelihood_cde_score
from .limr import LimrScore, limr_score

SCORERS: dict[str, Scorer] = {
    "ace": ace_score,
    "bis": bis_score,
    "cde": cde_score,
    "difficulty": difficulty_score,
    "likelihood_cde": likelihood_cde_score,
}

__all__ = [
    "SCORERS",
    "ACEScore",
    "BISScore",
    "CDEScore",
    "DifficultyScore",
    "LikelihoodCDEScore",
    "LimrScore",
    "Scorer",
    "ace_score",
    "add_scores",
    "bis_score",
    "cde_score",
    "difficulty_score",
    "likelihood_cde_score",
    "limr_score",
]
