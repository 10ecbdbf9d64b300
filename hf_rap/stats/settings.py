"""What `rap_settings` says about the grades of a row: who made them, what counts as solved, what a cut reply counts as.

    {"verifier": "anls", "verifier_version": "2", "correct": 0.5, "cut": "wrong", "model": ...}

Solved, everywhere, is: an attempt whose reward is at least `correct_of` the settings of its row. Scores, priors,
selections, cards and adaptive collections all count by it.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

CORRECT = 1.0  # the reward from which on an attempt counts as solved, where nothing else was asked for
CUT = ("wrong", "unknown", "graded")  # what a reply that hit the token limit may count as
BUILT_IN = "hf_rap"  # the name of the verifier in `hf_rap.verify`
UNVERSIONED = "unversioned"


@lru_cache(maxsize=1024)
def correct_of(settings: str | None) -> float:
    """The reward from which on an attempt of a row counts as solved, by its `rap_settings`; 1 where these do not say.

    >>> correct_of('{"verifier": "anls", "correct": 0.5}'), correct_of(None)
    (0.5, 1.0)
    """
    try:
        told = json.loads(settings or "{}")
    except ValueError:
        return CORRECT
    correct = told.get("correct") if isinstance(told, dict) else None
    return float(correct) if isinstance(correct, (int, float)) and 0 < correct <= 1 else CORRECT


def correct_of_rows(settings: Any) -> float | NDArray[np.float64]:
    """`correct_of` a column of settings, an Arrow array: (n_rows,), or one number where all rows have the same."""
    import numpy as np

    if len(settings) and settings[1:].equals(settings[:-1]):  # as those of one collection are
        return correct_of(settings[0].as_py())
    coded = settings.cast("string").dictionary_encode()
    limits = np.array([correct_of(text) for text in coded.dictionary.to_pylist()], dtype=np.float64)
    if (limits == CORRECT).all():
        return CORRECT
    place = coded.indices.fill_null(len(limits)).to_numpy(zero_copy_only=False)
    rows: NDArray[np.float64] = np.append(limits, CORRECT)[place]
    return rows


def grader_of(settings: Mapping[str, Any]) -> tuple[str, str] | None:
    """Name and version of who graded; None where the settings do not say.

    Evidence from before there were graders of the user's holds the version of the built-in one alone.
    """
    if settings.get("verifier") is None:
        return None
    if "verifier_version" not in settings:
        return BUILT_IN, str(settings["verifier"])
    return str(settings["verifier"]), str(settings["verifier_version"])


def graded_by(settings: Mapping[str, Any]) -> str | None:
    """Everything in the settings that could change a grade, as JSON; None where nobody graded."""
    who = grader_of(settings)
    return None if who is None else json.dumps([*who, settings.get("cut", CUT[0])])
