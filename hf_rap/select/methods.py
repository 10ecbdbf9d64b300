"""Every selection method by name. A new one is one file like rap.py and one name here; from outside, a plugin."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from hf_rap.errors import SettingError
from hf_rap.options import check
from hf_rap.plugins import plugins

from .base import Settings
from .baselines import HARDEST, LIMR, LONGEST, RANDOM
from .dependence import VISUAL_DEPENDENCE
from .difficulty import DIFFICULTY_BAND
from .method import Method
from .pass_rates import ANY_RIGHT, HARDEST_TENTH, LEARNABILITY, PASS_GAP
from .rap import RAP, RAP_PAPER
from .released import RELEASED_RULE
from .s1 import S1
from .step_trust import BALANCED_INFORMATION, TRUSTED_INFORMATION
from .top import TOP
from .variety import VARIANCE_PROMOTION_SCORE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

METHODS = {
    method.name: method
    for method in (
        RAP,
        RAP_PAPER,
        RELEASED_RULE,
        DIFFICULTY_BAND,
        RANDOM,
        HARDEST,
        LONGEST,
        LIMR,
        S1,
        LEARNABILITY,
        PASS_GAP,
        ANY_RIGHT,
        HARDEST_TENTH,
        VARIANCE_PROMOTION_SCORE,
        VISUAL_DEPENDENCE,
        BALANCED_INFORMATION,
        TRUSTED_INFORMATION,
    )
}
# Reached through a function of its own, since it has quotas.
_ALL = {**METHODS, TOP.name: TOP}


def every_method() -> dict[str, Method]:
    """Ours and those of plugins that `select_cognitive` takes by name."""
    methods: dict[str, Method] = {**METHODS, **plugins("method", _ALL)}
    return methods


def find_method(choice: str | Method | Callable[..., Any]) -> Method:
    """The method that is meant by a name, by itself, or by a function that decides.

    Raises:
        SettingError: there is no method of that name, or it is nothing of these.

    """
    if isinstance(choice, Method):
        ours = _ALL.get(choice.name, choice)
        if ours is not choice and ours != choice:
            raise SettingError(f"A method of hf_rap is called {choice.name!r}: give this one another name.")
        return choice
    if isinstance(choice, str):
        methods: dict[str, Method] = {**plugins("method", _ALL), **_ALL}
        own = "one of your own, as hf_rap.Method(...) or with `hf-rap --plugin module:attribute`"
        names = [name for name in (*METHODS, *methods) if name != TOP.name]
        check(choice in methods, "method", choice, f"one of {', '.join(dict.fromkeys(names))}, or {own}")
        return methods[choice]
    if not callable(choice):
        raise SettingError(
            f"method is {choice!r}: it takes a name, a Method, or a function (ds, settings) -> kept rows."
        )
    name = getattr(choice, "__name__", type(choice).__name__).strip("<>")
    if name in _ALL:
        raise SettingError(f"A method of hf_rap is called {name!r}: give this function another name.")
    # A plain function does not say which options it looks at.
    return Method(name, choice, f"rows by the rule `{name}`", options=tuple(field.name for field in fields(Settings)))


def options_before(rule: Mapping[str, Any]) -> Mapping[str, Any]:
    """Options that a rule of an earlier release stands for, though it does not name them."""
    method = _ALL.get(rule.get("method", RAP.name))
    return method.before if method else {}


def describe_method(rule: Mapping[str, Any], columns: Any) -> dict[str, Any]:
    """What the method of a rule says about itself; of one that is not known here, that it is not."""
    name = rule.get("method", RAP.name)
    method = _ALL.get(name) or Method(name, None, f"rows by the rule `{name}`, which is not known here")
    return method.describe(rule, columns)
