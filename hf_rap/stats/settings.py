"""What `rap_settings`, and the manifest of a run, say: which settings count, of which model, and how rows were graded.

    {"verifier": "anls", "verifier_version": "2", "correct": 0.5, "cut": "wrong", "model": ...}

Solved, everywhere, is: an attempt whose reward is at least `correct_of` the settings of its row. Scores, priors,
selections, cards and adaptive collections all count by it.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from hf_rap.errors import SettingError, visible
from hf_rap.options import ForeignError, is_whole, read_json, shown
from hf_rap.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

CORRECT = 1.0  # the reward from which on an attempt counts as solved, where nothing else was asked for
CUT = ("wrong", "unknown", "graded")  # what a reply that hit the token limit may count as
BUILT_IN = "hf_rap"  # the name of the verifier in `hf_rap.verify`
UNVERSIONED = "unversioned"
NOT_COUNTED = "not_counted"
"""The names of those that are written down and do not tell evidence apart."""
# These never do, whoever writes them: evidence stays good after an upgrade and on another machine.
_WRITTEN_DOWN = ("device", "transformers", "torch", "hf_rap")
# Settings from before they named those that are not counted: these did not count for a run that keeps replies.
_OF_REPLIES = ("verifier", "verifier_version", "cut", "correct", "max_new_tokens")


def settings_in(text: str | None) -> dict[str, Any]:
    """What a cell of `rap_settings` says; nothing where it is null.

    Raises:
        SettingError: it is none that hf-rap has written.

    """
    try:
        values: dict[str, Any] = read_json(text or "{}")
    except ForeignError as error:
        raise SettingError(f"rap_settings says {shown(text)}, which {error}: collect the evidence anew.") from error
    return values


def plan_in(text: str) -> dict[str, Any]:
    """What a cell of `rap_adaptive` says of the collection that made its row.

    Raises:
        SettingError: it is none that hf-rap has written.

    """
    try:
        plan: dict[str, Any] = read_json(text)
        if not isinstance(plan.get("mode"), str) or not is_whole(plan.get("attempts")):
            raise ForeignError("has no mode, or no number of attempts")
    except ForeignError as error:
        raise SettingError(f"rap_adaptive says {shown(text)}, which {error}: collect the evidence anew.") from error
    return plan


@lru_cache(maxsize=1024)
def correct_of(settings: str | None) -> float:
    """The reward from which on an attempt of a row counts as solved, by its `rap_settings`; 1 where these do not say.

    >>> correct_of('{"verifier": "anls", "correct": 0.5}'), correct_of(None)
    (0.5, 1.0)
    """
    try:
        parsed = read_json(settings or "{}")
    except ForeignError:
        return CORRECT
    correct = parsed.get("correct")
    return float(correct) if isinstance(correct, (int, float)) and 0 < correct <= 1 else CORRECT


def correct_of_rows(settings: Any) -> float | NDArray[np.float64]:
    """`correct_of` a column of settings, an Arrow array: (n_rows,), or one number where all rows have the same."""
    import numpy as np

    if len(settings) and settings[1:].equals(settings[:-1]):  # as those of one collection are
        return correct_of(settings[0].as_py())
    coded = settings.cast("string").dictionary_encode()
    thresholds = np.array([correct_of(text) for text in coded.dictionary.to_pylist()], dtype=np.float64)
    if (thresholds == CORRECT).all():
        return CORRECT
    place = coded.indices.fill_null(len(thresholds)).to_numpy(zero_copy_only=False)
    rows: NDArray[np.float64] = np.append(thresholds, CORRECT)[place]
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


def grader_in_words(key: str) -> str:
    """What `graded_by` gave, for people; another text as it may be printed.

    >>> grader_in_words('["built-in", "12", "wrong"]'), grader_in_words("?")
    ('built-in 12 (cut: wrong)', '?')
    """
    try:
        name, version, cut = read_json(key, list)
    except ValueError:  # ForeignError is one
        return visible(key, 80)
    return f"{name} {version} (cut: {cut})"


def set_apart(settings: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The settings, which say that those with these names are not counted either."""
    apart = {*settings.get(NOT_COUNTED, ()), *_WRITTEN_DOWN, *names} & settings.keys()
    return {**settings, NOT_COUNTED: sorted(apart)}


def noted(settings: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The settings with the version of hf_rap, and with a word in place of an identity where the engine tells none.

    >>> noted({"model": "m"})["identity"]
    'not told by the engine'
    """
    untold = () if "identity" in settings else ("identity",)
    return set_apart({"identity": "not told by the engine", **settings, "hf_rap": VERSION}, *untold, *names)


def counted(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that tell evidence apart.

    >>> counted({"model": "m", "batch_size": 4, "not_counted": ["batch_size"]})
    {'model': 'm'}
    >>> counted({"model": "m", "torch": "2.4"})
    {'model': 'm'}
    """
    apart = settings.get(NOT_COUNTED)
    if apart is None:
        keeps_replies = any(str(name).endswith("_responses") for name in settings.get("writes", ()))
        apart = (*_WRITTEN_DOWN, *(_OF_REPLIES if keeps_replies else ()))
    return {name: value for name, value in settings.items() if name != NOT_COUNTED and name not in apart}


def identity_in(settings: Mapping[str, Any]) -> str | None:
    """What pins the model of these settings; None where they do not tell: a server's, or older ones."""
    identity: str | None = counted(settings).get("identity")
    return identity


def same_model(there: Mapping[str, Any], here: Mapping[str, Any]) -> bool | None:
    """Whether two settings are of one model, by what pins it; None where one of them does not tell.

    >>> same_model({"identity": "me/grid@12ab"}, {"identity": "me/grid@34cd"}), same_model({}, {"identity": "me/grid@34cd"})
    (False, None)
    """
    identities = identity_in(there), identity_in(here)
    return None if None in identities else identities[0] == identities[1]


def model_in(settings: Mapping[str, Any]) -> str:
    """The model of these settings, for people, with what pins it where that is told.

    >>> model_in({"model": "grid", "identity": "files:12ab"})
    'grid (files:12ab)'
    >>> model_in({"model": "me/grid", "revision": "12ab", "identity": "me/grid@12ab"})
    'me/grid@12ab'
    """
    name, identity = str(settings.get("model") or "unknown model"), identity_in(settings)
    if identity is None:
        return f"{name}@{settings['revision']}" if settings.get("revision") else name
    return identity if identity.startswith(f"{name}@") else f"{name} ({identity})"
