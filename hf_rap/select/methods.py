"""Every selection method by name, and what the rest of the package needs to know of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_rap.columns import DIFFICULTY, LIMR

from .baselines import by_chance, by_hardness, by_learning_impact, by_length, decide_hardness_again
from .difficulty import by_difficulty
from .rap import decide_rap_again, select_rap
from .released import decide_released_again, select_released

if TYPE_CHECKING:
    from collections.abc import Callable

    from .base import DecideAgain, Decision, Settings

# A new method is one file like rap.py and one line here.
METHODS: dict[str, Callable[[Any, Settings], Decision]] = {
    "rap": select_rap,
    "rap-released": select_released,
    "difficulty": by_difficulty,
    "random": by_chance,
    "hardest": by_hardness,
    "longest": by_length,
    "limr": by_learning_impact,
}


# These rank rows, so they have to be told how many.
NEED_BUDGET = ("random", "hardest", "longest")
# Methods that decide by counts, apart from "difficulty", whose bounds are no settings of `select_cognitive`.
DECIDED_BY_COUNTS: dict[str, Callable[[Any, Settings], DecideAgain]] = {
    "rap": decide_rap_again,
    "rap-released": decide_released_again,
    "hardest": decide_hardness_again,
}
# The score that decides, where it is another one than cde and the rule does not name it.
SCORE_OF = {"difficulty": DIFFICULTY.name, "hardest": DIFFICULTY.name, "limr": LIMR.name}

RULE_MEANINGS = {
    "method": "rule that decides",
    "min_cde": "a row needs a causal discrepancy above this",
    "max_ace": "and an attention confidence of at most this",
    "replace_easy": "rows that are always solved make room for hard ones",
    "min_replacement_cde": "these need a causal discrepancy above this",
    "min_probability": "how sure it has to be that the true score, not that of these few attempts, passes",
    "budget": "rows to keep",
    "stratify_by": "column whose values share the budget",
    "seed": "of the order among rows that are equal in everything else",
    "by": "score that ranks the rows",
    "ratio": "share of the scored rows to keep, of each value below",
    "count": "rows to keep in all",
    "per": "column each of whose values has a quota",
    "alpha": "what reliability counts in the score where the labels are not mixed",
    "lowest": "the lowest scores rank first",
    "max_per_question": "rows of one question",
    "drop_duplicates": "of identical rollouts the first is kept",
    "low": "smallest pass rate with the image",
    "high": "largest pass rate with the image",
    "middle": "rows with a smaller pass rate are stage two",
    "sizes": "rows of stage one and of stage two",
    "stage": "which of the two stages this is",
    "min_limr": "a row needs a learning impact of at least this",
    "control": "what the causal discrepancy compares the image with",
    "reward": "what a reply is worth to the rule",
}


# What the rows of a method are, for the card's first sentence; where a method has none of these, as "rap".
METHOD_ROWS = {
    "rap-released": "rows by the rule of the authors' released script for arXiv 2506.04755",
    "difficulty": "rows that are neither nearly always nor nearly never solved",
    "random": "a random baseline, rows drawn by chance",
    "hardest": "a baseline, the rows that are solved least often",
    "longest": "a baseline, the rows with the longest replies",
    "limr": "a baseline, rows whose rewards follow the mean curve of a training run",
}


# Method -> the function that gives it with any options; every other is an option of `select_cognitive`.
SELECTORS = {
    "difficulty": "select_difficulty",
    "random": "select_random",
    "hardest": "select_hardest",
    "longest": "select_longest",
    "limr": "select_limr",
    "top": "select_top",
}
