"""What the runs of a bake-off say: differences with intervals, when scoring is paid back, what was spent, in words."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from bakeoff_recipe import RANDOM, WHOLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Run = Mapping[str, Any]
    Rates = NDArray[np.float64]  # (n_seeds, n_rows), in [0, 1], NaN where nobody knows

RESAMPLES = 2000
STEPS, TOKENS = "equal steps", "equal total tokens"


class Difference(NamedTuple):
    """Mean of one arm minus another, and the interval that holds 95 % of the resamples."""

    mean: float
    low: float
    high: float

    @property
    def word(self) -> str:
        """Whether the interval leaves out 0."""
        return "better" if self.low > 0 else "worse" if self.high < 0 else "not told apart"

    def __str__(self) -> str:
        return f"{100 * self.mean:+.1f} [{100 * self.low:+.1f}, {100 * self.high:+.1f}]"


def paired_difference(one: Rates, other: Rates, *, resamples: int = RESAMPLES, seed: int = 0) -> Difference:
    """One arm minus another on the same held-out rows and seeds, both (n_seeds, n_rows).

    Seeds and rows are drawn with replacement, the same ones for both arms. Rows unknown in either are left out. With
    one seed the interval is about these rows alone. Of two seeds or five the spread between seeds is known
    roughly: the interval is then rather too narrow than too wide.

    >>> one, other = np.array([[1.0, 1.0], [1.0, 1.0]]), np.array([[0.5, 0.5], [0.5, 0.5]])
    >>> str(paired_difference(one, other))
    '+50.0 [+50.0, +50.0]'
    """
    gaps = one - other
    gaps = gaps[:, ~np.isnan(gaps).any(axis=0)]
    rng = np.random.default_rng(seed)
    # How often each seed and each row is drawn, for all resamples at once.
    of_seeds, of_rows = (rng.multinomial(size, np.full(size, 1 / size), size=resamples) for size in gaps.shape)
    means = ((of_seeds @ gaps) * of_rows).sum(axis=1) / gaps.size
    low, high = np.quantile(means, (0.025, 0.975))
    return Difference(float(gaps.mean()), float(low), float(high))


class Results:
    """The runs of a bake-off by arm; of each comparison the seeds that both arms have."""

    def __init__(self, results: Mapping[str, Any]) -> None:
        self.recipe = results["recipe"]
        self.kinds = np.array(results["kinds"])
        self.start = np.array(results["start"]["rates"], dtype=float)
        self.chosen = results["chosen"]
        arms = [WHOLE, RANDOM, *self.recipe["selections"]]
        self.runs = {arm: {run["seed"]: run for run in results["runs"] if run["arm"] == arm} for arm in arms}
        self.runs = {arm: runs for arm, runs in self.runs.items() if runs}
        self.selections = [arm for arm in self.runs if arm not in (WHOLE, RANDOM)]

    def rates(self, arm: str, when: str, seeds: Sequence[int] | None = None) -> Rates:
        """Of an arm, (n_seeds, n_rows), after as many steps or as many total tokens as every other arm."""
        runs = self.runs[arm]
        steps = [str(self.recipe["steps"]) if when == STEPS else last(runs[seed]) for seed in seeds or sorted(runs)]
        measured = [
            runs[seed]["measured"][step]["rates"] for seed, step in zip(seeds or sorted(runs), steps, strict=True)
        ]
        return np.array(measured, dtype=float)

    def difference(self, one: str, other: str, when: str, kind: str | None = None) -> Difference:
        """Of two arms, on all held-out rows or those of a kind."""
        seeds = sorted(self.runs[one].keys() & self.runs[other].keys())
        rows = np.ones(len(self.kinds), bool) if kind is None else self.kinds == kind
        return paired_difference(self.rates(one, when, seeds)[:, rows], self.rates(other, when, seeds)[:, rows])

    def mean(self, arm: str, when: str, kind: str | None = None) -> float:
        """Share of right replies over all seeds of the arm."""
        rows = np.ones(len(self.kinds), bool) if kind is None else self.kinds == kind
        return float(np.nanmean(self.rates(arm, when)[:, rows]))

    @property
    def clock(self) -> str:
        """The seconds that count: those of the wall on a GPU, else those of the CPU."""
        devices = {str(said.get("device", "cpu")) for said in self.chosen.values()}
        return "cpu_seconds" if devices == {"cpu"} else "wall_seconds"

    def spent(self, run: Run) -> dict[str, dict[str, float]]:
        """`tokens`, `wall_seconds` and `cpu_seconds` of scoring, training and measuring of a run."""
        chosen = self.chosen[str(run["seed"])]
        share = run["scoring_tokens"] / max(1, *chosen["scoring_tokens"].values())
        chose = 0 if run["arm"] in (WHOLE, RANDOM) else 1
        clocks = ("wall_seconds", "cpu_seconds")
        scoring = {clock: share * chosen["rollouts"][clock] + chose * chosen["selecting"][clock] for clock in clocks}
        measured = run["measured"].values()
        return {
            "scoring": {"tokens": run["scoring_tokens"], **scoring},
            "training": {"tokens": run["tokens_at"][last(run)], **run["training"]},
            "measuring": {name: sum(each[name] for each in measured) for name in ("tokens", *clocks)},
        }

    def seconds(self, arm: str, seeds: Sequence[int], clock: str) -> tuple[float, float]:
        """Of scoring and of training, means over the seeds."""
        spent = [self.spent(self.runs[arm][seed]) for seed in seeds]
        return tuple(float(np.mean([each[part][clock] for each in spent])) for part in ("scoring", "training"))

    def curve(self, arm: str, seeds: Sequence[int]) -> list[tuple[int, float, float]]:
        """(step, total tokens, share right) at each measurement that all these seeds have, means over them; step 0 is the start."""
        runs = [self.runs[arm][seed] for seed in seeds]
        spent = float(np.mean([run["scoring_tokens"] for run in runs]))
        points = [(0, spent, float(np.nanmean(self.start)))]
        shared = set.intersection(*({int(step) for step in run["measured"]} for run in runs))
        for step in sorted(shared):
            tokens = spent + float(np.mean([run["tokens_at"][str(step)] for run in runs]))
            points.append((step, tokens, float(np.mean([np.nanmean(rates_at(run, step)) for run in runs]))))
        end = [last(run) for run in runs]
        if len(set(end)) > 1:  # seeds reach the common tokens at different steps
            tokens = spent + float(np.mean([run["tokens_at"][step] for run, step in zip(runs, end, strict=True)]))
            share = float(np.mean([np.nanmean(rates_at(run, int(step))) for run, step in zip(runs, end, strict=True)]))
            points = [point for point in points if point[1] < tokens]
            points.append((round(float(np.mean([int(step) for step in end]))), tokens, share))
        return points


def rates_at(run: Run, step: int) -> Rates:
    return np.array(run["measured"][str(step)]["rates"], dtype=float)


def last(run: Run) -> str:
    """The last measured step: where steps and total tokens are both spent."""
    return max(run["measured"], key=int)


def paid_back(arm: Sequence[tuple[int, float, float]], other: Sequence[tuple[int, float, float]]) -> int | None:
    """The first measured step of an arm from which on it is ahead of another at as many total tokens; None: it never is for good.

    Both are curves as `Results.curve` gives them; the other one is read between its measurements on a straight line. At least one
    measurement must be within the tokens of the other arm.

    >>> paid_back([(0, 100, 0.2), (10, 200, 0.6), (20, 300, 0.8)], [(0, 0, 0.2), (10, 100, 0.5), (30, 300, 0.7)])
    20
    """
    tokens, shares = ([point[place] for point in other] for place in (1, 2))
    # A batch may carry an arm past the common tokens: the last one is then read at the end of the other.
    ahead = [(step, share > float(np.interp(at, tokens, shares))) for step, at, share in arm if step]
    since = None
    for step, first in ahead:
        since = (since if since is not None else step) if first else None
    return since


def tokens_to_reach(share: float, curve: Sequence[tuple[int, float, float]]) -> float | None:
    """Total tokens at which a curve first reaches a share, on straight lines; None: not within the run.

    >>> tokens_to_reach(0.6, [(0, 0, 0.2), (10, 100, 0.5), (30, 300, 0.7)])
    200.0
    """
    for (_, before, low), (_, after, high) in pairwise(curve):
        if low < share <= high:
            return float(before + (after - before) * (share - low) / (high - low))
    return None


def verdict(results: Results) -> list[str]:
    """In words, a sentence per finding."""
    pairs = [
        (arm, other)
        for arm in results.selections
        for other in (RANDOM, WHOLE)
        if other in results.runs and results.runs[arm].keys() & results.runs[other].keys()
    ]
    return [*(_against(results, arm, other) for arm, other in pairs), _best(results)]


def _against(results: Results, arm: str, other: str) -> str:
    seeds = sorted(results.runs[arm].keys() & results.runs[other].keys())
    found = {when: results.difference(arm, other, when) for when in (STEPS, TOKENS)}
    said = "; ".join(f"at {when} {gap.word} ({gap})" for when, gap in found.items())
    mine, theirs = results.curve(arm, seeds), results.curve(other, seeds)
    back = paid_back(mine, theirs)
    ahead = "not ahead at the end" if back is None else f"ahead from step {back} on"
    paid = {
        "better": "Its scoring is paid back",
        "worse": "Its scoring is not paid back",
        "not told apart": "Whether its scoring is paid back is open",
    }[found[TOKENS].word]
    return f"**{arm}** against {other}: {said}. {paid}: the mean is {ahead}. {_saved(results, arm, other, seeds)}"


def _saved(results: Results, arm: str, other: str, seeds: Sequence[int]) -> str:
    """What the selection saved, in tokens and in seconds of scoring and training: on the mean curves."""
    mine, theirs = results.curve(arm, seeds), results.curve(other, seeds)
    share, spent = mine[-1][2], mine[-1][1]
    needed = tokens_to_reach(share, theirs)
    if needed is None and theirs[-1][2] < share:
        return f"What it reaches ({share:.1%}) {other} does not with as many tokens."
    if needed is None:
        return f"What it reaches ({share:.1%}) is less than {other} began with."
    clock = results.clock
    mine_seconds = results.seconds(arm, seeds, clock)
    # Training takes the same time per token all along; scoring is over before it begins.
    scored = theirs[0][1]
    part = (needed - scored) / (theirs[-1][1] - scored)
    scoring, training = results.seconds(other, seeds, clock)
    their_seconds = scoring + part * training
    return (
        f"What it reaches ({share:.1%}) {other} reaches with {needed:,.0f} tokens, it with {spent:,.0f}: {compared(spent, needed)}; in "
        f"{clock.replace('_', ' ')} {their_seconds:.0f} and {sum(mine_seconds):.0f}."
    )


def compared(spent: float, needed: float) -> str:
    """What was spent beside what the other needed.

    >>> compared(60, 100), compared(300, 100)
    ('40% saved', '3.0 times as many')
    """
    return f"{1 - spent / needed:.0%} saved" if spent <= needed else f"{spent / needed:.1f} times as many"


def _best(results: Results) -> str:
    arms = sorted(results.runs, key=lambda arm: results.mean(arm, TOKENS), reverse=True)
    best = arms[0]
    paired = [arm for arm in arms[1:] if results.runs[arm].keys() & results.runs[best].keys()]
    gaps = {arm: results.difference(best, arm, TOKENS) for arm in paired}
    level = [f"{arm} ({gap})" for arm, gap in gaps.items() if gap.word == "not told apart"]
    beside = f"; not told apart from it: {', '.join(level)}" if level else "; no other is level with it"
    return f"Best mean at equal total tokens: **{best}** ({results.mean(best, TOKENS):.1%}){beside}."
