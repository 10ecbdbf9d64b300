"""What a page needs to decide as Python does: columns to compare, ranks, and which thresholds can be moved.

Everything but comparisons is done here. Orders come as ranks, what does not depend on a threshold as a column, so that the
page (`page/rule.js`) compares and counts; a test holds its decisions against `select_cognitive`, row for row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_rap.columns import ACE, CDE, DIFFICULTY, ERROR, IMAGE_REWARDS, KEEP, REASON
from hf_rap.options import is_whole
from hf_rap.select.again import options_of
from hf_rap.select.arrays import ranked, why_unscored
from hf_rap.select.base import DROP
from hf_rap.select.duplicates import stands_earlier
from hf_rap.select.overrides import BY_HAND, WRONG_GOLD
from hf_rap.select.rap import one_failure, why_not_above
from hf_rap.select.stopped import stopping_of
from hf_rap.select.top import EXACT, codes
from hf_rap.stats.arrays import arrow_columns, ids_of, nulls_for_nan, numbers_of, seeded_order
from hf_rap.stats.exact import complement
from hf_rap.stats.lists import known_of, number_lists

from .lines import arguments, command, defaults_of, flag_of

if TYPE_CHECKING:
    from hf_rap.select import Selection

RAP, BAND, TOP = "rap", "band", "top"
_MOVED = ("rap", "rap-paper", "difficulty", "top")  # methods whose thresholds can be
_PLACES = 6  # a threshold of a page has no more decimals


def rule_of(selection: Selection, source: str | None) -> dict[str, Any]:
    """How a page decides the rows of a selection anew, ready for JSON.

    kind       "rap", "band", "top", or null: no threshold can be moved, and `why` says so
    settings   the rule's numbers by name
    handles    the thresholds that can be moved: {"name", "column", "keeps", "value", "least", "most", "step", "flag",
               "default"}
    columns    name -> one value per row, (n_rows,); the names that the kind reads stand in `page/rule.js`
    by_hand    row -> the mark of a person, which goes before the rule
    function   the public function that makes the selection, `fixed`, its other arguments that are not the default, and
               `command`, the same for a shell

    """
    rule = selection.rule
    function = selection.method["function"]
    marks = _by_hand(selection)
    why = _why_fixed(selection)
    if why is not None:
        return {"kind": None, "why": why, "handles": [], "settings": {}, "columns": {}, "by_hand": marks}
    makers = {"select_cognitive": _rap, "select_difficulty": _band, "select_top": _top}
    decided = makers[function](selection)
    # A limit that was chosen by the form of the scores is the number that it was; a quantile, too.
    options = {
        name: value
        for name, value in options_of(rule, function).items()
        if name not in ("text_easiest", "text_hardest")
    }
    moved = [handle["name"] for handle in decided["handles"]]
    defaults = defaults_of(function)
    for handle in decided["handles"]:
        handle["flag"], handle["default"] = flag_of(handle["name"]), defaults.get(handle["name"])
    return {
        **decided,
        "by_hand": marks,
        "function": function,
        "fixed": arguments(function, options, moved),
        "command": command(function, options, source, moved),
    }


def _by_hand(selection: Selection) -> dict[int, str]:
    if BY_HAND not in selection.rule:
        return {}
    columns = arrow_columns(selection.scored, [KEEP.name, REASON.name])
    keep, reason = (columns[column.name].to_pylist() for column in (KEEP, REASON))
    marks = {BY_HAND: ("drop", "keep"), WRONG_GOLD: (WRONG_GOLD, WRONG_GOLD)}
    return {row: marks[name][keep[row]] for row, name in enumerate(reason) if name in marks}


def _why_fixed(selection: Selection) -> str | None:
    """Why no threshold can be moved; None where they can."""
    rule, function = selection.rule, selection.method["function"]
    cognitive = function == "select_cognitive"
    reasons = {
        f"The rule {rule.get('method')!r} has no threshold to move": rule.get("method") not in _MOVED
        or rule.get("stage"),
        "min_probability decides by the attempts behind a score, not by the score": rule.get("min_probability")
        is not None,
        f"Values of {rule.get('stratify_by')!r} share a budget": cognitive and rule.get("stratify_by"),
        "Rows without an image are decided by a band of their own": cognitive and rule.get("text_rows", DROP) != DROP,
        "Attempts were spared for these very thresholds": stopping_of(selection.scored) is not None,
        "A number of rows is shared out among sources": rule.get("per") is not None and rule.get("count") is not None,
        "Quotas are rounded as the released script does": rule.get("quotas", EXACT) != EXACT,
        "Marks of a person hide the places that rows had": function == "select_top" and BY_HAND in rule,
    }
    why = next((sentence for sentence, so in reasons.items() if so), None)
    return None if why is None else f"{why}: the rows are shown as they were decided."


def _rap(selection: Selection) -> dict[str, Any]:
    """Columns: cde, difficulty, ace; `hard`, may come in; `before`, the reason of a row that is not above min_cde; ranks."""
    import numpy as np

    ds, rule = selection.scored, selection.rule
    columns = arrow_columns(ds, [column.name for column in (CDE, DIFFICULTY, ACE, IMAGE_REWARDS, ERROR)])
    cde, difficulty = (numbers_of(columns.get(column.name)) for column in (CDE, DIFFICULTY))
    rewards = columns.get(IMAGE_REWARDS.name)
    attempts = None if rewards is None else known_of(number_lists("report", IMAGE_REWARDS.name, rewards))
    ace = numbers_of(columns.get(ACE.name)) if rule.get("max_ace") is not None else None
    failed = np.full(len(ds), np.nan) if difficulty is None else difficulty
    order = seeded_order(ids_of(ds), rule.get("seed") or 0)
    before = np.where(np.isnan(cde), why_unscored(cde, columns.get(ERROR.name)), why_not_above(cde, difficulty))
    everyone = np.ones(len(ds), dtype=bool)
    handles = [_handle("min_cde", CDE.name, "above", rule["min_cde"], span=(-1, 1), step=0.05)]
    if ace is not None:
        most = float(np.nanmax(ace)) if not np.isnan(ace).all() else 1.0
        handles.append(
            _handle(
                "max_ace", ACE.name, "at_most", rule["max_ace"], span=(0, max(most, rule["max_ace"])), step=most / 50
            )
        )
    if rule["replace_easy"] and rule["min_replacement_cde"] is not None:
        handles.append(
            _handle("min_replacement_cde", CDE.name, "above", rule["min_replacement_cde"], span=(-1, 1), step=0.05)
        )
    settings = {
        name: rule.get(name)
        for name in ("min_cde", "max_ace", "replace_easy", "min_replacement_cde", "replacements", "budget")
    }
    return {
        "kind": RAP,
        "settings": {
            **settings,
            "max_ace": settings["max_ace"] if ace is not None else None,
            "replacements": _replacements(rule["replacements"]),
        },
        "handles": handles,
        "columns": {
            "cde": nulls_for_nan(cde),
            "difficulty": nulls_for_nan(failed),
            "ace": None if ace is None else nulls_for_nan(ace),
            "hard": ((failed < 1) & (failed >= one_failure(attempts))).tolist(),
            "before": before.tolist(),
            "distinct": (~stands_earlier(ds)).tolist(),
            "to_replace": ranked(everyone, -failed, -cde, order).tolist(),
            "in_budget": ranked(everyone, -cde, None if difficulty is None else -failed, order).tolist(),
        },
    }


def _band(selection: Selection) -> dict[str, Any]:
    """Columns: difficulty, and `before`, the reason of a row without one."""
    ds, rule = selection.scored, selection.rule
    columns = arrow_columns(ds, [DIFFICULTY.name, ERROR.name])
    difficulty = numbers_of(columns[DIFFICULTY.name])
    bounds = (("low", "at_least"), ("high", "at_most"))
    handles = [
        {
            **_handle(name, DIFFICULTY.name, keeps, rule[name], span=(0, 1), step=0.05),
            "complement": complement(rule[name]),
            "of_complement": True,
        }
        for name, keeps in bounds
    ]
    return {
        "kind": BAND,
        "settings": {name: rule[name] for name, _ in bounds},
        "handles": handles,
        "columns": {
            "difficulty": nulls_for_nan(difficulty),
            "before": why_unscored(difficulty, columns.get(ERROR.name)).tolist(),
            "distinct": (~stands_earlier(ds)).tolist(),
        },
    }


def _top(selection: Selection) -> dict[str, Any]:
    """Columns: `group` and the `place` of a row in it, null for one that is not ranked; `before`, its reason then."""
    import numpy as np

    ds, rule = selection.scored, selection.rule
    columns = arrow_columns(ds, [rule["by"], rule["per"], REASON.name])
    scores = numbers_of(columns[rule["by"]])
    reason = np.array(columns[REASON.name].to_pylist(), dtype=object)
    races = np.isin(reason, ("top", "below_quota"))
    table = ds.select_columns([rule["per"]]).with_format("arrow")[:] if rule["per"] else None
    groups = np.zeros(len(ds), dtype=np.int64) if table is None else codes(table, [rule["per"]])
    order = np.arange(len(ds)) if rule["ties"] == "first" else seeded_order(ids_of(ds), rule["seed"])
    key = scores if rule["lowest"] else -scores
    place = np.full(len(ds), -1)
    for group in np.unique(groups[races]):
        in_order = ranked(races & (groups == group), key, order)
        place[in_order] = np.arange(len(in_order))
    counted = races | (reason == "question_full")
    sizes = np.bincount(groups[counted], minlength=int(groups.max()) + 1 if len(groups) else 0)
    size = int(sizes.sum())
    if rule["ratio"] is not None:
        handle = _handle("ratio", None, "share", rule["ratio"], span=(0.01, 1), step=0.01)
    else:
        handle = _handle("count", None, "rows", rule["count"], span=(1, size), step=1)
    return {
        "kind": TOP,
        "settings": {"ratio": rule["ratio"], "count": rule["count"]},
        "handles": [handle],
        "sizes": sizes.tolist(),
        "funnel": [list(step) for step in selection.funnel[:-1]],
        "columns": {
            "group": groups.tolist(),
            "place": [None if number < 0 else int(number) for number in place],
            "before": np.where(races, "below_quota", reason).tolist(),
        },
    }


def _replacements(replacements: float | str) -> dict[str, float] | None:
    """None for as many as leave; JSON does not tell 1 row from a share of 1.0."""
    if isinstance(replacements, str):
        return None
    return {"rows" if is_whole(replacements) else "share": replacements}


def _handle(
    name: str, column: str | None, keeps: str, value: float, *, span: tuple[float, float], step: float
) -> dict[str, Any]:
    """A threshold that can be moved between `span`; column: the histogram that it stands in."""
    least, most = span
    return {
        "name": name,
        "column": column,
        "keeps": keeps,
        "value": value,
        "least": least,
        "most": most,
        "step": round(step, _PLACES) or 10**-_PLACES,
    }
