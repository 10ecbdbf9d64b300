"""What a few attempts say about a row's true pass rates: an empirical Bayes posterior, on arrays alone.

A row has two unknown pass rates, p1 with the image and p0 on the question alone. Its counts are binomial given them;
the prior of (p1, p0) is fitted to all rows of the dataset. Everything is computed once per distinct pair of counts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hf_rap.columns import PROBE_IMAGE, PROBE_TEXT, control_rewards, require
from hf_rap.errors import SettingError
from hf_rap.options import check, check_whole
from hf_rap.tables import whole_dataset
from hf_rap.tables.notebook import bar, html_page, html_table

from .beta import CELLS, PARTS, beta_on_grid, fit_beta, grid, share_below, widths
from .counts import Counts, read_counts
from .foretold import ByRate, fit_by_rate, rates_in
from .thresholds import check_share

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

# The default level of every interval.
LEVEL = 0.9
# With fewer rows than this that have judged attempts of an arm there is nothing to fit its Beta to.
MIN_ROWS = 30
# Steps of EM from the product of two Betas. More steps follow the counts closer and end in a few spikes, fewer stay
# closer to independent arms.
EM_STEPS = 50
# Rows that the product of the two Betas weighs against the data in each step, which steadies small datasets.
PSEUDO_ROWS = 10.0
# The part of that product which is spread evenly, so that no pass rate is ruled out beforehand.
EVEN_SHARE = 0.01
# Upper ends of the parts of [0, 1] that a notebook shows.
_FIFTHS = (0.2, 0.4, 0.6, 0.8, 1.0)
# Pairs of counts whose posterior is in memory at once: 2,500 numbers each.
_PAIRS_AT_ONCE = 1_000


@dataclass(frozen=True, eq=False, repr=False)
class Prior:
    """How the pass rates (p1, p0) of a dataset's rows are distributed, as far as its counts tell.

    Attributes:
        weights: probability of each pair of values in `grid()`, p1 down and p0 across; sums to 1.
        rows: rows with both arms judged that it was fitted to.
        image: (a, b) of the Beta fitted to p1 alone.
        text: (a, b) of the Beta fitted to p0 alone.
        note: what was used instead, where there was too little data to fit; else None.
        control: the arm that p0 is of; "text" is the question alone.
        by_rate: the priors of rows whose pass rates were foretold; `weights` is that of all others. None: of all rows.

    """

    weights: NDArray[np.float64]
    rows: int
    image: tuple[float, float]
    text: tuple[float, float]
    note: str | None = None
    control: str = "text"
    by_rate: ByRate | None = None

    def __eq__(self, other: object) -> bool:
        import numpy as np

        return (
            isinstance(other, Prior)
            and (self.rows, self.control) == (other.rows, other.control)
            and np.array_equal(self.weights, other.weights)
            and (self.by_rate is None) == (other.by_rate is None)
            and (
                self.by_rate is None
                or other.by_rate is None
                or np.array_equal(self.by_rate.weights, other.by_rate.weights)
            )
        )

    def __hash__(self) -> int:
        return hash((self.rows, self.weights.tobytes()))

    def _arms(self) -> dict[str, NDArray[np.float64]]:
        """The probability of each value of `grid()`, with the image and without."""
        without = "on the question alone" if self.control == "text" else f"with {self.control} images"
        return {"with the image": self.weights.sum(axis=1), without: self.weights.sum(axis=0)}

    def __repr__(self) -> str:
        means = [f"{weights @ grid():.3f} {arm}" for arm, weights in self._arms().items()]
        note = f"\n  {self.note}" if self.note else ""
        return f"Prior of {self.rows:,} rows: mean pass rate {' and '.join(means)}{note}"

    def _repr_html_(self) -> str:
        import numpy as np

        below = [share_below(grid(), widths(), limit) for limit in _FIFTHS]
        parts = [np.diff([0.0, *(float(weights @ share) for share in below)]) for weights in self._arms().values()]
        fifths = [
            (
                f"up to {limit:.1f}",
                *(cell for part in parts for cell in (f"{part[place]:.1%}", bar(float(part[place])))),
            )
            for place, limit in enumerate(_FIFTHS)
        ]
        head = ("pass rate", *(cell for arm in self._arms() for cell in (f"rows {arm}", "")))
        return html_page(repr(self), html_table(fifths, head))


def fit_prior(ds: Any, *, control: str = "text", probe: Any = None) -> Prior:
    """The prior of a dataset's pass rates, from `rap_image_rewards` and, where they are there, the control's rewards.

    A prior belongs to a dataset, not to a batch, so it is fitted once and then given to the scores:

    prior = fit_prior(evidence)
    scored = evidence.map(CDEScore(prior=prior), batched=True).map(DifficultyScore(prior=prior), batched=True)

    How it is fitted, and what becomes of few rows, stands at `hf_rap.stats.posterior.fit_counts`.

    Args:
        ds: all rows.
        control: what the image is compared with, as in `CDEScore`; p0 is the pass rate there.
        probe: of `hf_rap.fit_probe`: each row gets a Beta of its own per arm, by what is foretold of it, in the place of one
            prior for all rows. Scores with such a prior read `rap_probe_image_rate` and `rap_probe_text_rate`
            (`ds.map(probe, batched=True)`); True takes these where they are there.

    Raises:
        SettingError: `ds` is no `Dataset`, there is no such control, or a probe is to foretell another control than the text.
        MissingColumnError: `rap_image_rewards` is absent; or the states, or what is foretold.
        LayoutError: a reward is NaN or outside [0, 1].

    """
    control_rewards(control)
    check(probe is None or probe is True or callable(probe), "probe", probe, "what fit_probe(ds) gives, True, or None")
    rates = None
    if probe is not None:
        if control != "text":
            raise SettingError(f"A probe foretells pass rates on the question alone, not those of control={control!r}.")
        ds = whole_dataset("fit_prior", ds, selection=True)
        rates = rates_of(
            "fit_prior", ds if probe is True or PROBE_IMAGE.name in ds.column_names else _foretold(ds, probe)
        )
    return replace(fit_counts(*read_counts("fit_prior", ds, control), rates=rates), control=control)


def rates_of(reader: str, ds: Any) -> NDArray[np.float64]:
    """What is foretold of the rows of a dataset, (n_rows, 2), see `hf_rap.stats.foretold.rates_in`."""
    names = [column.name for column in (PROBE_IMAGE, PROBE_TEXT) if column.name in ds.column_names]
    return rates_in(reader, ds.select_columns(names).with_format("arrow")[:])


def _foretold(ds: Any, probe: Any) -> Any:
    require("fit_prior(probe=...)", ds.column_names, probe.reads)
    read = [name for name in (*(column.name for column in probe.reads), getattr(probe, "by", None)) if name is not None]
    return ds.select_columns(read).map(probe, batched=True, remove_columns=read)


def fit_counts(
    image: Counts, text: Counts, *, steps: int = EM_STEPS, rates: NDArray[np.float64] | None = None
) -> Prior:
    """The prior of (p1, p0) for these rows, by empirical Bayes.

    1. For each arm the Beta that gives its counts the highest Beta-binomial likelihood.
    2. From the product of the two, `steps` steps of expectation-maximisation for an arbitrary joint distribution
       on the grid: the nonparametric maximum likelihood estimate, stopped early.

    Step 2 is there because the arms of a row depend on each other. On 4,000 simulated rows (p1 ~ Beta(0.6, 0.6), p0 =
    p1 times a uniform draw, five attempts) the probabilities of cde > 0.5 are off by 0.068 with step 1 alone (mean
    over tenths of probability, weighted by rows), and by 0.014 with both; the predicted agreement of two scorings is
    0.049 too high with step 1 alone, and 0.009 too low with both. Where the arms are independent, step 2 costs
    next to nothing (0.013 for 0.011). 5,000 steps instead of 50 end in a few spikes: probabilities are off by 0.017.
    `python benchmarks/stability.py` prints these figures.

    How many attempts a row has may depend on how its attempts came out: likelihoods do not change by that.
    Counts need not be whole (they are rounded to 1/20), but rewards that are averaged vary less than attempts that are
    solved or not, so there intervals are wider than they had to be. `read_counts` gives whole ones.

    Args:
        image: counts with the image; rows without any judged attempt are left out.
        text: counts on the question alone, of the same rows.
        steps: of step 2.
        rates: what a probe foretells of each row, (n_rows, 2): then rows have priors by these (`hf_rap.stats.foretold`).

    Returns:
        The prior. For an arm that fewer than 30 rows have attempts of, all pass rates count as equally likely to
        begin with, and `note` says so; with both arms like that nothing is fitted at all.

    Raises:
        SettingError: the counts are no counts: of other lengths, or `solved` is outside [0, judged].

    """
    import numpy as np

    check_whole("steps", steps, least=0)
    pairs = _Pairs(image, text)
    betas, few = [], []
    for counts, arm in ((image, "with the image"), (text, "on the question alone")):
        n_judged = int(np.count_nonzero(counts.judged))
        betas.append(fit_beta(counts) if n_judged >= MIN_ROWS else (1.0, 1.0))
        if n_judged < MIN_ROWS:
            few.append(f"{n_judged:,} rows have judged attempts {arm}")
    note = f"{' and '.join(few)}, of {MIN_ROWS} that a prior needs: all pass rates count as equally likely there."
    both = int(np.count_nonzero((image.judged > 0) & (text.judged > 0)))
    base = np.outer(*(beta_on_grid(*beta) for beta in betas))
    if len(few) == len(betas):
        return Prior(base, both, betas[0], betas[1], note)
    base = (1 - EVEN_SHARE) * base + EVEN_SHARE / base.size
    weights = base
    rows, total = pairs.rows.astype(np.float64), float(pairs.rows.sum())
    image_likelihoods, text_likelihoods = pairs.likelihoods(slice(None))
    for _ in range(steps):
        share = rows / np.einsum("tg,tg->t", image_likelihoods @ weights, text_likelihoods)
        weights = weights * (image_likelihoods.T @ (share[:, None] * text_likelihoods))
        weights = (weights + PSEUDO_ROWS * base) / (total + PSEUDO_ROWS)
    by_rate = None if rates is None else fit_by_rate((image, text), rates, EVEN_SHARE)
    return Prior(weights, both, betas[0], betas[1], note if few else None, by_rate=by_rate)


@dataclass(frozen=True, eq=False)
class Posterior:
    """What each row's counts and the prior say about its pass rates p1 (with the image) and p0 (without).

    Arrays that come out are (n_rows,), in the order of the rows; NaN where the row has no judged attempt at all.

    Args:
        prior: from `fit_counts`, of the dataset that the rows belong to.
        image: counts with the image.
        text: counts on the question alone. Where an arm has no attempt, the other arm and the prior speak for it.
        rates: what is foretold of each row, (n_rows, 2), for a prior by that; a row without attempts is known by it alone.

    Raises:
        SettingError: the prior is by what is foretold, and nothing is.

    """

    prior: Prior
    image: Counts
    text: Counts
    rates: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        if self.prior.by_rate is not None and self.rates is None:
            raise SettingError("The prior is by what a probe foretells, and of these rows nothing is foretold.")

    def cde_mean(self) -> NDArray[np.float64]:
        """Of p1 - p0, in [-1, 1]."""
        return self._expected(self._cde)

    def cde_above(self, threshold: float) -> NDArray[np.float64]:
        """P(p1 - p0 > threshold)."""
        import numpy as np

        share = share_below(-self._cde, np.add.outer(widths(), widths()).ravel(), -threshold)
        return self._expected(share)

    def cde_interval(self, level: float = LEVEL) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Both ends of the interval with equal tails that holds p1 - p0 with probability `level`, in [-1, 1]."""
        return self._interval(self._cde, level)

    def pass_rate_mean(self) -> NDArray[np.float64]:
        """Of p1, in [0, 1]."""
        return self._expected(self._p1)

    def pass_rate_within(self, low: float, high: float) -> NDArray[np.float64]:
        """P(low <= p1 <= high)."""
        import numpy as np

        width = np.repeat(widths(), CELLS + 2)
        above, below = share_below(-self._p1, width, -low), share_below(self._p1, width, high)
        # Both shares of a cell are counted from its ends, so what is in both is what is left of their sum.
        inside = np.clip(above + below - 1, 0, 1)
        return self._expected(inside)

    def pass_rate_interval(self, level: float = LEVEL) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Both ends of the interval with equal tails that holds p1 with probability `level`, in [0, 1]."""
        return self._interval(self._p1, level)

    def draw(self, random: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """One draw of p1 and p0 for each row, both (n_rows,); NaN where the row has no judged attempt at all."""
        import numpy as np

        n_rows = len(self._pairs.of_row)
        cell = np.full(n_rows, -1, dtype=np.int64)
        order = np.argsort(self._pairs.of_row, kind="stable")
        ends = np.searchsorted(self._pairs.of_row[order], np.arange(len(self._pairs.rows) + 1))
        chance = random.random(n_rows)
        for start, weights in self._weights():
            for place, cumulated in enumerate(np.cumsum(weights, axis=1), start):
                rows = order[ends[place] : ends[place + 1]]
                cell[rows] = np.searchsorted(cumulated, chance[rows] * cumulated[-1], side="right")
        has_attempts = cell >= 0
        rates = []
        for number in np.divmod(np.minimum(cell, (CELLS + 2) ** 2 - 1), CELLS + 2):
            angle = (number - 1 + random.random(n_rows)) * (np.pi / 2 / CELLS)
            rate = np.where(number == 0, 0.0, np.where(number == CELLS + 1, 1.0, np.sin(angle) ** 2))
            rates.append(np.where(has_attempts, rate, np.nan))
        return rates[0], rates[1]

    @cached_property
    def _pairs(self) -> _Pairs:
        by_rate = self.prior.by_rate
        return _Pairs(
            self.image, self.text, None if by_rate is None or self.rates is None else by_rate.steps(self.rates)
        )

    @cached_property
    def _p1(self) -> NDArray[np.float64]:
        import numpy as np

        return np.repeat(grid(), CELLS + 2)

    @cached_property
    def _cde(self) -> NDArray[np.float64]:
        import numpy as np

        return np.subtract.outer(grid(), grid()).ravel()

    def _weights(self) -> Iterator[tuple[int, NDArray[np.float64]]]:
        """Posterior weights of some pairs of counts at a time, (n_pairs, n_cells), after the number of the first."""
        for start in range(0, len(self._pairs.rows), _PAIRS_AT_ONCE):
            image, text = self._pairs.likelihoods(slice(start, start + _PAIRS_AT_ONCE))
            prior = self._priors(slice(start, start + _PAIRS_AT_ONCE))
            weights = (image[:, :, None] * prior * text[:, None, :]).reshape(len(image), -1)
            weights /= weights.sum(axis=1, keepdims=True)
            yield start, weights

    def _priors(self, some: slice) -> NDArray[np.float64]:
        """The prior of these pairs, each its own or one for all."""
        import numpy as np

        if self.prior.by_rate is None:
            return self.prior.weights
        steps = self._pairs.steps[some]
        own: NDArray[np.float64] = np.where(
            steps[:, None, None] < 0, self.prior.weights, self.prior.by_rate.weights[np.maximum(steps, 0)]
        )
        return own

    def _expected(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The mean of a value per cell. Summed pair by pair: the rounding of a matrix product depends on their number."""
        return self._each(lambda weights: (weights * values).sum(axis=1))

    def _each(self, compute: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> NDArray[np.float64]:
        """A number per pair of counts, given to the rows that have the pair."""
        import numpy as np

        per_pair = [compute(weights) for _, weights in self._weights()]
        return np.concatenate([*per_pair, [np.nan]])[self._pairs.of_row]

    def _interval(self, values: NDArray[np.float64], level: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        import numpy as np

        check_share("level", level)
        order = np.argsort(values, kind="stable")
        distinct, first = np.unique(values[order], return_index=True)

        def quantile(share: float) -> NDArray[np.float64]:
            def of_pairs(weights: NDArray[np.float64]) -> NDArray[np.float64]:
                mass = np.add.reduceat(weights[:, order], first, axis=1)
                # Half of a cell's mass lies below its middle, so the ends do not jump from cell to cell.
                middle = np.cumsum(mass, axis=1) - mass / 2
                return np.array([np.interp(share, cumulated, distinct) for cumulated in middle])

            return self._each(of_pairs)

        return quantile((1 - level) / 2), quantile((1 + level) / 2)


class _Pairs:
    """The distinct pairs of counts among the rows; with `steps`, among those of each step.

    Attributes:
        rows: number of rows with each pair, (n_pairs,).
        of_row: the pair of each row, (n_rows,); -1 where neither arm has a judged attempt, and nothing is foretold.
        steps: of each pair, (n_pairs,); -1 where nothing is foretold.

    """

    def __init__(self, image: Counts, text: Counts, steps: NDArray[np.int64] | None = None) -> None:
        import numpy as np

        lengths = {len(array) for counts in (image, text) for array in counts}
        if len(lengths) != 1:
            raise SettingError(f"Counts of both arms belong to the same rows, but have the lengths {sorted(lengths)}.")
        code = np.zeros(lengths.pop(), dtype=np.int64)
        for counts in (image, text):
            _check(counts)
            most = int(counts.judged.max(initial=0))
            for part, values in ((counts.judged, most + 1), (np.round(counts.solved * PARTS), most * PARTS + 1)):
                code = code * values + part.astype(np.int64)
        has_attempts = (image.judged > 0) | (text.judged > 0)
        if steps is None:
            steps = np.full(len(code), -1)
        code = code * (int(steps.max(initial=-1)) + 2) + steps + 1
        has_attempts |= steps >= 0
        _, first, number, rows = np.unique(
            code[has_attempts], return_index=True, return_inverse=True, return_counts=True
        )
        self.rows: NDArray[np.int64] = rows
        self.steps: NDArray[np.int64] = steps[has_attempts][first]
        self.of_row: NDArray[np.int64] = np.full(len(code), -1)
        self.of_row[has_attempts] = number
        self._counts = [
            (counts.judged[has_attempts][first], np.round(counts.solved[has_attempts][first] * PARTS) / PARTS)
            for counts in (image, text)
        ]

    def likelihoods(self, some: slice) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Of each value of the grid, for both arms of these pairs: (n_pairs, grid); the highest of a pair is 1."""
        import numpy as np

        rates = grid()
        with np.errstate(divide="ignore"):
            right, wrong = np.log(rates), np.log1p(-rates)
        arrays = []
        for judged, solved in self._counts:
            hits, misses = solved[some, None], (judged - solved)[some, None]
            with np.errstate(invalid="ignore"):  # 0 x -inf, where it is not looked at
                logs = np.where(hits > 0, hits * right, 0) + np.where(misses > 0, misses * wrong, 0)
            arrays.append(np.exp(logs - logs.max(axis=1, keepdims=True)))
        return arrays[0], arrays[1]


def _check(counts: Counts) -> None:
    import numpy as np

    wrong = ~((counts.solved >= 0) & (counts.solved <= counts.judged + 1e-9))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise SettingError(
            f"{int(np.count_nonzero(wrong)):,} rows have a sum of rewards that is not between 0 and their number; the "
            f"first is row {row}, with {float(counts.solved[row])!r} of {int(counts.judged[row])}. Scale rewards to [0, 1]."
        )
