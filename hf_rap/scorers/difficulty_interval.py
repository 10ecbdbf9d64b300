"""How sure a difficulty is: few attempts say little."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from hf_rap.columns import DIFFICULTY_HIGH, DIFFICULTY_LOW, IMAGE_REWARDS, Column, features_of, typed

from .difficulty import tallies_as_given

if TYPE_CHECKING:
    from collections.abc import Mapping

    import datasets


@dataclass(frozen=True)
class DifficultyInterval:
    """The Wilson score interval of `rap_difficulty`: where the difficulty lies, given so few attempts.

    With d the share of failed attempts of n and z the normal quantile of the confidence:
    (d + z^2 / 2n -+ z sqrt(d (1 - d) / n + z^2 / 4n^2)) / (1 + z^2 / n). Five attempts that all succeed
    give [0, 0.43] at 95 %: they do not say that a row is easy.

    Args:
        confidence: share of rows whose interval holds their true difficulty, in (0, 1).
        version: part of the cache key of `Dataset.map`.

    Reads:
        rap_image_rewards: per attempt with the image, in [0, 1]; null where it was not judged. For
            rewards between 0 and 1 the interval is wider than it had to be.
        rap_text_rewards, rap_error: as in `DifficultyScore`.

    Writes:
        rap_difficulty_low, rap_difficulty_high: float32 in [0, 1], around `rap_difficulty`. Null where
            no attempt was judged.

    Raises:
        MissingColumnError: `rap_image_rewards` is absent.
        LayoutError: a reward is NaN or outside [0, 1].

    Source:
        Wilson 1927, the score interval without continuity correction.

    >>> bounds = difficulty_interval({"rap_image_rewards": [[1, 1, 1, 1, 1], [None]]})
    >>> bounds["rap_difficulty_low"], [bound and round(bound, 4) for bound in bounds["rap_difficulty_high"]]
    ([0.0, None], [0.4345, None])

    """

    confidence: float = 0.95
    version: str = "1"  # raise it whenever the same input can give another number

    @property
    def reads(self) -> tuple[Column, ...]:
        """`rap_image_rewards`."""
        return (IMAGE_REWARDS,)

    @property
    def writes(self) -> tuple[Column, ...]:
        """Both ends."""
        return (DIFFICULTY_LOW, DIFFICULTY_HIGH)

    @property
    def features(self) -> datasets.Features:
        """The types of `writes`."""
        return features_of(self.writes)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """The new columns of a batch."""
        z = NormalDist().inv_cdf((1 + self.confidence) / 2)
        ends = [
            wilson(n - total, n, z) if n else (None, None) for total, n in tallies_as_given("DifficultyInterval", batch)
        ]
        return typed({DIFFICULTY_LOW: [low for low, _ in ends], DIFFICULTY_HIGH: [high for _, high in ends]})


def wilson(successes: float, n: int, z: float) -> tuple[float, float]:
    """The ends of the Wilson score interval for a share of `n`.

    >>> [round(end, 4) for end in wilson(1, 5, 1.959964)]
    [0.0362, 0.6245]
    """
    share, wide = successes / n, z * z / n
    centre = share + wide / 2
    half = z * sqrt(share * (1 - share) / n + wide / (4 * n))
    # Nothing failed, or everything: the end is exact, whatever rounding makes of it.
    low = 0.0 if successes == 0 else (centre - half) / (1 + wide)
    high = 1.0 if successes == n else (centre + half) / (1 + wide)
    return low, high


difficulty_interval = DifficultyInterval()
