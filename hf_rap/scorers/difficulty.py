"""Difficulty: how often the model fails on a row as it is given."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from hf_rap.columns import (
    DIFFICULTY,
    DIFFICULTY_HIGH,
    DIFFICULTY_LOW,
    ERROR,
    IMAGE_REWARDS,
    TEXT_REWARDS,
    Column,
    features_of,
    typed,
)
from hf_rap.errors import SettingError

from .base import tallies

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import datasets


@dataclass(frozen=True)
class DifficultyScore:
    """Share of attempts on the row as given that fail.

    difficulty = 1 - p1, where p1 is the mean of the rewards with the image. A row that has no
    image (`rap_error` starts with "no_image") is given as the question alone: there it is 1 - p0.

    With a confidence, also its Wilson score interval: where the difficulty lies, given so few attempts. With d
    the difficulty, n the judged attempts and z the normal quantile of the confidence its ends are
    (d + z^2 / 2n -+ z sqrt(d (1 - d) / n + z^2 / 4n^2)) / (1 + z^2 / n). Five attempts that all succeed give [0, 0.43]
    at 95 %: they do not say that a row is easy.

    Args:
        confidence: share of rows whose interval holds their true difficulty, in (0, 1); None leaves it out. For
            rewards between 0 and 1 the interval is wider than it had to be.
        version: part of the cache key of `Dataset.map`.

    Reads:
        rap_image_rewards: per attempt with the image, in [0, 1]; null where it was not judged.
        rap_text_rewards, rap_error: only where both are there, for rows without an image.

    Writes:
        rap_difficulty: float32 in [0, 1], higher = harder. Null where no attempt was judged.
        rap_difficulty_low, rap_difficulty_high: with a confidence, float32 in [0, 1] around it, null where it is.

    Raises:
        MissingColumnError: `rap_image_rewards` is absent.
        LayoutError: a reward is NaN or outside [0, 1].
        SettingError: the confidence is not in (0, 1).

    Source:
        arXiv 2506.04755, difficulty-aware replacement. Differs: attempts that were not judged are
        left out. The interval is that of Wilson 1927, without continuity correction.

    >>> difficulty_score({"rap_image_rewards": [[1, 1, 1, 1, 0], [0, None], [None]]})
    {'rap_difficulty': [0.2, 1.0, None]}
    >>> [column.name for column in DifficultyScore(confidence=0.95).writes]
    ['rap_difficulty', 'rap_difficulty_low', 'rap_difficulty_high']

    """

    confidence: float | None = None
    version: str = "1"  # raise it whenever the same input can give another number

    @property
    def reads(self) -> tuple[Column, ...]:
        """`rap_image_rewards`."""
        return (IMAGE_REWARDS,)

    @property
    def writes(self) -> tuple[Column, ...]:
        """`rap_difficulty`, and the ends of its interval where there is a confidence."""
        return (DIFFICULTY,) if self.confidence is None else (DIFFICULTY, DIFFICULTY_LOW, DIFFICULTY_HIGH)

    @property
    def features(self) -> datasets.Features:
        """The types of `writes`."""
        return features_of(self.writes)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """The new column of a batch."""
        as_given = _tallies_as_given(batch)
        failed = [(n - total, n) if n else None for total, n in as_given]
        columns: dict[Column, Iterable[Any]] = {
            DIFFICULTY: [None if one is None else one[0] / one[1] for one in failed]
        }
        if self.confidence is not None:
            if not 0 < self.confidence < 1:
                raise SettingError(
                    f"confidence is {self.confidence!r}: it takes a share between 0 and 1, such as 0.95."
                )
            z = NormalDist().inv_cdf((1 + self.confidence) / 2)
            ends = [(None, None) if one is None else wilson(*one, z) for one in failed]
            columns |= {DIFFICULTY_LOW: [low for low, _ in ends], DIFFICULTY_HIGH: [high for _, high in ends]}
        return typed(columns)


def _tallies_as_given(batch: Mapping[str, Any]) -> list[tuple[float, int]]:
    """Sum and number of the known rewards of each row as it is given: with its image, if it has one."""
    as_given = tallies("DifficultyScore", batch, IMAGE_REWARDS)
    if ERROR.name in batch and TEXT_REWARDS.name in batch:
        text_only = tallies("DifficultyScore", batch, TEXT_REWARDS)
        as_given = [
            text if (error or "").split(":")[0] == "no_image" else image
            for error, image, text in zip(batch[ERROR.name], as_given, text_only, strict=True)
        ]
    return as_given


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


difficulty_score = DifficultyScore()
