"""Causal discrepancy: how much the image changes the chance of being right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_rap.columns import CDE, CDE_CERTAINTY, EVIDENCE, IMAGE_REWARDS, TEXT_REWARDS, Column, features_of, typed
from hf_rap.errors import SettingError
from hf_rap.published import PAPER

from .base import tallies
from .certainty import level_of, listed, posterior_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import datasets

    from hf_rap.posterior import Prior


@dataclass(frozen=True)
class CDEScore:
    """How much more often the model is right with the image than on the question alone.

    cde = p1 - p0, where p1 is the mean of the rewards with the image and p0 the mean of those on
    the question alone: the individual treatment effect of the image on being right.

    Args:
        rollouts: a batched callable that collects the evidence (`hf_rap.Rollouts`). With it one
            `ds.map(CDEScore(rollouts=...), batched=True)` collects and scores; evidence and score
            are both written.
        prior: of the dataset, `hf_rap.fit_prior(ds)`. With it also how sure the score is: what the row's attempts and
            the prior say about the true difference of its pass rates (`hf_rap.posterior`).
        min_cde: the threshold that `rap_cde_probability` is about, in [-1, 1].
        confidence: of the interval with equal tails, in (0, 1); None is 0.9. Needs a prior.
        version: part of the cache key of `Dataset.map`.

    Reads:
        rap_image_rewards: per attempt with the image, in [0, 1]; null where it was not judged.
        rap_text_rewards: the same for attempts on the question alone.

    Writes:
        rap_cde: float32 in [-1, 1], above 0 the image helped, below 0 it misled. Null where an
            arm has no judged attempt.
        rap_cde_mean, rap_cde_low, rap_cde_high: with a prior, float32 in [-1, 1]: the expected true cde, and both ends
            of its interval. The mean lies between `rap_cde` and what is usual in the dataset. Null where `rap_cde` is.
        rap_cde_probability: with a prior, float32 in [0, 1]: that the true cde is above `min_cde`.

    Raises:
        MissingColumnError: a read column is absent.
        LayoutError: a reward is NaN or outside [0, 1].
        SettingError: min_cde or confidence is out of its range, or confidence has no prior.

    Source:
        arXiv 2506.04755, causal discrepancy estimator (there with M = 5 attempts per arm). Differs:
        an attempt that was not judged is left out, where the authors' script counts a missing
        reward as solved. The two means are subtracted as integer counts over one common
        denominator, so that 4/5 - 3/5 and 3/5 - 2/5 are the same number, the one nearest to 1/5.

    >>> cde_score({"rap_image_rewards": [[1, 1, 1, 1, 0], [1, 0, None]], "rap_text_rewards": [[1, 1, 1, 0, 0], None]})
    {'rap_cde': [0.2, None]}

    """

    rollouts: Callable[[Mapping[str, Any]], dict[str, list[Any]]] | None = None
    prior: Prior | None = None
    min_cde: float = PAPER.min_cde
    confidence: float | None = None
    version: str = "1"  # raise it whenever the same input can give another number

    @property
    def reads(self) -> tuple[Column, ...]:
        """The reward columns; with `rollouts` whatever those read, which they check themselves."""
        return (IMAGE_REWARDS, TEXT_REWARDS) if self.rollouts is None else ()

    @property
    def writes(self) -> tuple[Column, ...]:
        """`rap_cde`, with a prior how sure it is; with `rollouts` after the evidence columns."""
        evidence = () if self.rollouts is None else getattr(self.rollouts, "writes", EVIDENCE)
        return (*evidence, CDE, *(() if self.prior is None else CDE_CERTAINTY))

    @property
    def features(self) -> datasets.Features:
        """The types of `writes`."""
        return features_of(self.writes)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """The new columns of a batch."""
        evidence = {} if self.rollouts is None else self.rollouts(batch)
        source = batch if self.rollouts is None else evidence
        with_image = tallies("CDEScore", source, IMAGE_REWARDS)
        text_only = tallies("CDEScore", source, TEXT_REWARDS)
        cde = [
            (sum1 * n0 - sum0 * n1) / (n1 * n0) if n1 and n0 else None
            for (sum1, n1), (sum0, n0) in zip(with_image, text_only, strict=True)
        ]
        columns: dict[Column, Iterable[Any]] = {CDE: cde}
        level = level_of("CDEScore", self.prior, self.confidence)
        if self.prior is not None:
            if not -1 <= self.min_cde <= 1:
                raise SettingError(f"min_cde is {self.min_cde!r}: it takes a number between -1 and 1.")
            posterior = posterior_of(self.prior, with_image, text_only)
            numbers = (
                posterior.cde_mean(),
                *posterior.cde_interval(level),
                posterior.cde_above(self.min_cde),
            )
            known = [score is not None for score in cde]
            columns |= {column: listed(one, known) for column, one in zip(CDE_CERTAINTY, numbers, strict=True)}
        return {**evidence, **typed(columns)}


cde_score = CDEScore()
