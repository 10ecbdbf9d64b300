"""Causal discrepancy of the gold answer's likelihood: a cheap first look before any rollout."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, fsum, log
from typing import TYPE_CHECKING, Any

from hf_rap.columns import (
    GOLD_TOKENS,
    IMAGE_GOLD_LOGPROBS,
    LIKELIHOOD_CDE,
    TEXT_GOLD_LOGPROBS,
    Column,
    features_of,
    require,
    typed,
)
from hf_rap.errors import LayoutError
from hf_rap.options import check_choice
from hf_rap.rows.batches import Batch, batched
from hf_rap.stats.lists import number_lists

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import datasets

SCALES = ("log", "probability")
POOLS = ("sum", "mean")


@dataclass(frozen=True)
class LikelihoodCDEScore:
    """How much likelier the image makes the gold answer, when the model answers at once.

    likelihood_cde = s1 - s0 with s = log p(gold | question with image) for s1 and log p(gold | question)
    for s0. A gold with several spellings has the probability of all of them together: each ends with
    the answer, so no two can both be given.

    Args:
        scale: "log", the difference of logarithms above, in nats; or "probability", the difference of
            the probabilities themselves, on the scale of `rap_cde`.
        pool: "sum" over the tokens of the gold; or "mean", per token (of the likeliest spelling), which
            does not grow with the length of the gold. A "mean" on the scale "probability" is a
            difference of geometric means.
        version: part of the cache key of `Dataset.map`.

    Reads:
        - `rap_image_gold_logprobs`, `rap_text_gold_logprobs`: per spelling, at most 0; null not known.
        - `rap_gold_tokens`: tokens per spelling.

    Writes:
        - `rap_likelihood_cde`: float64, above 0 the image made the gold answer likelier. On the scale
          "log" any number, on "probability" in [-1, 1]. Null where no spelling is known in both arms.

    Raises:
        SettingError: there is no such scale or pool.
        MissingColumnError: a read column is absent.
        LayoutError: a log-probability is NaN or above 0.

    Source:
        ours, after the causal discrepancy estimator of arXiv 2506.04755: the same difference, of the
        gold's probability instead of the rate of right replies.

    Examples:
        >>> evidence = {"rap_image_gold_logprobs": [[-0.5], [-1.0, None], None], "rap_text_gold_logprobs": [[-2.5], [-1.0, -9.0], None]}
        >>> likelihood_cde_score({**evidence, "rap_gold_tokens": [[2], [1, 1], None]})
        {'rap_likelihood_cde': [2.0, 0.0, None]}

    """

    scale: str = "log"
    pool: str = "sum"
    version: str = "2"  # raise it whenever the same input can give another number

    def __post_init__(self) -> None:
        check_choice("scale", self.scale, SCALES)
        check_choice("pool", self.pool, POOLS)

    @property
    def reads(self) -> tuple[Column, ...]:
        """The log-probabilities and the numbers of tokens."""
        return (IMAGE_GOLD_LOGPROBS, TEXT_GOLD_LOGPROBS, GOLD_TOKENS)

    @property
    def writes(self) -> tuple[Column, ...]:
        """`rap_likelihood_cde`."""
        return (LIKELIHOOD_CDE,)

    @property
    def features(self) -> datasets.Features:
        """The types of `writes`."""
        return features_of(self.writes)

    @batched
    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """The new column of a batch."""
        name = "LikelihoodCDEScore"
        require(name, batch, self.reads)
        columns = [Batch(name, batch).arrow(column.name, exact=True) for column in self.reads]
        lists = [number_lists(name, column.name, stored) for column, stored in zip(self.reads, columns, strict=True)]
        rows = zip(*(column.to_pylist() for column in lists), strict=True)
        return typed({LIKELIHOOD_CDE: [self._score(index, *row) for index, row in enumerate(rows)]})

    def _score(
        self,
        index: int,
        image: Sequence[float | None] | None,
        text: Sequence[float | None] | None,
        tokens: Sequence[float | None] | None,
    ) -> float | None:
        if image is None or text is None or tokens is None:
            return None
        # Null in one arm (too long with the image, say) leaves the spelling out of both.
        pairs = [
            (with_image, without, count)
            for with_image, without, count in zip(image, text, tokens, strict=True)
            if with_image is not None and without is not None and count
        ]
        wrong = [value for *pair, _ in pairs for value in pair if not value <= 1e-3]  # NaN is not <= 0 either
        if wrong:
            raise LayoutError(
                f"LikelihoodCDEScore reads log-probabilities, at most 0, but row {index} of the batch has {wrong[0]}."
            )
        if not pairs:
            return None
        with_image, without = (
            self._pooled([pair[arm] for pair in pairs], [pair[2] for pair in pairs]) for arm in (0, 1)
        )
        return exp(with_image) - exp(without) if self.scale == "probability" else with_image - without

    def _pooled(self, logprobs: list[float], tokens: list[float]) -> float:
        """The logarithm of what one arm has, over the spellings."""
        if self.pool == "mean":
            return max(logprob / count for logprob, count in zip(logprobs, tokens, strict=True))
        highest = max(logprobs)
        return highest + log(fsum(exp(logprob - highest) for logprob in logprobs))


likelihood_cde_score = LikelihoodCDEScore()
"""`LikelihoodCDEScore` with its defaults, how much likelier the image makes gold answers: `ds.map(likelihood_cde_score, batched=True)`.

Args:
    batch (dict[str, list]): rows with rap_image_gold_logprobs, rap_text_gold_logprobs and rap_gold_tokens, as `Dataset.map` hands them over.

Returns:
    columns (dict[str, list]): rap_likelihood_cde, a value per row; null is unknown.

Examples:
    >>> looked = {"rap_image_gold_logprobs": [[-0.5]], "rap_text_gold_logprobs": [[-2.5]], "rap_gold_tokens": [[2]]}
    >>> likelihood_cde_score(looked)
    {'rap_likelihood_cde': [2.0]}

"""
