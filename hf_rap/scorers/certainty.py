"""What the scores share to say how sure they are: a prior of the dataset, and how wide intervals are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_rap.columns import PROBE_IMAGE, PROBE_TEXT, Column
from hf_rap.errors import SettingError
from hf_rap.options import check
from hf_rap.rows.batches import Batch
from hf_rap.stats.foretold import rates_in
from hf_rap.stats.posterior import LEVEL, Prior
from hf_rap.stats.thresholds import check_share

if TYPE_CHECKING:
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


def foretold_columns(prior: Prior | None) -> tuple[Column, ...]:
    """What a prior by what is foretold reads beside the rewards."""
    return () if prior is None or prior.by_rate is None else (PROBE_IMAGE, PROBE_TEXT)


def foretold_in(reader: str, batch: Any, prior: Prior) -> NDArray[np.float64] | None:
    """The foretold rates of a batch, where the prior is by these."""
    return None if prior.by_rate is None else rates_in(reader, Batch(reader, batch))
