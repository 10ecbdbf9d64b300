"""Sequential mode: attempts go where they lower the chance of a wrong decision most.

Pure: attempts so far in, wanted attempts out. The decision of a row is whether p1 - p0 > min_cde; P is the posterior
probability that it is, and the row is selected when P > 1/2, so u = min(P, 1 - P) is the chance of being wrong.

What b more attempts are worth: let z be the normal quantile of 1 - u. The posterior of p1 - p0 gets narrower as
1 / n, so after b attempts beside n the estimate has taken in the share rho^2 = b / (n + b) of what is uncertain now,
and the expected chance of being wrong falls from u to E[Phi(-|z + rho Z| / sqrt(1 - rho^2))] with Z standard normal.
The worth of a row is the largest fall per attempt over b in `AHEAD`. Looking one attempt ahead would not do: for most
rows no single attempt can change the decision.
"""

from __future__ import annotations

from functools import cache
from statistics import NormalDist
from typing import TYPE_CHECKING

from hf_rap.stats.counts import Counts
from hf_rap.stats.posterior import Posterior, fit_counts

from .state import IMAGE, TEXT

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .state import State
    from .stopping import Sequential

AHEAD = (4, 8, 16, 32, 64)  # attempts that are looked ahead
STEP = 4  # attempts that a row gets in a round
PER_ROUND = 1.0  # attempts that a round makes, per row of the dataset: a quarter of the rows get some
# Attempts that the prior is worth beside those of a row: one.
PRIOR_ATTEMPTS = 1.0


def believe(state: State, stopping: Sequential, rates: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """P(p1 - p0 > min_cde) after these attempts, (n_rows,), with the prior that fits all rows, or those of foretold rates.

    NaN for a row with an arm in which nothing can be judged: it has no cde and is not decided on.
    """
    import numpy as np

    arms = [Counts(state.solved[:, arm].astype(np.float64), state.judged[:, arm]) for arm in (IMAGE, TEXT)]
    image, text = arms
    above = Posterior(fit_counts(image, text, rates=rates), image, text, rates).cde_above(stopping.min_cde)
    return np.where((state.judged + state.left > 0).all(axis=1), above, np.nan)


def chance_of_error(above: NDArray[np.float64]) -> NDArray[np.float64]:
    """The chance that the likelier decision is the wrong one; 0 where there is nothing to decide."""
    import numpy as np

    chance: NDArray[np.float64] = np.nan_to_num(np.minimum(above, 1 - above))
    return chance


def expected_agreement(above: NDArray[np.float64]) -> float:
    """The Jaccard overlap to be expected between what this selects and what another such collection would select.

    Another collection is taken to be as unsure of each row as this one: it selects a row that is really above with
    probability 1 - u, and one that is not with probability u.
    """
    import numpy as np

    wrong, above = chance_of_error(above), np.nan_to_num(above)
    there = above * (1 - wrong) + (1 - above) * wrong
    here = above > 0.5
    either = np.count_nonzero(here) + there[~here].sum()
    return float(there[here].sum() / either) if either else 1.0


def plan(
    state: State,
    made: NDArray[np.int64],
    stopping: Sequential,
    budget: float,
    rates: NDArray[np.float64] | None = None,
) -> NDArray[np.int64]:
    """How many more attempts each row and arm should get now, (n_rows, 2); all zero at the end.

    Args:
        state: attempts so far, where `left` counts up to `stopping.most`.
        made: replies there are, (n_rows, 2), those that could not be judged included.
        stopping: threshold, first attempts, agreement.
        budget: mean number of attempts per arm of the rows that can be decided on, those that are made included.
        rates: what is foretold of each row, (n_rows, 2).
    """
    import numpy as np

    first = np.clip(stopping.start - made, 0, state.left)
    if first.any():
        return first
    wanted = np.zeros_like(state.left)
    decidable = (state.judged + state.left > 0).all(axis=1)
    purse = min(PER_ROUND * len(made), budget * 2 * np.count_nonzero(decidable) - int(made[decidable].sum()))
    if purse <= 0:
        return wanted
    above = believe(state, stopping, rates)
    if stopping.agreement is not None and expected_agreement(above) >= stopping.agreement:
        return wanted
    # The arm whose next attempt takes more from the variance of p1 - p0: p (1 - p) / n falls by p (1 - p) / n (n + 1).
    attempts = state.judged + PRIOR_ATTEMPTS
    rate = (state.solved + PRIOR_ATTEMPTS / 2) / attempts
    gain = np.where(state.left > 0, rate * (1 - rate) / (attempts * (attempts + 1)), -1)
    arm = np.argmax(gain, axis=1)
    rows = np.arange(len(arm))
    number = np.minimum(state.left[rows, arm], STEP)
    worth = np.where(number > 0, worth_of(chance_of_error(above), attempts.sum(axis=1)), 0)
    order = np.argsort(-worth, kind="stable")
    order = order[worth[order] > 0]
    before = np.cumsum(number[order]) - number[order]
    order = order[before < purse]
    wanted[order, arm[order]] = np.minimum(number[order], np.ceil(purse - before[before < purse]).astype(np.int64))
    return wanted


def worth_of(wrong: NDArray[np.float64], attempts: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest expected fall of `wrong` per further attempt, for rows with so many attempts; to nine digits."""
    import numpy as np

    chances, narrowings, remaining = _table()
    row = np.interp(-wrong, -chances, np.arange(len(chances)))
    best = np.zeros(len(wrong))
    for number in AHEAD:
        column = np.interp(np.sqrt(number / (attempts + number)), narrowings, np.arange(len(narrowings)))
        best = np.maximum(best, wrong * (1 - _between(remaining, row, column)) / number)
    # Rounded, so that the last bits of another machine's arithmetic do not change the order.
    worth: NDArray[np.float64] = best.round(9)
    return worth


@cache
def _table() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Chances of being wrong, values of rho, and the share of that chance that is expected to remain at each pair."""
    import numpy as np

    normal = NormalDist()
    distance = np.arange(0, 6.01, 0.05)
    narrowings = np.linspace(0, 0.999, 60)
    points, step = np.linspace(-7, 7, 281, retstep=True)
    weights = np.exp(-(points**2) / 2) * step / np.sqrt(2 * np.pi)
    cdf = np.vectorize(normal.cdf)
    chances: NDArray[np.float64] = cdf(-distance)
    shifted = np.abs(distance[:, None, None] + narrowings[:, None] * points)
    remaining = cdf(-shifted / np.sqrt(1 - narrowings**2)[:, None]) @ weights
    return chances, narrowings, np.minimum(remaining / chances[:, None], 1)


def _between(table: NDArray[np.float64], row: NDArray[np.float64], column: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values of a table at fractional places, by linear interpolation along both axes."""
    import numpy as np

    places = zip((row, column), table.shape, strict=True)
    i, j = (np.minimum(place.astype(np.int64), size - 2) for place, size in places)
    down, right = row - i, column - j
    above = (1 - right) * table[i, j] + right * table[i, j + 1]
    below = (1 - right) * table[i + 1, j] + right * table[i + 1, j + 1]
    value: NDArray[np.float64] = (1 - down) * above + down * below
    return value
