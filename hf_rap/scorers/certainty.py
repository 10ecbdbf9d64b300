"""What the scores share to say how sure they are: a prior of the dataset, and how wide intervals are."""

from __future__ import annotations

from hf_rap.errors import SettingError
from hf_rap.options import check
from hf_rap.stats.posterior import LEVEL, Prior
from hf_rap.stats.thresholds import check_share


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
