"""Causal discrepancy: how much the image changes the chance of being right."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hf_rap.columns import (
    CDE,
    CDE_CERTAINTY,
    CDE_CONTROL,
    EVIDENCE,
    IMAGE_REWARDS,
    Column,
    control_rewards,
    features_of,
    typed,
)
from hf_rap.errors import SettingError
from hf_rap.options import check, check_number
from hf_rap.papers import PAPER
from hf_rap.rows.batches import Batch, batched
from hf_rap.stats.counts import cde_of
from hf_rap.stats.posterior import Posterior

from .base import counts_in, scores
from .certainty import check_certainty, foretold_columns, foretold_in, level_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import datasets

    from hf_rap.stats.posterior import Prior


@dataclass(frozen=True)
class CDEScore:
    """How much more often the model is right with the image than on the question alone.

    cde = p1 - p0, where p1 is the share of the attempts with the image that are solved and p0 the share of those on
    the question alone: the individual treatment effect of the image on being right. Solved is a reward of 1, or of what
    the evidence says (`Rollouts(correct=...)`): a part of a reward is no part of a solved attempt.

    Args:
        control: what the image is compared with: "text", the question alone, as in the paper; or an arm that
            `hf_rap.Controls` has collected, "blank" or "shuffled": then p0 is the share over its attempts.
        rollouts: a batched callable that collects the evidence (`hf_rap.Rollouts`). With it one
            `ds.map(CDEScore(rollouts=...), batched=True)` collects and scores; evidence and score
            are both written.
        prior: of the dataset, `hf_rap.fit_prior(ds)`. With it also how sure the score is: what the row's attempts and
            the prior say about the true difference of its pass rates (`hf_rap.stats.posterior`).
        min_cde: the threshold that `rap_cde_probability` is about, in [-1, 1].
        confidence: of the interval with equal tails, in (0, 1); None is 0.9. Needs a prior.
        version: part of the cache key of `Dataset.map`.

    Reads:
        - `rap_image_rewards`: per attempt with the image, in [0, 1]; null where it was not judged.
        - `rap_text_rewards`: the same for attempts on the question alone; or with control="blank"
          rap_blank_rewards, and so on.
        - `rap_settings`: only where it is there, for the reward from which on an attempt is solved.

    Writes:
        - `rap_cde`: float64 in [-1, 1], above 0 the image helped, below 0 it misled. Null where an
          arm has no judged attempt.
        - `rap_cde_mean`, `rap_cde_low`, `rap_cde_high`: with a prior, float64 in [-1, 1]: the expected true cde, and both ends
          of its interval. The mean lies between `rap_cde` and what is usual in the dataset. Null where `rap_cde` is.
        - `rap_cde_probability`: with a prior, float64 in [0, 1]: that the true cde is above `min_cde`.
        - `rap_cde_control`: the name of the control, where it is not "text".

    Raises:
        SettingError: there is no such control.
        MissingColumnError: a read column is absent.
        LayoutError: a reward is NaN or outside [0, 1].
        SettingError: min_cde or confidence is out of its range, or confidence has no prior.

    Source:
        arXiv 2506.04755, causal discrepancy estimator (there with M = 5 attempts per arm). Differs:
        an attempt that was not judged is left out, where the authors' script counts a missing
        reward as solved. The two shares are subtracted as integer counts over one common denominator and rounded once, so
        that 4/5 - 3/5 and 3/5 - 2/5 are the same number, the double nearest to 1/5, and "> 0.2" says the same wherever it
        is asked.

    Examples:
        >>> cde_score({"rap_image_rewards": [[1, 1, 1, 1, 0], [1, 0, None]], "rap_text_rewards": [[1, 1, 1, 0, 0], None]})
        {'rap_cde': [0.2, None]}

    """

    rollouts: Callable[[Mapping[str, Any]], dict[str, list[Any]]] | None = None
    prior: Prior | None = None
    min_cde: float = PAPER.min_cde
    confidence: float | None = None
    control: str = "text"
    version: str = "3"  # raise it whenever the same input can give another number

    def __post_init__(self) -> None:
        control_rewards(self.control)
        check(self.rollouts is None or callable(self.rollouts), "rollouts", self.rollouts, "a collector, or None")
        check_number("min_cde", self.min_cde, least=-1, most=1)
        check_certainty("CDEScore", self.prior, self.confidence)
        if self.prior is not None and self.prior.control != self.control:
            raise SettingError(
                f"CDEScore(control={self.control!r}) has a prior for {self.prior.control!r}: fit_prior(ds, "
                f"control={self.control!r})."
            )

    @property
    def reads(self) -> tuple[Column, ...]:
        """The reward columns; with `rollouts` whatever those read, which they check themselves."""
        return (IMAGE_REWARDS, self._compared, *foretold_columns(self.prior)) if self.rollouts is None else ()

    @property
    def writes(self) -> tuple[Column, ...]:
        """`rap_cde`, what it compares with if not text, with a prior how sure it is; with `rollouts` after the evidence."""
        evidence = () if self.rollouts is None else getattr(self.rollouts, "writes", EVIDENCE)
        control = () if self.control == "text" else (CDE_CONTROL,)
        return (*evidence, CDE, *control, *(() if self.prior is None else CDE_CERTAINTY))

    @property
    def features(self) -> datasets.Features:
        """The types of `writes`."""
        return features_of(self.writes)

    @batched
    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """The new columns of a batch."""
        evidence = {} if self.rollouts is None else self.rollouts(batch)
        source = batch if self.rollouts is None else evidence
        with_image, without = counts_in(Batch("CDEScore", source), IMAGE_REWARDS, self._compared)
        has_score = (with_image.judged > 0) & (without.judged > 0)
        columns: dict[Column, Any] = {CDE: scores(cde_of(with_image, without), has_score)}
        if self.control != "text":
            columns[CDE_CONTROL] = [self.control] * len(has_score)
        if self.prior is not None:
            posterior = Posterior(self.prior, with_image, without, foretold_in("CDEScore", batch, self.prior))
            numbers = (
                posterior.cde_mean(),
                *posterior.cde_interval(level_of(self.confidence)),
                posterior.cde_above(self.min_cde),
            )
            columns |= {
                column: scores(values, has_score) for column, values in zip(CDE_CERTAINTY, numbers, strict=True)
            }
        return {**evidence, **typed(columns)}

    def on_rank(self, rank: int) -> CDEScore:
        """The same for worker `rank` of `map(num_proc=..., with_rank=True)`, where rollouts are collected."""
        on_rank = getattr(self.rollouts, "on_rank", None)
        return self if on_rank is None else replace(self, rollouts=on_rank(rank))

    @property
    def _compared(self) -> Column:
        """The rewards without the row's image."""
        return control_rewards(self.control)


cde_score = CDEScore()
"""`CDEScore` with its defaults, how much more often rows are right with the image than on the question alone: `ds.map(cde_score, batched=True)`.

Args:
    batch (dict[str, list]): rows with rap_image_rewards and rap_text_rewards, as `Dataset.map` hands them over.

Returns:
    columns (dict[str, list]): rap_cde, a value per row; null is unknown.

Examples:
    >>> from datasets import Dataset
    >>> ds = Dataset.from_dict({"rap_image_rewards": [[1.0, 1.0]], "rap_text_rewards": [[0.0, 1.0]]})
    >>> ds.map(cde_score, batched=True)["rap_cde"][:]
    [0.5]

"""
