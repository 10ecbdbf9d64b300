"""Pass rates on a grid, and Beta distributions there: what `hf_rap.stats.posterior` computes with."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .counts import Counts

# Cells of equal width in arcsin sqrt p, in which a binomial has the same spread everywhere, between the points 0 and 1.
CELLS = 48
# Sums of rewards that are not 0 or 1 are rounded to such parts of an attempt: few pairs of counts stay distinct.
PARTS = 20
# Bounds of the Betas: of the logit of the mean, and of the log of a + b.
_LOGIT_MEAN = (-6.0, 6.0)
_LOG_SIZE = (-3.0, 5.3)


def grid() -> NDArray[np.float64]:
    """The values of a pass rate that are told apart: 0, the middles of `CELLS` cells, and 1."""
    import numpy as np

    middles = np.sin((np.arange(CELLS) + 0.5) * (np.pi / 2 / CELLS)) ** 2
    return np.concatenate([[0.0], middles, [1.0]])


def widths() -> NDArray[np.float64]:
    """Width of the cell around each value of the grid; 0 and 1 are points."""
    import numpy as np

    edges = np.sin(np.arange(CELLS + 1) * (np.pi / 2 / CELLS)) ** 2
    return np.concatenate([[0.0], np.diff(edges), [0.0]])


def share_below(values: NDArray[np.float64], widths: NDArray[np.float64], limit: float) -> NDArray[np.float64]:
    """The share of each cell that lies below the limit, or at it; a cell of no width is a point."""
    import numpy as np

    wide = widths > 0
    share = (values <= limit).astype(np.float64)
    share[wide] = np.clip((limit - values[wide]) / widths[wide] + 0.5, 0, 1)
    return share


def fit_beta(counts: Counts) -> tuple[float, float]:
    """(a, b) of the Beta under which these counts are most likely: maximum of the Beta-binomial likelihood.

    The mean stays between 0.0025 and 0.9975 and a + b between 0.05 and 200, so that counts which are all equal have
    an answer too. Without judged attempts it is (1, 1).
    """
    import numpy as np

    has_attempts = counts.judged > 0
    if not has_attempts.any():
        return 1.0, 1.0
    solved = np.round(counts.solved[has_attempts] * PARTS).astype(np.int64)
    code, rows = np.unique(
        counts.judged[has_attempts] * (PARTS * int(counts.judged.max()) + 1) + solved, return_counts=True
    )
    n, k = np.divmod(code, PARTS * int(counts.judged.max()) + 1)
    k = k / PARTS
    centre, half = (0.0, (_LOG_SIZE[0] + _LOG_SIZE[1]) / 2), (_LOGIT_MEAN[1], (_LOG_SIZE[1] - _LOG_SIZE[0]) / 2)
    steps = np.linspace(-1, 1, 13)
    for _ in range(6):  # each round looks at 13 x 13 points and keeps a quarter of the range around the best
        logit = np.clip(centre[0] + half[0] * steps, *_LOGIT_MEAN)[:, None]
        size = np.exp(np.clip(centre[1] + half[1] * steps, *_LOG_SIZE))[None, :]
        mean = 1 / (1 + np.exp(-logit))
        a, b = mean * size, (1 - mean) * size
        likelihood = sum(
            count * (_log_beta(one_k + a, one_n - one_k + b) - _log_beta(a, b))
            for count, one_n, one_k in zip(rows.tolist(), n.tolist(), k.tolist(), strict=True)
        )
        i, j = np.unravel_index(np.argmax(likelihood), (len(steps), len(steps)))
        best = float(a[i, j]), float(b[i, j])
        centre, half = (float(logit[i, 0]), float(np.log(size[0, j]))), (half[0] / 4, half[1] / 4)
    return best


def beta_on_grid(a: float, b: float) -> NDArray[np.float64]:
    """The mass that Beta(a, b) has in each cell of the grid; nothing at the points 0 and 1."""
    import numpy as np

    step = np.pi / 2 / CELLS
    angles = (np.arange(CELLS) + 0.5) * step
    # The density of the angle is 2 sin^(2a - 1) cos^(2b - 1) / B(a, b). It has poles at both ends where a or b is below
    # 1/2, so there the cell is integrated with sin x = x.
    log_mass = np.log(2 * step) + (2 * a - 1) * np.log(np.sin(angles)) + (2 * b - 1) * np.log(np.cos(angles))
    log_mass[0], log_mass[-1] = 2 * a * np.log(step) - np.log(a), 2 * b * np.log(step) - np.log(b)
    mass = np.exp(log_mass - log_mass.max())
    return np.concatenate([[0.0], mass / mass.sum(), [0.0]])


def _log_beta(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return _log_gamma(a) + _log_gamma(b) - _log_gamma(a + b)


def _log_gamma(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logarithm of Gamma(x), x > 0, by Stirling's series after eight steps of Gamma(x + 1) = x Gamma(x), right to 1e-10."""
    import numpy as np

    shift = np.ones_like(x)
    for step in range(8):
        shift = shift * (x + step)
    y = x + 8
    series = (1 / 12 - (1 / 360 - (1 / 1260 - 1 / (1680 * y**2)) / y**2) / y**2) / y
    result: NDArray[np.float64] = (y - 0.5) * np.log(y) - y + 0.5 * np.log(2 * np.pi) + series - np.log(shift)
    return result
