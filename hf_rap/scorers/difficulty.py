"""Difficulty: how often the model fails on a row as it is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_rap.columns import (
    DIFFICULTY,
    DIFFICULTY_CERTAINTY,
    ERROR,
    IMAGE_REWARDS,
    TEXT_REWARDS,
    Column,
    features_of,
    typed,
)
from hf_rap.errors import codes_of
from hf_rap.papers import DIFFICULTY_PRIOR
from hf_rap.rows.batches import Batch, batched
from hf_rap.stats.counts import Counts, difficulty_of, none_judged
from hf_rap.stats.posterior import Posterior
from hf_rap.stats.thresholds import check_band

from .base import counts_in, scores
from .certainty import check_certainty, foretold_columns, foretold_in, level_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import datasets

    from hf_rap.stats.posterior import Prior


@dataclass(frozen=True)
class DifficultyScore:
    """Share of attempts on the row as given that fail.

    difficulty = 1 - p1, where p1 is the share of the attempts with the image that are solved: a reward of 1, or of
    what the evidence says (`Rollouts(correct=...)`). A row that has no
    image (`rap_error` starts with "no_image") is given as the question alone: there it is 1 - p0.

    Args:
        prior: of the dataset, `hf_rap.fit_prior(ds)`. With it also how sure the score is: what the row's attempts and
            the prior say about its true pass rate (`hf_rap.stats.posterior`). Where there are attempts on the question alone
            they are read too: both arms of a row depend on each other.
        low: smallest pass rate of the band that `rap_difficulty_probability` is about, in [0, 1].
        high: largest pass rate of that band.
        confidence: of the interval with equal tails, in (0, 1); None is 0.9. Needs a prior.
        version: part of the cache key of `Dataset.map`.

    Reads:
        - `rap_image_rewards`: per attempt with the image, in [0, 1]; null where it was not judged.
        - `rap_text_rewards`, `rap_error`: only where both are there, for rows without an image; the rewards also with a prior.
        - `rap_settings`: only where it is there, for the reward from which on an attempt is solved.

    Writes:
        - `rap_difficulty`: float64 in [0, 1], higher = harder. Null where no attempt was judged.
        - `rap_difficulty_mean`, `rap_difficulty_low`, `rap_difficulty_high`: with a prior, float64 in [0, 1]: the expected true
          difficulty, and both ends of its interval. Five attempts that all succeed do not say that a row is never
          failed. Null where `rap_difficulty` is.
        - `rap_difficulty_probability`: with a prior, float64 in [0, 1]: that the true pass rate is inside the band.

    Raises:
        MissingColumnError: `rap_image_rewards` is absent.
        LayoutError: a reward is NaN or outside [0, 1].
        SettingError: the band or the confidence is out of its range, or confidence has no prior.

    Source:
        arXiv 2506.04755, difficulty-aware replacement; the band is that of arXiv 2505.13261. Differs: attempts that
        were not judged are left out.

    Examples:
        >>> difficulty_score({"rap_image_rewards": [[1, 1, 1, 1, 0], [0, None], [None]]})
        {'rap_difficulty': [0.2, 1.0, None]}

    """

    prior: Prior | None = None
    low: float = DIFFICULTY_PRIOR.low
    high: float = DIFFICULTY_PRIOR.high
    confidence: float | None = None
    version: str = "3"  # raise it whenever the same input can give another number

    def __post_init__(self) -> None:
        check_band(self.low, self.high)
        check_certainty("DifficultyScore", self.prior, self.confidence)

    @property
    def reads(self) -> tuple[Column, ...]:
        """`rap_image_rewards`."""
        return (IMAGE_REWARDS, *foretold_columns(self.prior))

    @property
    def writes(self) -> tuple[Column, ...]:
        """`rap_difficulty`, and with a prior how sure it is."""
        return (DIFFICULTY, *(() if self.prior is None else DIFFICULTY_CERTAINTY))

    @property
    def features(self) -> datasets.Features:
        """The types of `writes`."""
        return features_of(self.writes)

    @batched
    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """The new columns of a batch."""
        as_given, beside = _counts_as_given(Batch("DifficultyScore", batch))
        has_score = as_given.judged > 0
        columns: dict[Column, Any] = {DIFFICULTY: scores(difficulty_of(as_given), has_score)}
        if self.prior is not None:
            posterior = Posterior(self.prior, as_given, beside, foretold_in("DifficultyScore", batch, self.prior))
            low, high = posterior.pass_rate_interval(level_of(self.confidence))
            numbers = (
                1 - posterior.pass_rate_mean(),
                1 - high,
                1 - low,
                posterior.pass_rate_within(self.low, self.high),
            )
            columns |= {
                column: scores(values, has_score) for column, values in zip(DIFFICULTY_CERTAINTY, numbers, strict=True)
            }
        return typed(columns)


def _counts_as_given(batch: Batch) -> tuple[Counts, Counts]:
    """Solved and judged attempts of each row as it is given, with its image if it has one; and without."""
    import numpy as np

    columns = [IMAGE_REWARDS, *([TEXT_REWARDS] if TEXT_REWARDS.name in batch else [])]
    with_image, *alone = counts_in(batch, *columns)
    without = alone[0] if alone else none_judged(len(with_image.judged))
    if not alone or ERROR.name not in batch:
        return with_image, without
    errors = batch.arrow(ERROR.name)
    if errors.null_count == len(errors):
        return with_image, without
    no_image = np.array(codes_of(errors).to_pylist(), dtype=object) == "no_image"
    none = none_judged(len(no_image))
    as_given = Counts(*(np.where(no_image, *arms) for arms in zip(without, with_image, strict=True)))
    return as_given, Counts(*(np.where(no_image, *arms) for arms in zip(none, without, strict=True)))


difficulty_score = DifficultyScore()
"""`DifficultyScore` with its defaults, how seldom rows are solved with the image: `ds.map(difficulty_score, batched=True)`.

Args:
    batch (dict[str, list]): rows with rap_image_rewards, as `Dataset.map` hands them over.

Returns:
    columns (dict[str, list]): rap_difficulty, a value per row; null is unknown.

Examples:
    >>> from datasets import Dataset
    >>> ds = Dataset.from_dict({"rap_image_rewards": [[1.0, 0.0, 0.0, 0.0]]})
    >>> ds.map(difficulty_score, batched=True)["rap_difficulty"][:]
    [0.75]

"""
