"""The rule of a selection as a function of counts alone: what it would keep if the model answered again."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from hf_rap.errors import SettingError
from hf_rap.papers import DIFFICULTY_PRIOR

from .base import DecideAgain, Settings, check_dataset
from .difficulty import decide_difficulty_again
from .methods import DECIDED_BY_COUNTS

if TYPE_CHECKING:
    from collections.abc import Mapping

_OPTIONS = {field.name for field in fields(Settings)}
# What the rule of a selection holds beside its options.
_TOLD = {"method", "asked", "attempts", "control", "reward"}


def decide_again(ds: Any, rule: Mapping[str, Any]) -> DecideAgain:
    """The rule for other counts of the rows of `ds`; ids, attention and all else of them stay as they are.

    Args:
        ds: a `Dataset`; its scores and rewards are not read, except that `min_probability` fits its prior to the rewards.
        rule: options of `select_cognitive` by name, or the `rule` of a `Selection`, which decides as it was asked to:
            a quantile is taken anew.

    Returns:
        A function of the counts with the image and on the question alone. It raises `SettingError` where these leave
        fewer rows than a budget asks for.

    Raises:
        SettingError: an option is unknown or out of its range, or the method does not decide by counts.
        MissingColumnError: an option needs a column that is not there.

    """
    check_dataset("decide_again", ds)
    method = rule.get("method", "rap")
    if method not in (*DECIDED_BY_COUNTS, "difficulty") or rule.get("stage"):
        raise SettingError(
            f"Method {'split_stages' if rule.get('stage') else method!r} cannot be repeated on other counts; these can: "
            f"{', '.join(DECIDED_BY_COUNTS)}, difficulty."
        )
    bounds = {"low", "high"} if method == "difficulty" else set()
    unknown = sorted(set(rule) - _OPTIONS - _TOLD - bounds)
    if unknown:
        raise SettingError(f"The rule has {unknown[0]!r}, which is no option: {', '.join(sorted(_OPTIONS | bounds))}.")
    asked = {**rule, **rule.get("asked", {})}
    if method == "difficulty":
        bounds_asked = asked.get("low", DIFFICULTY_PRIOR.low), asked.get("high", DIFFICULTY_PRIOR.high)
        return decide_difficulty_again(ds, *bounds_asked, asked.get("min_probability"))
    return DECIDED_BY_COUNTS[method](ds, Settings(**{name: asked[name] for name in _OPTIONS if name in asked}))
