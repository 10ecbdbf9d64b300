"""Gold doubt: how likely it is that the attempts are right and the gold answer is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from math import exp, lgamma, log
from typing import TYPE_CHECKING, Any

from hf_rap.columns import ARM_COLUMNS, ARMS, ERROR, GOLD_DOUBT, SETTINGS, Column, features_of, require, typed
from hf_rap.errors import LayoutError, RowError, code_of
from hf_rap.evidence.agreement import Agreement, Attempt, agreement_of
from hf_rap.evidence.grading import Grading
from hf_rap.options import check_number
from hf_rap.rows.batches import Batch, batched
from hf_rap.rows.layouts import check_given
from hf_rap.rows.questions import question_and_answer, raw_rows
from hf_rap.stats.settings import correct_of

from .base import counts_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import datasets

    from hf_rap.columns import ArmColumns
    from hf_rap.rows.layouts import Layout

WRONG_SHARE = 0.05
_READ = (ARM_COLUMNS["image"].responses, ARM_COLUMNS["image"].rewards)
# Beta distributions of three rates. With the true answer an attempt comes up at any rate; of the attempts that miss it, a third
# on average share the most frequent wrong answer, and a fifth fall on one that was fixed before, a wrong gold.
_TRUE, _COMMON_MISS, _GIVEN_MISS = (1.0, 1.0), (1.0, 2.0), (1.0, 4.0)


@dataclass(frozen=True)
class GoldDoubtScore:
    r"""Probability that the answer that most attempts give is right, and the gold answer of the row wrong.

    Two stories explain the attempts of an arm, n of which g give the gold and m the most frequent other answer: the gold is
    true, or the other answer is. The true answer comes up at a rate of its own, and the attempts that miss it spread over wrong ones. With
    B(k of n; a, b) = beta(k + a, n - k + b) / beta(a, b)

        gold true     B(g of n; 1, 1) B(m of n - g; 1, 2)
        other true    B(m of n; 1, 1) B(g of n - m; 1, 4)

    Attempts on the question alone may know nothing, which is taken to be so in every second row: then they are as likely in either story,
    B(m of n; 1, 2) B(g of n - m; 1, 2). The score is the posterior of the second story; both arms are witnesses, and `prior` is what is known before them. Replies
    that scatter explain nothing either way, so hard rows stay near the prior. Five attempts that agree with each other and never with the gold
    give 0.525 without a witness of the other arm; five that all give the gold give 0.0004.

    Two answers are the same where the verifier says so, not where they are the same text.

    Args:
        layout: which column is what. With it the options of a multiple choice count: B and its text are the same answer.
            None compares replies without their question.
        verifier: whose equality it is: None the built-in one, else a callable as `Rollouts` takes it, asked whether a reply is
            right for the answer of another.
        prior: share of the golds that are taken to be wrong before a model is heard, in (0, 1).
        version: part of the cache key of `Dataset.map`.

    Reads:
        - `rap_image_responses`, `rap_image_rewards`: replies with the image, and their grades; attempts that were not judged are left out.
        - `rap_text_responses`, `rap_text_rewards`, `rap_image_truncated`, `rap_text_truncated`, `rap_error`, `rap_settings`: only where
          they are there. Replies that were cut off are left out. A row without an image goes by its text alone.

    Writes:
        - `rap_gold_doubt`: float64 in [0, 1]: higher = the gold is more likely wrong. Null where no attempt was judged.

    Raises:
        MissingColumnError: a read column is absent.
        LayoutError: a reward is NaN or outside [0, 1], or an arm has not as many rewards as replies.
        SettingError: an option is none.

    Source:
        None: a likelihood ratio of two stories, made here. docs/doubt.md has what it finds among planted wrong golds.

    Examples:
        >>> same, scattered = [r"\boxed{7}"] * 5, [rf"\boxed{{{n}}}" for n in range(5)]
        >>> batch = {"rap_image_responses": [same, scattered], "rap_image_rewards": [[0, 0, 0, 0, 0]] * 2}
        >>> [round(doubt, 3) for doubt in gold_doubt_score(batch)["rap_gold_doubt"]]
        [0.525, 0.1]

    """

    layout: Layout | None = None
    verifier: Any = None
    prior: float = WRONG_SHARE
    version: str = "1"  # raise it whenever the same input can give another number

    def __post_init__(self) -> None:
        check_given(self.layout)
        check_number("prior", self.prior, above=0, below=1)
        Grading(self.verifier)

    @property
    def reads(self) -> tuple[Column, ...]:
        """Replies and rewards with the image; with a layout whatever that names, too, which it checks itself."""
        return () if self.layout else _READ

    @property
    def writes(self) -> tuple[Column, ...]:
        """`rap_gold_doubt`."""
        return (GOLD_DOUBT,)

    @property
    def features(self) -> datasets.Features:
        """The types of `writes`."""
        return features_of(self.writes)

    @batched
    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """The new column of a batch."""
        return typed({GOLD_DOUBT: [self.doubt(agreement) for agreement in self.agreements(batch)]})

    def agreements(self, batch: Mapping[str, Any]) -> Iterator[Agreement]:
        """What the attempts of each row of a batch say."""
        rows, grading = Batch("GoldDoubtScore", batch), Grading(self.verifier)
        require(rows.reader, rows, _READ)
        arms = [ARM_COLUMNS[arm] for arm in ARMS]
        counts_in(rows, *(of_arm.rewards for of_arm in arms if of_arm.rewards.name in rows))  # checks each reward
        names = [column.name for of_arm in arms for column in (of_arm.responses, of_arm.rewards, of_arm.truncated)]
        cells = {name: rows.arrow(name).to_pylist() for name in (*names, ERROR.name, SETTINGS.name) if name in rows}
        raws: Sequence[Any] = raw_rows(batch, self.layout) if self.layout else [None] * rows.row_count
        for place, raw in enumerate(raws):
            row = {name: values[place] for name, values in cells.items()}
            attempts = [
                attempt for number, of_arm in enumerate(arms) for attempt in _attempts(row, number, of_arm, place)
            ]
            if code_of(row.get(ERROR.name)) == "no_image":
                attempts = [attempt._replace(arm=0) for attempt in attempts]
            yield agreement_of(attempts, len(arms), grading, *self._question(raw))

    def _question(self, raw: Any) -> tuple[str, tuple[str, ...]]:
        """The text of a row and its options; nothing where it cannot be read."""
        try:
            text, _, options = question_and_answer(raw, self.layout) if self.layout else ("", None, ())
        except RowError:
            return "", ()
        return text, options

    def doubt(self, agreement: Agreement) -> float | None:
        """The score of a row; None where no attempt of its first arm counts."""
        if not agreement.judged[0]:
            return None
        most = agreement.others[0].counts if agreement.others else (0,) * len(agreement.judged)
        arms = list(zip(agreement.judged, agreement.gold, most, strict=True))
        odds = log(self.prior / (1 - self.prior)) + _log_other(*arms[0]) - _log_gold(*arms[0])
        for arm in arms[1:]:
            blind = _log_blind(*arm)
            odds += _log_half(_log_other(*arm), blind) - _log_half(_log_gold(*arm), blind)
        return 1 / (1 + exp(-odds)) if odds > 0 else exp(odds) / (1 + exp(odds))


def _log_gold(judged: int, gold: int, other: int) -> float:
    """Logarithm of the chance of the attempts of an arm where the gold is true."""
    return _log_rate(gold, judged, _TRUE) + _log_rate(other, judged - gold, _COMMON_MISS)


def _log_other(judged: int, gold: int, other: int) -> float:
    """The same where the other answer is."""
    return _log_rate(other, judged, _TRUE) + _log_rate(gold, judged - other, _GIVEN_MISS)


def _log_blind(judged: int, gold: int, other: int) -> float:
    """The same where the attempts know nothing, whichever answer is true: both answers are favourite misses."""
    return _log_rate(other, judged, _COMMON_MISS) + _log_rate(gold, judged - other, _COMMON_MISS)


def _log_half(one: float, other: float) -> float:
    """Logarithm of the mean of two chances."""
    most = max(one, other)
    return most + log((exp(one - most) + exp(other - most)) / 2)


def _attempts(row: Mapping[str, Any], arm: int, columns: ArmColumns, place: int) -> list[Attempt]:
    """The attempts of an arm that count: judged, and not cut off."""
    texts, rewards, cut = (
        row.get(column.name) or [] for column in (columns.responses, columns.rewards, columns.truncated)
    )
    if texts and len(texts) != len(rewards):
        raise LayoutError(
            f"Row {place} of the batch has {len(texts)} replies in {columns.responses.name} and {len(rewards)} grades in "
            f"{columns.rewards.name}: each reply needs its own."
        )
    correct = correct_of(row.get(SETTINGS.name))
    return [
        Attempt(arm, text, reward >= correct)
        for text, reward, cut_off in zip_longest(texts, rewards[: len(texts)], cut[: len(texts)])
        if text is not None and reward is not None and not cut_off
    ]


def _log_rate(hits: int, attempts: int, beta: tuple[float, float]) -> float:
    """Logarithm of B(hits of attempts; a, b): the chance of these attempts, in their order, at a rate that has this distribution."""
    a, b = beta
    return _log_beta(hits + a, attempts - hits + b) - _log_beta(a, b)


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)


gold_doubt_score = GoldDoubtScore()
"""`GoldDoubtScore` with its defaults, how likely golds are wrong: `ds.map(gold_doubt_score, batched=True)`.

Args:
    batch (dict[str, list]): rows with rap_image_responses and rap_image_rewards, and those of the text where they are there, as `Dataset.map` hands them over.

Returns:
    columns (dict[str, list]): rap_gold_doubt, a value per row; null is unknown.

Examples:
    >>> agreed = {"rap_image_responses": [[r"\\boxed{7}"] * 5], "rap_image_rewards": [[0, 0, 0, 0, 0]]}
    >>> round(gold_doubt_score(agreed)["rap_gold_doubt"][0], 3)
    0.525

"""
