"""What the scores share to say how sure they are: their batches against the prior of the dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hf_rap.errors import SettingError
from hf_rap.stats.counts import Counts
from hf_rap.stats.posterior import LEVEL, Posterior, Prior

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray


def level_of(reader: str, prior: Prior | None, confidence: float | None) -> float:
    """The level of the intervals; raises `SettingError` for a confidence that is no share, or has no prior."""
    if confidence is None:
        return LEVEL
    if not 0 < confidence < 1:
        raise SettingError(f"confidence is {confidence!r}: it takes a share between 0 and 1, such as 0.9.")
    if prior is None:
        raise SettingError(
            f"{reader}(confidence={confidence!r}) needs the prior of the dataset: {reader}(prior=fit_prior(ds), "
            f"confidence={confidence!r})."
        )
    return confidence


def posterior_of(prior: Prior, image: Sequence[tuple[int, int]], text: Sequence[tuple[int, int]]) -> Posterior:
    """The posterior of the rows of a batch from the numbers of their solved and of their judged attempts."""
    return Posterior(prior, _counts(image), _counts(text))


def listed(values: NDArray[np.float64], known: Sequence[bool]) -> list[float | None]:
    """As Python numbers; None where the row is not known."""
    return [value if there else None for value, there in zip(values.tolist(), known, strict=True)]


def _counts(tallied: Sequence[tuple[int, int]]) -> Counts:
    import numpy as np

    solved = np.fromiter((total for total, _ in tallied), dtype=np.float64, count=len(tallied))
    return Counts(solved, np.fromiter((number for _, number in tallied), dtype=np.int64, count=len(tallied)))
