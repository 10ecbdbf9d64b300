"""How much of a selection a fresh scoring by the same model would keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hf_rap.errors import RapError, SettingError
from hf_rap.options import check, check_whole, is_whole
from hf_rap.stats.counts import Counts, read_counts
from hf_rap.stats.posterior import Posterior, fit_prior, rates_of
from hf_rap.tables.notebook import bar, brief, html_page, html_table

from .again import decide_again
from .base import Selection, rows_to_select
from .held_out import HeldOut, held_out
from .methods import find_method
from .stopped import stopping_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


# The numbers of attempts that are looked at unless others are asked for.
ATTEMPTS = (5, 8, 16, 32)
# Draws are shared out so that about as many rows are decided in all; the mean over many rows needs few.
ROWS_IN_ALL = 400_000
MIN_DRAWS, MAX_DRAWS = 4, 40
# From this share of rows with the same number of attempts on, that number stands for the dataset.
USUAL = 0.9


@dataclass(frozen=True)
class Point:
    """The expected Jaccard overlap of two scorings with so many attempts per arm; None where both keep nothing."""

    attempts: int
    jaccard: float | None


@dataclass(frozen=True, repr=False)
class Stability:
    """What `stability` found.

    Attributes:
        jaccard: expected overlap of the selections of two scorings of these rows with as many attempts as they have:
            rows in both by rows in either, in [0, 1].
        lowest: of the draws, each of which is one such pair.
        highest: of the draws.
        kept_again: share of the rows of this selection that a fresh scoring is expected to keep.
        kept: rows of this selection.
        attempts: attempts per row and arm that were judged, where nearly all rows have the same; else None.
        draws: how many pairs of scorings were simulated.
        curve: the same overlap for other numbers of attempts.
        note: where the dataset was too small to fit a prior: what was used instead.
        held_out: with `probe_prior`, where both scorings start from the same foretelling and may share its bias: how the rows that
            half of the attempts keep fare by the other half.

    """

    jaccard: float
    lowest: float
    highest: float
    kept_again: float
    kept: int
    attempts: int | None
    draws: int
    curve: tuple[Point, ...]
    note: str | None
    held_out: HeldOut | None = None

    def as_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        values = asdict(self)
        return values if self.held_out else {name: value for name, value in values.items() if name != "held_out"}

    def _sentences(self) -> list[str]:
        drawn = f"{self.lowest:.1%} to {self.highest:.1%} in {self.draws:,} simulated pairs"
        return [
            f"two scorings agree by {self.jaccard:.1%} (Jaccard), {drawn}",
            f"{self.kept_again:.1%} of the {self.kept:,} kept rows are kept again",
            *([self.note] if self.note else []),
            *([sentence_of(asdict(self.held_out))] if self.held_out else []),
        ]

    def __repr__(self) -> str:
        curve = [
            f"{point.attempts}: {'unknown' if point.jaccard is None else f'{point.jaccard:.1%}'}"
            for point in self.curve
        ]
        lines = [*self._sentences(), *([f"with other attempts per arm {', '.join(curve)}"] if curve else [])]
        return brief("\n".join(["Stability", *(f"  {line}" for line in lines)]), "stability.as_dict()")

    def _repr_html_(self) -> str:
        points = [
            (
                point.attempts,
                *(("unknown", "") if point.jaccard is None else (f"{point.jaccard:.1%}", bar(point.jaccard))),
            )
            for point in self.curve
        ]
        return html_page("Stability", *self._sentences(), html_table(points, ("attempts per arm", "agreement", "")))


def stability(
    ds: Any,
    rule: Mapping[str, Any] | Selection | None = None,
    *,
    attempts: Sequence[int] = ATTEMPTS,
    draws: int | None = None,
    seed: int = 0,
) -> Stability:
    """How far this selection and that of a fresh scoring by the same model are expected to agree.

    1. The posterior of each row's pass rates (p1, p0) follows from its attempts and the prior of the dataset
       (`hf_rap.stats.posterior`).
    2. A draw: (p1, p0) of every row from its posterior, then as many fresh attempts as the row has from these.
    3. The whole rule decides on the fresh counts: replacement, attention, budget, strata, quantiles, probabilities.
    4. The overlap of two such decisions from the same (p1, p0), the mean over all draws. Comparing what is kept now
       with one such decision says nearly the same: 0.01 more with replacement, further from what reruns give.

    The curve says the same of other numbers of attempts.

    What is not counted: `rap_ace` stays as it is, though a fresh scoring would measure attention anew, so with
    `max_ace` the estimate is high. Attempts that were not judged stay not judged.

    Args:
        ds: a `Dataset` with `rap_image_rewards` and `rap_text_rewards`; scores are computed from these. Also read,
            where they are there: `rap_id`, `rap_error`, `rap_ace` and what the rule names.
            A `Selection` is its rows and its rule.
        rule: options of `select_cognitive` by name, for example {"min_cde": 0.5}, a `Selection`, or its `rule`; None takes
            that of `ds`. Methods "rap", "rap-released", "difficulty" and "hardest".
        attempts: per arm, for the curve; "rap-released" knows five alone.
        draws: how many; None takes 40, and fewer for more than 10,000 rows.
        seed: of the draws.

    Raises:
        SettingError: the rule keeps nothing, is out of its range, does not decide by rewards, or asks for a budget that
            a draw has not enough rows for.
        MissingColumnError: a column is absent.
        LayoutError: a reward is NaN or outside [0, 1].

    Examples:
        >>> from datasets import Dataset
        >>> rewards = {"rap_image_rewards": [[1.0] * 5, [0.0] * 5] * 50, "rap_text_rewards": [[0.0] * 5] * 100}
        >>> found = stability(Dataset.from_dict(rewards), {"replace_easy": False})
        >>> found.kept, round(found.jaccard, 2)
        (50, 1.0)

    """
    import numpy as np

    if rule is None or isinstance(rule, Selection):
        rule = getattr(ds if rule is None else rule, "rule", None)
    check(isinstance(rule, Mapping), "rule", rule, "options of select_cognitive by name, or a Selection")
    assert rule is not None
    fine = isinstance(attempts, Sequence) and all(is_whole(count) and count >= 1 for count in attempts)
    check(fine, "attempts", attempts, "whole numbers of 1 or more, such as (5, 8, 16, 32)")
    check_whole("draws", draws, least=1, none=True)
    check_whole("seed", seed, least=0)
    ds = rows_to_select("stability", ds)
    image, text = read_counts("stability", ds, rule.get("control", "text"))
    again = decide_again(ds, rule)
    now = again(image, text)
    kept = int(np.count_nonzero(now))
    if not kept:
        raise SettingError("stability: no row is kept, so there is nothing to agree on.")
    draws = draws or int(np.clip(ROWS_IN_ALL // len(ds), MIN_DRAWS, MAX_DRAWS))
    by_probe = bool(rule.get("probe_prior"))
    prior = fit_prior(ds, control=rule.get("control", "text"), probe=by_probe or None)
    posterior = Posterior(prior, image, text, rates_of("stability", ds) if by_probe else None)
    usual = _usual(image, text)
    numbers = sorted({int(number) for number in attempts} - {usual})
    alone = find_method(rule.get("method", "rap")).attempts
    if alone is not None:
        numbers = [number for number in numbers if number == alone]
    random = np.random.default_rng(seed)
    alike: dict[int | None, tuple[NDArray[np.int64], ...]] = {
        count: tuple(np.where(arm.judged > 0, count, 0) for arm in (image, text)) for count in numbers
    }
    alike[usual] = (image.judged, text.judged)
    overlaps: dict[int | None, list[float]] = {count: [] for count in alike}
    back = 0
    for _ in range(draws):
        rates = [np.nan_to_num(arm) for arm in posterior.draw(random)]
        for count, judged in alike.items():
            first, second = (again(*answer(rates, judged, random)) for _ in range(2))
            overlaps[count].append(_jaccard(first, second))
            if count == usual:
                back += int(np.count_nonzero(now & first))
    here = [overlap for overlap in overlaps[usual] if not np.isnan(overlap)]
    if not here:
        raise SettingError("stability: fresh attempts keep no row, so there is nothing to agree on.")
    return Stability(
        jaccard=round(float(np.mean(here)), 6),
        lowest=round(min(here), 6),
        highest=round(max(here), 6),
        kept_again=round(back / (draws * kept), 6),
        kept=kept,
        attempts=usual,
        draws=draws,
        curve=tuple(
            Point(count, _mean(overlaps[count])) for count in sorted(count for count in alike if count is not None)
        ),
        note=prior.note,
        held_out=held_out(ds, rule) if by_probe else None,
    )


def sentence_of(held_out: Mapping[str, Any]) -> str:
    """Precision and recall against held-out attempts, for people."""
    precision, recall = (
        "unknown" if value is None else f"{value:.1%}" for value in (held_out["precision"], held_out["recall"])
    )
    return f"of {held_out['rows']:,} rows that half of the attempts decide, by the other half: precision {precision}, recall {recall}"


def describe_stability(selection: Selection) -> dict[str, Any]:
    """`stability` of a selection as facts; or {"unknown": why}, where nothing can be said."""
    import numpy as np

    scored, rule = selection.scored, selection.rule
    adaptive = stopping_of(scored)
    if adaptive is not None:
        agreement = adaptive.get("agreement_expected")
        expected = "" if agreement is None else f"; the collection itself expected {agreement:.1%}"
        return {"unknown": f"attempts were spared, which a fresh scoring with all attempts would not{expected}"}
    try:
        again = decide_again(scored, rule)(*read_counts("stability", scored, rule.get("control", "text")))
        if not np.array_equal(np.flatnonzero(again), selection.kept_rows):
            return {"unknown": "the rule and the rewards of these rows give another selection"}
        return stability(scored, rule).as_dict()
    except RapError as error:
        return {"unknown": str(error)}


def _usual(image: Counts, text: Counts) -> int | None:
    """The number of judged attempts that nearly all rows have in both arms, of the rows that were judged."""
    import numpy as np

    both = (image.judged > 0) & (text.judged > 0)
    if not both.any():
        return None
    usual = int(np.bincount(image.judged[both]).argmax())
    same = (image.judged[both] == usual) & (text.judged[both] == usual)
    return usual if np.mean(same) >= USUAL else None


def answer(
    rates: Sequence[NDArray[np.float64]], judged: Sequence[NDArray[np.int64]], random: np.random.Generator
) -> tuple[Counts, Counts]:
    """Counts of fresh attempts, as many as `judged`, at these pass rates."""
    import numpy as np

    image, text = (Counts(random.binomial(n, p).astype(np.float64), n) for n, p in zip(judged, rates, strict=True))
    return image, text


def _jaccard(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Rows in both by rows in either; NaN where both are empty."""
    import numpy as np

    either = int(np.count_nonzero(first | second))
    return int(np.count_nonzero(first & second)) / either if either else float("nan")


def _mean(values: Sequence[float]) -> float | None:
    """Of those that are known."""
    import numpy as np

    return None if np.isnan(values).all() else round(float(np.nanmean(values)), 6)
