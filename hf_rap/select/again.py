"""The rule of a selection as a function of counts alone: what it would keep if the model answered again."""

from __future__ import annotations

import importlib
from dataclasses import fields
from inspect import signature
from typing import TYPE_CHECKING, Any

from hf_rap.errors import SettingError

from .base import DecideAgain, Selection, Settings, rows_to_select
from .duplicates import first_of_equal, spread_again
from .method import NO_OPTIONS
from .methods import METHODS, find_method, options_before
from .overrides import marks_for, marks_of_rule, override_again

if TYPE_CHECKING:
    from collections.abc import Mapping


def decide_again(ds: Any, rule: Mapping[str, Any]) -> DecideAgain:
    """The rule for other counts of the rows of `ds`; ids, attention and all else of them stay as they are.

    Args:
        ds: a `Dataset`; its scores and rewards are not read, except that `min_probability` fits its prior to the rewards.
        rule: options of `select_cognitive` by name, or the `rule` of a `Selection`, which decides as it was asked to:
            a quantile is taken anew. Marks of a person are "overrides", as `select_cognitive` takes them, or those of the
            selection that the rule and the rows are of.

    Returns:
        A function of the counts with the image and on the question alone. It raises `SettingError` where these leave
        fewer rows than a budget asks for.

    Raises:
        SettingError: an option is unknown or out of its range, or the method does not decide by counts.
        MissingColumnError: an option needs a column that is not there.

    """
    ds = rows_to_select("decide_again", ds)
    marks = marks_of_rule(ds, rule) if rule.get("overrides") is None else marks_for(ds, rule["overrides"])
    rule = {name: value for name, value in rule.items() if name != "overrides"}
    method = find_method(rule.get("method", "rap"))
    if method.decide_again is None or rule.get("stage"):
        name = "split_stages" if rule.get("stage") else method.name
        can = ", ".join(method.name for method in METHODS.values() if method.decide_again)
        raise SettingError(f"Method {name!r} cannot be repeated on other counts; these can: {can}.")
    names = {field.name for field in fields(Settings)} | set(method.meanings)
    unknown = sorted(set(rule) - names - set(NO_OPTIONS))
    if unknown:
        raise SettingError(f"The rule has {unknown[0]!r}, which is no option: {', '.join(sorted(names))}.")
    options = {**rule, **rule.get("asked", {})}
    Settings.of(options).refuse_others(method.name, method.options, method.fixed)
    positions = first_of_equal(ds)
    if positions is None:
        again = method.decide_again(ds, {**options, **method.fixed})
    else:
        again = spread_again(method.decide_again(ds.select(positions), {**options, **method.fixed}), positions, len(ds))
    return override_again(again, ds, marks) if marks else again


def options_of(rule: Mapping[str, Any], function: str) -> dict[str, Any]:
    """The arguments of this public function that give a rule, as they were asked for."""
    unsaid = set(NO_OPTIONS) - ({"method"} if function == "select_cognitive" else set())
    options = {name: value for name, value in rule.items() if name not in unsaid}
    before = {name: value for name, value in options_before(rule).items() if name not in rule}
    return {**options, **before, **rule.get("asked", {})}


def select_again(ds: Any, rule: Mapping[str, Any], options: Mapping[str, Any] | None = None) -> Selection:
    """The selection of a rule, made from the scores of `ds`.

    Args:
        ds: a `Dataset` with the scores that the rule reads.
        rule: of a `Selection`.
        options: what is to be other than in the rule; another method starts from its defaults. Marks of a person stay as they
            are in the rows, unless there are other `overrides`.

    Raises:
        SettingError: an option is unknown or out of its range, or the method is not known here.
        MissingColumnError: a column is absent.

    """
    options = dict(options or {})
    if options.get("overrides") is None and (marks := marks_of_rule(ds, rule)):
        options["overrides"] = marks
    if options.get("method", rule.get("method")) != rule.get("method"):
        rule = {"method": options["method"]}
    method = find_method(rule.get("method", "rap"))
    name: str = method.describe(rule, ds.column_names)["function"]
    function = importlib.import_module(__package__).__dict__[name]
    if name != "select_cognitive":
        options.pop("method", None)
    unknown = sorted(set(options) - set(signature(function).parameters))
    if unknown:
        raise SettingError(
            f"{unknown[0]}={options[unknown[0]]!r} means nothing to {name}, by which these rows were selected."
        )
    selection: Any = function(ds, **{**options_of(rule, name), **options})
    stage = rule.get("stage")
    selected: Selection = selection if stage is None else getattr(selection, stage.removeprefix("stage_"))
    return selected
