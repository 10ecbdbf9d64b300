"""Priors of rows by what a probe foretells of them: for each arm a Beta per step of the foretold pass rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_rap.columns import PROBE_IMAGE, PROBE_TEXT, require

from .beta import beta_on_grid, fit_beta
from .counts import Counts

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

# Rows with attempts per step, and at most so many steps.
STEP_ROWS = 40
MOST_STEPS = 12


@dataclass(frozen=True, eq=False)
class ByRate:
    """The priors of rows whose pass rates were foretold.

    Attributes:
        edges: per arm the foretold rates between which a step lies.
        betas: per arm (a, b) of each step.
        weights: per pair of steps, the image's times the number of the text's plus the text's, a prior as `Prior.weights`.

    """

    edges: tuple[NDArray[np.float64], NDArray[np.float64]]
    betas: tuple[list[tuple[float, float]], list[tuple[float, float]]]
    weights: NDArray[np.float64]

    def steps(self, rates: NDArray[np.float64]) -> NDArray[np.int64]:
        """The pair of steps of rows with these foretold rates, (n_rows, 2); -1 where one is not known."""
        import numpy as np

        image, text = (
            np.searchsorted(edges, arm, side="right") for edges, arm in zip(self.edges, rates.T, strict=True)
        )
        pairs = image * (len(self.edges[1]) + 1) + text
        steps: NDArray[np.int64] = np.where(np.isnan(rates).any(axis=1), -1, pairs)
        return steps


def fit_by_rate(arms: Sequence[Counts], rates: NDArray[np.float64], even: float) -> ByRate | None:
    """The priors by step, each the Beta under which the counts of its rows are most likely; None with too few rows.

    Args:
        arms: counts with the image and without.
        rates: what was foretold, (n_rows, 2), NaN where nothing was; each by a fit without the row's own attempts.
        even: the part that is spread evenly, so that no pass rate is ruled out beforehand.

    """
    import numpy as np

    edges, betas = [], []
    for counts, of_arm in zip(arms, rates.T, strict=True):
        has_both = (counts.judged > 0) & ~np.isnan(of_arm)
        steps = min(MOST_STEPS, int(np.count_nonzero(has_both)) // STEP_ROWS)
        if steps == 0:
            return None
        edge = np.unique(np.quantile(of_arm[has_both], np.arange(1, steps) / steps))
        step = np.searchsorted(edge, of_arm, side="right")
        parts = [has_both & (step == number) for number in range(len(edge) + 1)]
        edges.append(edge)
        betas.append([fit_beta(Counts(counts.solved[part], counts.judged[part])) for part in parts])
    grids = [np.stack([beta_on_grid(*beta) for beta in of_arm]) for of_arm in betas]
    weights = np.einsum("ig,th->itgh", *grids).reshape(-1, grids[0].shape[1], grids[1].shape[1])
    weights = (1 - even) * weights + even / weights[0].size
    return ByRate((edges[0], edges[1]), (betas[0], betas[1]), weights)


def rates_in(reader: str, batch: Any) -> NDArray[np.float64]:
    """The foretold rates of a batch, (n_rows, 2); NaN where they are null.

    Args:
        reader: what reads them, for errors.
        batch: an Arrow table, or a `hf_rap.rows.batches.Batch`.

    Raises:
        MissingColumnError: nothing is foretold.

    """
    import numpy as np
    import pyarrow as pa

    names = getattr(batch, "column_names", batch)
    require(reader, names, (PROBE_IMAGE, PROBE_TEXT))
    arms = []
    for column in (PROBE_IMAGE, PROBE_TEXT):
        values = batch.arrow(column.name) if hasattr(batch, "arrow") else batch[column.name]
        arms.append(values.cast(pa.float64()).to_numpy(zero_copy_only=False))
    return np.stack(arms, axis=1)
