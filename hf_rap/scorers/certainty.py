"""What the scores share to say how sure they are: their batches against the prior of the dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hf_rap.errors import SettingError
from hf_rap.options import check
from hf_rap.stats.counts import Counts
from hf_rap.stats.posterior import LEVEL, Posterior, Prior
from hf_rap.stats.thresholds import check_share

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray


def check_certainty(reader: str, prior: Prior | None, confidence: float | None) -> None:
    """Raises `SettingError` for a prior that is none, and a confidence that is no share or has no prior."""
    check(prior is None or isinstance(prior, Prior), "prior", prior, "what fit_prior(ds) gives, or None")
    check_share("confidence", confidence)
    if confidence is not None and prior is None:
        raise SettingError(
            f"{reader}(confidence={confidence!r}) needs the prior of the dataset: {reader}(prior=fit_prior(ds), "
            f"confidence={confidence!r})."
        )


def level_of(confidence: float | None) -> float:
    """The level of the intervals."""
    return LEVEL if confidence is None else confidence


def posterior_of(prior: Prior, image: Sequence[tuple[int, int]], text: Sequence[tuple[int, int]]) -> Posterior:
    """The posterior of the rows of a batch from the numbers of their solved and of their judged attempts."""
    return Posterior(prior, _counts(image), _counts(text))


def listed(values: NDArray[np.float64], has_value: Sequence[bool]) -> list[float | None]:
    """As Python numbers; None where the row is not known."""
    return [value if there else None for value, there in zip(values.tolist(), has_value, strict=True)]


def _counts(tallied: Sequence[tuple[int, int]]) -> Counts:
    import numpy as np

    solved = np.fromiter((float(total) for total, _ in tallied), dtype=np.float64, count=len(tallied))
    return Counts(solved, np.fromiter((number for _, number in tallied), dtype=np.int64, count=len(tallied)))
