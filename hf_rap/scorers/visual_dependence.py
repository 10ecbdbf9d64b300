"""Visual dependence: how much a model's own replies hang on the image."""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum, isfinite
from typing import TYPE_CHECKING, Any

from hf_rap.columns import (
    ARM_COLUMNS,
    REPLY_LOGPROBS,
    VISUAL_DEPENDENCE,
    VISUAL_DEPENDENCE_ARM,
    Column,
    features_of,
    require,
    typed,
)
from hf_rap.errors import LayoutError
from hf_rap.evidence.token_gains import token_gains
from hf_rap.options import check_choice
from hf_rap.rows.batches import Batch, batched

if TYPE_CHECKING:
    from collections.abc import Mapping

    import datasets


@dataclass(frozen=True)
class VisualDependenceScore:
    """How much likelier the image makes the tokens of the replies that were given to it, in nats per token.

    Of a reply the mean over its tokens of log p(token | image, question, tokens before) - log p(token | arm, tokens before);
    of a row the mean over its replies, a long one counting like a short one.

    Args:
        arm: what the image is compared with: "text", "blank" or "shuffled".
        version: part of the cache key of `Dataset.map`.

    Reads:
        - `rap_reply_logprobs`: of the tokens of each reply.

    Writes:
        - `rap_visual_dependence`: float64; above 0 the image made the replies likelier. Null where no reply is known in both arms.
        - `rap_visual_dependence_arm`: with another arm than "text" its name, in every row.

    Raises:
        SettingError: there is no such arm.
        MissingColumnError: the replies were not read.
        LayoutError: a number is not finite, or arms have different numbers of tokens.

    Source:
        arXiv 2602.17186 (visual information gain, of given answers); arXiv 2510.09285, where tokens are compared by the divergence of
        whole distributions. Differs: the replies are the model's own, and only the token that stands there counts.

    Examples:
        >>> reply = {"error": None, "tokens": ["4", "."], "image": [-0.25, -0.25], "text": [-2.0, -0.5]}
        >>> visual_dependence_score({"rap_reply_logprobs": [[reply, None], [None], None]})
        {'rap_visual_dependence': [1.0, None, None]}

    """

    arm: str = "text"
    version: str = "1"  # raise it whenever the same input can give another number

    def __post_init__(self) -> None:
        check_choice("arm", self.arm, (arm for arm in ARM_COLUMNS if arm != "image"))

    @property
    def reads(self) -> tuple[Column, ...]:
        """The log-probabilities of the replies."""
        return (REPLY_LOGPROBS,)

    @property
    def writes(self) -> tuple[Column, ...]:
        """`rap_visual_dependence`, and what it compares with if not text."""
        return (VISUAL_DEPENDENCE, *(() if self.arm == "text" else (VISUAL_DEPENDENCE_ARM,)))

    @property
    def features(self) -> datasets.Features:
        """The types of `writes`."""
        return features_of(self.writes)

    @batched
    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """The new columns of a batch."""
        require("VisualDependenceScore", batch, self.reads)
        rows = Batch("VisualDependenceScore", batch).arrow(REPLY_LOGPROBS.name, exact=True).to_pylist()
        columns: dict[Column, Any] = {VISUAL_DEPENDENCE: [self._of_row(place, row) for place, row in enumerate(rows)]}
        if self.arm != "text":
            columns[VISUAL_DEPENDENCE_ARM] = [self.arm] * len(rows)
        return typed(columns)

    def _of_row(self, place: int, replies: list[Mapping[str, Any] | None] | None) -> float | None:
        means = []
        for reply in replies or ():
            gains = None if reply is None else token_gains(reply, self.arm)
            if gains and not all(map(isfinite, gains)):
                raise LayoutError(
                    f"VisualDependenceScore reads finite numbers, and row {place} of the batch has others."
                )
            if gains:
                means.append(fsum(gains) / len(gains))
        return fsum(means) / len(means) if means else None


visual_dependence_score = VisualDependenceScore()
"""`VisualDependenceScore` with its defaults, how much likelier the image makes replies: `ds.map(visual_dependence_score, batched=True)`.

Args:
    batch (dict[str, list]): rows with rap_reply_logprobs, as `Dataset.map` hands them over.

Returns:
    columns (dict[str, list]): rap_visual_dependence, a value per row; null is unknown.

Examples:
    >>> visual_dependence_score({"rap_reply_logprobs": [None]})
    {'rap_visual_dependence': [None]}

"""
