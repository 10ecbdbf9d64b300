"""Balanced information as a method within a budget, and the same with the trust that a step's counts deserve."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

from hf_rap.columns import BIS, STEPS, require
from hf_rap.errors import SettingError
from hf_rap.papers import BALANCED, CITE_BIS
from hf_rap.stats.arrays import arrow_columns, numbers_of

from .method import Citation, Method
from .ranking import RANKED, by_rank, reasons_of_rank
from .ranking import STEPS as USABLE

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from .base import Decision, Settings

COUNTS = ("num_mc_correct", "num_mc_total")


def trust(correct: int, total: int, above: float) -> float:
    """P(s > above | `correct` of `total`): s is the share of all continuations that would be right, and was anything before.

    With s even on [0, 1] it is Beta(correct + 1, total - correct + 1), whose upper tail is a sum of binomials.

    >>> trust(8, 16, 0.5), round(trust(1, 16, 0.5), 6), trust(1, 1, 0.5)
    (0.5, 0.000137, 0.75)
    """
    tosses = total + 1
    return math.fsum(
        math.comb(tosses, right) * above**right * (1 - above) ** (tosses - right) for right in range(correct + 1)
    )


def trusted_information(steps: pa.Array, *, alpha: float, above: float) -> NDArray[np.float64]:
    """(p (1 - p) + alpha) times the mean trust in the positive steps of each row, (n_rows,); NaN without counts in every step.

    A step is positive when one continuation or more is right; a row without a positive step has trust 1, as in `BISScore`.

    Raises:
        SettingError: the steps hold no counts, or some that cannot be.

    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    inner = getattr(steps.type, "value_type", steps.type)
    if pa.types.is_null(inner):
        return np.full(len(steps), np.nan)
    lists = pa.types.is_list(steps.type) or pa.types.is_large_list(steps.type)
    fields = {field.name for field in inner} if lists and pa.types.is_struct(inner) else set()
    if not set(COUNTS) <= fields:
        raise SettingError(
            f"Method 'bis-posterior' reads {COUNTS[0]} and {COUNTS[1]} of each step, and {STEPS.name!r} has no such fields: "
            "annotate with `hf-rap annotate-steps`, or rank by the mean with method 'bis'."
        )
    row = pc.list_parent_indices(steps).to_numpy()
    flat = pc.list_flatten(steps)
    correct, total = (pc.struct_field(flat, name).cast("float64").to_numpy(zero_copy_only=False) for name in COUNTS)
    counted = (correct >= 0) & (correct <= total) & (total > 0)
    wrong = np.flatnonzero(~counted & ~np.isnan(correct) & ~np.isnan(total) & ~(total == 0))
    if wrong.size:
        raise SettingError(
            f"Row {row[wrong[0]]} has a step with {correct[wrong[0]]:g} right of {total[wrong[0]]:g} continuations in {STEPS.name!r}: "
            "it takes counts of 0 or more, no more right than there are."
        )
    pairs, place = np.unique(np.stack([correct[counted], total[counted]]), axis=1, return_inverse=True)
    table = np.array([trust(int(right), int(of), above) for right, of in pairs.T])
    trusts = np.zeros(len(row))
    trusts[counted] = table[place.ravel()] if len(table) else 0.0
    count = partial(np.bincount, row, minlength=len(steps))
    n_steps, positive = count().astype(np.float64), correct > 0
    n_positive = count(weights=positive & counted)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = n_positive / n_steps
        mean_trust = np.where(n_positive > 0, count(weights=trusts * positive) / n_positive, 1.0)
    scores: NDArray[np.float64] = (share * (1 - share) + alpha) * mean_trust
    return np.where((n_steps > 0) & (count(weights=~counted) == 0), scores, np.nan)


def by_balance(ds: Any, settings: Settings) -> Decision:
    """`method="bis"` of `select_cognitive`."""
    balance = numbers_of(arrow_columns(ds, [BIS.name])[BIS.name])
    return by_rank(ds, settings, balance, ("most_balanced", "not_most_balanced"))


def by_trusted_balance(ds: Any, settings: Settings) -> Decision:
    """`method="bis-posterior"` of `select_cognitive`."""
    require("Method 'bis-posterior'", ds.column_names, (STEPS,))
    steps = arrow_columns(ds, [STEPS.name])[STEPS.name]
    scores = trusted_information(steps, alpha=BALANCED.alpha, above=BALANCED.trusted_above)
    return by_rank(ds, settings, scores, ("most_trusted", "not_most_trusted"))


BALANCED_INFORMATION = Method(
    "bis",
    by_balance,
    "rollouts whose steps are partly right and whose right steps succeed often",
    reasons=reasons_of_rank("most_balanced", "balanced information", "rap_bis is None"),
    steps=USABLE,
    options=RANKED,
    needs_budget=True,
    needs_all_attempts=False,
    ranks_by=BIS.name,
    citations=(Citation("The score, balanced information", CITE_BIS),),
)
TRUSTED_INFORMATION = Method(
    "bis-posterior",
    by_trusted_balance,
    "rollouts whose steps are partly right and whose right steps surely succeed more often than not",
    reasons=reasons_of_rank("most_trusted", "balanced information by the trust in its steps"),
    steps=USABLE,
    options=RANKED,
    needs=(STEPS,),
    needs_budget=True,
    needs_all_attempts=False,
    citations=(Citation("The score, balanced information, here with a posterior of each step", CITE_BIS),),
)
