"""The selection rule of arXiv 2506.04755, with a floor for replacements and a budget.

`decide` is the rule, pure and on arrays; the rest reads the arrays from a dataset.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from hf_rap.columns import ACE, ACE_SETTINGS, CDE, CDE_CONTROL, DIFFICULTY, ERROR, ID, IMAGE_REWARDS, require
from hf_rap.errors import MissingColumnError, SettingError

from .arrays import (
    arrow_columns,
    first_within,
    numbers_of,
    plain,
    ranked,
    rows_of_budget,
    seeded_order,
    strata_of,
    why_unscored,
)
from .base import AUTO, Decision, Quantile, Settings, Step, threshold
from .published import PAPER

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

READS = (CDE, CDE_CONTROL, ACE, ACE_SETTINGS, DIFFICULTY, IMAGE_REWARDS, ID, ERROR)
# max_ace by the form of the score, where the user gives none. The paper's number is for the literal form; it
# means nothing for the windowed one, whose level is the model's, so there the most biased tenth goes.
MAX_ACE: dict[str, float | Quantile] = {"literal": PAPER.max_ace, "windowed": Quantile(0.9)}
ADD_SCORE = "Add it: ds.map({0}_score, batched=True), or `hf-rap score`."


def select_rap(ds: Any, settings: Settings) -> Decision:
    """The decision for each row of a dataset; what it means is told by `select_cognitive`."""
    import numpy as np

    min_cde = threshold("min_cde", settings.min_cde, -1, 1)
    asked = settings.max_ace
    max_ace = None if asked is None or asked == AUTO else threshold("max_ace", asked, 0, math.inf)
    budget = rows_of_budget(settings.budget, settings.stratify_by, len(ds))
    _check_replacement(settings)
    _check_columns(settings, ds.column_names)

    columns = arrow_columns(ds, [*(column.name for column in READS), settings.stratify_by])
    cde, ace, difficulty = (numbers_of(columns.get(column.name)) for column in (CDE, ACE, DIFFICULTY))
    attempts = _attempts(columns.get(IMAGE_REWARDS.name))
    if isinstance(min_cde, Quantile):
        min_cde = min_cde.of(cde)
    if asked == AUTO:
        max_ace = _usual_max_ace(columns.get(ACE_SETTINGS.name))
    if ace is None:
        max_ace = None
    elif isinstance(max_ace, Quantile):
        max_ace = max_ace.of(ace)
    ids = columns[ID.name].to_pylist() if ID.name in columns else range(len(ds))
    strata = None if settings.stratify_by is None else strata_of(settings.stratify_by, columns[settings.stratify_by])

    keep, reason, funnel = decide(
        cde,
        min_cde=min_cde,
        ace=None if max_ace is None else ace,
        max_ace=max_ace,
        difficulty=difficulty,
        replace_easy=settings.replace_easy,
        min_replacement_cde=settings.min_replacement_cde,
        attempts=attempts,
        budget=budget,
        strata=strata,
        order=seeded_order(ids, settings.seed) if settings.replace_easy or budget else None,
        unscored=why_unscored(cde, columns.get(ERROR.name)),
    )
    rule = {
        "min_cde": min_cde,
        "max_ace": max_ace,
        "replace_easy": bool(settings.replace_easy),
        "min_replacement_cde": plain(settings.min_replacement_cde),
        "budget": budget,
        "stratify_by": settings.stratify_by,
        "seed": plain(settings.seed),
        "attempts": None if attempts is None else np.unique(attempts[attempts > 0]).tolist(),
        "asked": {name: plain(getattr(settings, name)) for name in ("min_cde", "max_ace", "budget")},
    }
    if CDE_CONTROL.name in columns:
        rule["control"] = _control(columns[CDE_CONTROL.name])
    return Decision(keep, reason, funnel, rule)


def decide(
    cde: NDArray[np.float32],
    *,
    min_cde: float,
    ace: NDArray[np.float32] | None = None,
    max_ace: float | None = None,
    difficulty: NDArray[np.float32] | None = None,
    replace_easy: bool = False,
    min_replacement_cde: float | None = None,
    attempts: NDArray[np.int64] | None = None,
    budget: int | None = None,
    strata: NDArray[np.int64] | None = None,
    order: NDArray[np.uint64] | None = None,
    unscored: NDArray[np.object_] | None = None,
) -> tuple[NDArray[np.bool_], NDArray[np.object_], tuple[Step, ...]]:
    """Keep and reason of each row, and the funnel. All arrays are (n_rows,); NaN is unknown.

    Args:
        cde: causal discrepancy.
        min_cde: keep what is above it.
        ace: attention confidence; None leaves this step out.
        max_ace: keep what is not above it.
        difficulty: share of failed attempts; replace_easy needs it, a budget ranks by it.
        replace_easy: replace rows of difficulty 0 by the hardest that are solvable.
        min_replacement_cde: a replacement has a cde above it.
        attempts: judged attempts with the image, M of the rule.
        budget: keep exactly so many rows.
        strata: numbers from 0, between which the budget is shared.
        order: breaks the ties that are left, smaller first; by default the row's position.
        unscored: the reason of a row without cde.

    >>> import numpy as np
    >>> cde, difficulty = np.float32([0.8, 0.2, np.nan, 0.6]), np.float32([0.2, 0.6, np.nan, 0])
    >>> keep, reason, funnel = decide(cde, min_cde=0.5, difficulty=difficulty, replace_easy=True)
    >>> keep.tolist()
    [True, True, False, False]
    >>> reason.tolist()
    ['image_needed', 'hard_replacement', 'not_scored', 'always_solved']

    """
    import numpy as np

    funnel = [Step("rows", len(cde))]

    def step(name: str) -> None:
        funnel.append(Step(name, int(np.count_nonzero(keep))))

    reason = np.full(len(cde), "not_scored", dtype=object) if unscored is None else unscored.copy()
    keep = ~np.isnan(cde)
    could_enter = keep.copy()
    reason[keep] = "image_not_needed"
    step("scored")

    keep = cde > np.float32(min_cde)
    reason[keep] = "image_needed"
    step("image_needed")

    if ace is not None and max_ace is not None:
        unknown, biased = np.isnan(ace), ace > np.float32(max_ace)
        for fault, of_rows, name in (
            ("attention_unknown", unknown, "attention_known"),
            ("attention_biased", biased, "attention_unbiased"),
        ):
            reason[keep & of_rows] = fault
            keep, could_enter = keep & ~of_rows, could_enter & ~of_rows
            step(name)

    if replace_easy:
        assert difficulty is not None, "replace_easy needs the difficulty"
        easy = difficulty == 0
        leave = keep & easy
        reason[leave] = "always_solved"
        keep, could_enter = keep & ~easy, could_enter & ~easy
        step("not_always_solved")
        hard = could_enter & ~keep & (difficulty < 1) & (difficulty >= _one_failure(attempts))
        if min_replacement_cde is not None:
            hard &= cde > np.float32(min_replacement_cde)
        enter = ranked(hard, -difficulty, -cde, order)[: np.count_nonzero(leave)]
        keep[enter] = True
        reason[enter] = "hard_replacement"
        step("replaced")

    if budget is not None:
        chosen = _within_budget(
            could_enter, budget, strata, ~keep, -cde, None if difficulty is None else -difficulty, order
        )
        reason[keep & ~chosen] = "over_budget"
        reason[chosen & ~keep] = "filled_to_budget"
        keep = chosen

    step("selected")
    return keep, reason, tuple(funnel)


def _one_failure(attempts: NDArray[np.int64] | None) -> Any:
    """The difficulty of one failed attempt, 1/M; without M the smallest number above 0."""
    import numpy as np

    if attempts is None:
        return np.nextafter(np.float32(0), np.float32(1))
    return (1 / np.maximum(attempts, 1)).astype(np.float32)


def _within_budget(
    could_enter: NDArray[np.bool_], budget: int, strata: NDArray[np.int64] | None, *keys: Any
) -> NDArray[np.bool_]:
    """The first `budget` of the rows that could enter, ranked by the keys inside their stratum."""
    import numpy as np

    possible = int(np.count_nonzero(could_enter))
    if budget > possible:
        raise SettingError(
            f"budget asks for {budget:,} rows, but only {possible:,} of {len(could_enter):,} could be in: "
            "rows with a score that pass max_ace and, with replace_easy, are not always solved. "
            f"Ask for {possible:,} or fewer."
        )
    return first_within(could_enter, budget, strata, *keys)


def _usual_max_ace(ace_settings: Any) -> float | Quantile:
    """The threshold that belongs to the form of `rap_ace`; of scores that do not tell their form, the paper's."""
    told = {text for text in ace_settings.unique().to_pylist() if text} if ace_settings is not None else set()
    if len(told) > 1:
        raise SettingError(
            f"rap_ace was computed in {len(told)} ways, which do not compare: {'; '.join(sorted(told))}. Score all rows "
            "the same way, or give max_ace."
        )
    if not told:
        return MAX_ACE["literal"]
    settings = told.pop()
    limit = MAX_ACE.get(form) if isinstance(form := _form(settings), str) else None
    if limit is None:
        raise SettingError(f"rap_ace_settings names no form that has a usual limit ({settings!r}): give max_ace.")
    return limit


def _form(ace_settings: str) -> Any:
    try:
        return json.loads(ace_settings)["form"]
    except (ValueError, LookupError, TypeError):
        return None


def _check_replacement(settings: Settings) -> None:
    floor = settings.min_replacement_cde
    if floor is not None and not settings.replace_easy:
        raise SettingError("min_replacement_cde is for the replacements that replace_easy=True brings in.")
    if floor is not None and not -1 <= floor <= 1:
        raise SettingError(f"min_replacement_cde is {floor!r}: it takes a number between -1 and 1.")


def _check_columns(settings: Settings, names: list[str]) -> None:
    require("select_cognitive", names, (CDE,), ADD_SCORE.format("cde"))
    if settings.replace_easy:
        hint = ADD_SCORE.format("difficulty") + " Or select with replace_easy=False."
        require("select_cognitive", names, (DIFFICULTY,), hint)
    if settings.stratify_by is not None and settings.stratify_by not in names:
        raise MissingColumnError("stratify_by", settings.stratify_by, names)


def _control(column: Any) -> str:
    """What the cde of all these rows compares the image with."""
    found = sorted(str(one) for one in column.fill_null("text").unique().to_pylist())
    if len(found) > 1:
        raise SettingError(
            f"{CDE.name} compares the image with {' in some rows and with '.join(found)} in others: score all rows with "
            "the same CDEScore(control=...)."
        )
    return found[0]


def _attempts(rewards: Any) -> Any:
    """How many rewards of each row are known."""
    import numpy as np
    import pyarrow.compute as pc

    if rewards is None:
        return None
    known = pc.is_valid(pc.list_flatten(rewards)).to_numpy(zero_copy_only=False)
    return np.bincount(pc.list_parent_indices(rewards).to_numpy()[known], minlength=len(rewards))
