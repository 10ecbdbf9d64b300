"""Evidence -> scores: one small pure file per score.

A new score is one file here and one line in `SCORERS`; the command line and the contract tests
take it from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hf_rap.columns import ATTENTION, ERROR, IMAGE_REWARDS, REPLY_LOGPROBS, TEXT_REWARDS
from hf_rap.errors import SettingError
from hf_rap.plugins import plugins
from hf_rap.stats.arrays import arrow_columns

from .ace import ACEScore, ace_score
from .base import Scorer, add_scores
from .bis import BISScore, bis_score
from .cde import CDEScore, cde_score
from .difficulty import DifficultyScore, difficulty_score
from .function import FunctionScorer, scorer
from .gold_doubt import GoldDoubtScore, gold_doubt_score
from .likelihood_cde import LikelihoodCDEScore, likelihood_cde_score
from .limr import LIMRScore, add_limr_score
from .visual_dependence import VisualDependenceScore, visual_dependence_score

if TYPE_CHECKING:
    from collections.abc import Collection

    import datasets

SCORERS: dict[str, Scorer] = {
    "ace": ace_score,
    "bis": bis_score,
    "cde": cde_score,
    "difficulty": difficulty_score,
    "gold_doubt": gold_doubt_score,
    "likelihood_cde": likelihood_cde_score,
    "visual_dependence": visual_dependence_score,
}


# Made without being named where replies were read again.
_OF_READINGS = {"ace": ATTENTION, "visual_dependence": REPLY_LOGPROBS}


def find_scorer(name: str) -> Scorer:
    """The scorer of that name, of ours or a plugin.

    Raises:
        SettingError: there is none of that name.

    """
    scorers: dict[str, Scorer] = {**SCORERS, **plugins("scorer", SCORERS)}
    if name not in scorers:
        raise SettingError(
            f"There is no score {name!r}. There is: {', '.join(scorers)}. One of your own (see `hf_rap.scorers.scorer`) "
            "comes in with `hf-rap --plugin module:attribute`."
        )
    return scorers[name]


def usual_scores(ds: datasets.Dataset) -> tuple[str, ...]:
    """The scores that a dataset gets when none are named: those of plugins where they can be made.

    Without cde where nothing was asked on the question alone (`Rollouts(arm="image")`): it would be null in every row.
    """
    there = set(ds.column_names)
    own: dict[str, Scorer] = plugins("scorer", SCORERS)
    made = [name for name, scorer in own.items() if can_be_made(scorer, there)]
    cde = [] if _is_without_text(ds) else ["cde"]
    read = [name for name, column in _OF_READINGS.items() if column.name in there]
    return (*cde, *read, "difficulty", *made)


def _is_without_text(ds: datasets.Dataset) -> bool:
    """No row has attempts on the question alone, and not for an error: there are some with their image that have none."""
    import pyarrow.compute as pc

    if TEXT_REWARDS.name not in ds.column_names:
        return IMAGE_REWARDS.name in ds.column_names
    evidence = arrow_columns(ds, (IMAGE_REWARDS.name, TEXT_REWARDS.name, ERROR.name))
    if len(evidence) < 3 or pc.any(evidence[TEXT_REWARDS.name].is_valid()).as_py():
        return False
    asked = pc.and_(evidence[IMAGE_REWARDS.name].is_valid(), evidence[ERROR.name].is_null())
    return bool(pc.any(asked).as_py())


def can_be_made(scorer: Scorer, columns: Collection[str]) -> bool:
    """Its evidence is there, and its scores are not."""
    reads, writes = ({column.name for column in part} for part in (scorer.reads, scorer.writes))
    return reads <= set(columns) and not writes & set(columns)


__all__ = [
    "SCORERS",
    "ACEScore",
    "BISScore",
    "CDEScore",
    "DifficultyScore",
    "FunctionScorer",
    "GoldDoubtScore",
    "LIMRScore",
    "LikelihoodCDEScore",
    "Scorer",
    "VisualDependenceScore",
    "ace_score",
    "add_limr_score",
    "add_scores",
    "bis_score",
    "can_be_made",
    "cde_score",
    "difficulty_score",
    "find_scorer",
    "gold_doubt_score",
    "likelihood_cde_score",
    "scorer",
    "usual_scores",
    "visual_dependence_score",
]
