"""Difficulty: how often the model fails on a row as it is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_rap.columns import DIFFICULTY, ERROR, IMAGE_REWARDS, TEXT_REWARDS, Column, features_of, typed

from .base import tallies

if TYPE_CHECKING:
    from collections.abc import Mapping

    import datasets


@dataclass(frozen=True)
class DifficultyScore:
    """Share of attempts on the row as given that fail.

    difficulty = 1 - p1, where p1 is the mean of the rewards with the image. A row that has no
    image (`rap_error` starts with "no_image") is given as the question alone: there it is 1 - p0.

    Args:
        version: part of the cache key of `Dataset.map`.

    Reads:
        rap_image_rewards: per attempt with the image, in [0, 1]; null where it was not judged.
        rap_text_rewards, rap_error: only where both are there, for rows without an image.

    Writes:
        rap_difficulty: float32 in [0, 1], higher = harder. Null where no attempt was judged.

    Raises:
        MissingColumnError: `rap_image_rewards` is absent.
        LayoutError: a reward is NaN or outside [0, 1].

    Source:
        arXiv 2506.04755, difficulty-aware replacement. Differs: attempts that were not judged are
        left out.

    >>> difficulty_score({"rap_image_rewards": [[1, 1, 1, 1, 0], [0, None], [None]]})
    {'rap_difficulty': [0.2, 1.0, None]}

    """

    version: str = "1"  # raise it whenever the same input can give another number

    @property
    def reads(self) -> tuple[Column, ...]:
        """`rap_image_rewards`."""
        return (IMAGE_REWARDS,)

    @property
    def writes(self) -> tuple[Column, ...]:
        """`rap_difficulty`."""
        return (DIFFICULTY,)

    @property
    def features(self) -> datasets.Features:
        """The types of `writes`."""
        return features_of(self.writes)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """The new column of a batch."""
        as_given = tallies_as_given("DifficultyScore", batch)
        return typed({DIFFICULTY: [(n - total) / n if n else None for total, n in as_given]})


def tallies_as_given(reader: str, batch: Mapping[str, Any]) -> list[tuple[float, int]]:
    """Sum and number of the known rewards of each row as it is given: with its image, if it has one."""
    as_given = tallies(reader, batch, IMAGE_REWARDS)
    if ERROR.name in batch and TEXT_REWARDS.name in batch:
        text_only = tallies(reader, batch, TEXT_REWARDS)
        as_given = [
            text if (error or "").split(":")[0] == "no_image" else image
            for error, image, text in zip(batch[ERROR.name], as_given, text_only, strict=True)
        ]
    return as_given


difficulty_score = DifficultyScore()
