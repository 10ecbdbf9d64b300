"""Attention confidence: how strongly replies hang on one of their own tokens."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from hf_rap.columns import ACE, ACE_SETTINGS, ATTENTION, IMAGE_REWARDS, SETTINGS, Column, features_of, require, typed
from hf_rap.errors import SettingError
from hf_rap.evidence.psi import (
    FORM,
    FORMS,
    MIN_COLUMN,
    NORMALISATIONS,
    PARTS,
    POOLING,
    POOLINGS,
    SIGMA,
    fields_read,
    highest,
    log_psis,
)
from hf_rap.options import check_choice, check_number, check_whole
from hf_rap.rows.batches import Batch, batched
from hf_rap.stats.lists import number_lists
from hf_rap.stats.settings import correct_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import datasets

ATTEMPTS = ("all", "correct", "first")


@dataclass(frozen=True)
class ACEScore:
    """How much of a reply stares at one of its own tokens: psi, the mean over attempts.

    psi = max over j of psi_j, where A is the last layer's attention between the tokens of a reply,
    heads pooled, and j a token that is looked at (a column of A):

    literal: psi_j is the product of sigma A[i, j] over the tokens i >= j, as in the paper.
    windowed: psi_j is the geometric mean of sigma A[i, j] over the first tokens i >= j, as many as
        `Attention(window=...)` says: in (0, sigma], whatever the length of the reply.

    Args:
        form: "literal" or "windowed".
        sigma: factor of every weight.
        heads: "max" pools heads by the largest weight, as OPERA does; "mean" by the mean.
        attempts: which attempts count: "all", "correct" (those that are solved) or "first".
        min_column: rows that a column needs to count; None: 4 for the windowed form and 1, the
            paper's, for the literal one, whose maximum is then mostly among the last few tokens.
        part: which tokens of a reply are rows and columns: "all", its "thinking", up to the last `</think>`, or the
            "answer" behind that. A reply without a thought is all answer; one whose thought is never closed has none.
        normalise: what each row of A is divided by: its sum over "all" tokens, prompt included, as OPERA does; or over
            those of the "reply" alone. The paper can be read both ways.
        version: part of the cache key of `Dataset.map`.

    Reads:
        - `rap_attention`: per attempt with the image; an entry with an `error` is left out.
        - `rap_image_rewards`, and rap_settings where it is there: only for attempts="correct".

    Writes:
        - `rap_ace`: float64, 0 or more, higher = more biased towards one token. Null where no attempt
          counts, or none has a part as long as min_column.
        - `rap_ace_settings`: JSON, the options; `select_cognitive` picks its threshold by them.

    Raises:
        SettingError: an option is out of its range, or takes numbers that evidence of an earlier release does not have.
        MissingColumnError: a read column is absent.

    Source:
        arXiv 2506.04755, attention confidence estimator: sigma = 2.0, rows above 0.1 are biased;
        pooling from arXiv 2311.17911 (OPERA). The paper leaves open how heads are pooled, which
        attempts count and how they are put together, and the authors' release does not compute it.
        Differs: the windowed form is ours and the default, for the reasons in docs/ace.md.

    Examples:
        >>> attempt = {"error": None, "product_max": [-1.5, -1.0, -0.5], "window_max": [-0.5, -0.5, -0.5]}
        >>> rows = {"rap_attention": [[attempt], None]}
        >>> [ace and round(ace, 3) for ace in ACEScore(form="literal")(rows)["rap_ace"]]
        [1.785, None]
        >>> [ace and round(ace, 3) for ace in ACEScore(min_column=2)(rows)["rap_ace"]]
        [1.213, None]

    """

    form: str = FORM
    sigma: float = SIGMA
    heads: str = POOLING
    attempts: str = "all"
    min_column: int | None = None
    part: str = "all"
    normalise: str = "all"
    version: str = "2"  # raise it whenever the same input can give another number

    def __post_init__(self) -> None:
        check_choice("form", self.form, FORMS)
        check_number("sigma", self.sigma, above=0)
        check_choice("heads", self.heads, POOLINGS)
        check_choice("attempts", self.attempts, ATTEMPTS)
        check_choice("part", self.part, PARTS)
        check_choice("normalise", self.normalise, NORMALISATIONS)
        check_whole("min_column", self.min_column, least=1, none=True)

    @property
    def reads(self) -> tuple[Column, ...]:
        """`rap_attention`, and the rewards where they decide which attempts count."""
        return (ATTENTION, IMAGE_REWARDS) if self.attempts == "correct" else (ATTENTION,)

    @property
    def writes(self) -> tuple[Column, ...]:
        """The options, and `rap_ace`."""
        return (ACE_SETTINGS, ACE)

    @property
    def features(self) -> datasets.Features:
        """The types of `writes`."""
        return features_of(self.writes)

    @batched
    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """The new columns of a batch."""
        min_column = self.min_column if self.min_column is not None else MIN_COLUMN if self.form == "windowed" else 1
        require("ACEScore", batch, self.reads)
        given = Batch("ACEScore", batch)
        rows = _entries(given, fields_read(self.form, self.heads, self.normalise))
        rewards = of_rows = [None] * len(rows)
        if self.attempts == "correct":
            stored = given.arrow(IMAGE_REWARDS.name, exact=True)
            rewards = number_lists("ACEScore", IMAGE_REWARDS.name, stored).to_pylist()
            of_rows = given.cells(SETTINGS.name) if SETTINGS.name in batch else of_rows
        ace = [self._row(*row, min_column) for row in zip(rows, rewards, map(correct_of, of_rows), strict=True)]
        settings = json.dumps({**asdict(self), "min_column": min_column}, sort_keys=True)
        return typed({ACE_SETTINGS: [None if value is None else settings for value in ace], ACE: ace})

    def _row(
        self,
        row: Sequence[Mapping[str, Any] | None] | None,
        rewards: Sequence[float | None] | None,
        correct: float,
        min_column: int,
    ) -> float | None:
        counted = list(row or ())
        if self.attempts == "first":
            counted = counted[:1]
        elif self.attempts == "correct":
            judged = rewards or [None] * len(counted)
            pairs = zip(counted, judged, strict=True)
            counted = [attempt for attempt, reward in pairs if reward is not None and reward >= correct]
        psis = []
        for attempt in counted:
            if attempt is None or attempt["error"] is not None:
                continue
            best = highest(self._log_psis(attempt), min_column)
            if best is not None:
                psis.append(math.exp(best[0]))
        return math.fsum(psis) / len(psis) if psis else None

    def _log_psis(self, attempt: Mapping[str, Any]) -> list[float]:
        options = {"form": self.form, "heads": self.heads, "normalise": self.normalise, "part": self.part}
        try:
            return log_psis(attempt, sigma=self.sigma, **options)
        except LookupError as error:
            raise SettingError(
                f"ACEScore({', '.join(f'{name}={value!r}' for name, value in options.items())}) takes {error.args[0]!r} of "
                f"{ATTENTION.name}, which this evidence does not have: an earlier release, or another engine, wrote it. "
                "Read the replies again, without that column: ds.map(Attention(engine), batched=True), or `hf-rap attention`."
            ) from error


def _entries(batch: Batch, fields: Sequence[str]) -> list[Any]:
    """`rap_attention` of each row, where Arrow holds it with these fields alone: most of its lists are of other readings."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if batch.stored(ATTENTION.name) is None:
        return batch.cells(ATTENTION.name)
    stored = batch.arrow(ATTENTION.name)
    if pa.types.is_null(stored.type):
        return [None] * len(stored)
    attempts = stored.flatten()
    there = [name for name in ("error", *fields) if attempts.type.get_field_index(name) >= 0]
    read = [pc.struct_field(attempts, name) for name in there]
    entries = iter(pa.StructArray.from_arrays(read, names=there, mask=attempts.is_null()).to_pylist())
    lengths = pc.list_value_length(stored).to_pylist()
    return [None if length is None else list(islice(entries, length)) for length in lengths]


ace_score = ACEScore()
"""`ACEScore` with its defaults, how much replies hang on one of their own tokens: `ds.map(ace_score, batched=True)`.

Args:
    batch (dict[str, list]): rows with rap_attention, as `Dataset.map` hands them over.

Returns:
    columns (dict[str, list]): rap_ace, a value per row; null is unknown.

Examples:
    >>> ace_score({"rap_attention": [None]})["rap_ace"]
    [None]

"""
