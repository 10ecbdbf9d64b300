"""What every selection method takes and gives, and the selection itself."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from hf_rap.columns import DECISIONS, KEEP, OTHER_SCORES, REASON, SCORES, features_of
from hf_rap.errors import SettingError
from hf_rap.papers import PAPER
from hf_rap.stats.arrays import arrow_columns, numbers_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from hf_rap.stats.counts import Counts
    from hf_rap.stats.thresholds import Quantile

AUTO = "auto"  # of max_ace: the usual limit for the form of the score

KEPT_REASONS = {
    "image_needed": "the image raises the chance of being right by more than min_cde",
    "image_probably_needed": "the true cde is above min_cde with at least min_probability",
    "hard_replacement": "hard: took the place of a row that is always solved",
    "filled_to_budget": "next in line by cde, to reach the budget",
    "top": "among the best of its source by the score that was ranked",
    "moderate": "pass rate with the image inside the band",
    "probably_moderate": "the true pass rate with the image is inside the band with at least min_probability",
    "stage_one": "moderate: for the first stage of training",
    "stage_two": "medium to hard: for the second stage of training",
    "core": "released rule: similar enough, helped by the image, not easy",
    "one_right_sampled": "released rule: one attempt is right, and drawn with the tenth of such rows",
    "drawn": "drawn at random",
    "learning_impact": "limr of at least min_limr",
    "hardest": "among the rows of highest difficulty",
    "longest_response": "among the rows with the longest replies",
}
# A row without a score is dropped with the code from its `rap_error` (hf_rap.columns.ERROR_CODES).
DROPPED_REASONS = {
    "not_scored": "cde is null and rap_error does not say why",
    "stopped_early": "out whatever the attempts that were spared would have said; they would tell whether the image is needed",
    "image_not_needed": "the image does not raise the chance of being right by more than min_cde",
    "not_sure_enough": "the score passes, but so few attempts do not say so with min_probability",
    "attention_unknown": "the image is needed, but ace is null",
    "attention_biased": "the image is needed, but one token draws too much attention: ace above max_ace",
    "always_solved": "the image is needed, but every judged attempt with it is correct",
    "over_budget": "would be kept, but the budget has no room",
    "below_quota": "others of its source rank before it and fill the quota",
    "question_full": "as many rows of its question as are allowed rank before it",
    "duplicate": "the same rollout as an earlier row",
    "too_easy": "pass rate with the image above the band",
    "too_hard": "pass rate with the image below the band",
    "other_stage": "inside the band, but in the other stage or not among the rows that were asked for",
    "not_five_judged": "released rule: an arm has other than five judged attempts",
    "not_core": "released rule: neither core nor in the pool of rows with one right attempt",
    "not_sampled": "released rule: in the pool, but not drawn",
    "not_drawn": "not drawn at random",
    "low_learning_impact": "limr below min_limr",
    "not_hardest": "other rows have a higher difficulty",
    "not_longest": "other rows have longer replies",
}


class Step(NamedTuple):
    """How many rows are in after one step of the selection."""

    name: str
    rows: int


@dataclass(frozen=True)
class Settings:
    """The options of `select_cognitive`, as a method gets them; the defaults of `min_cde` and `max_ace` are published."""

    min_cde: float | Quantile | str = PAPER.min_cde
    max_ace: float | Quantile | str | None = AUTO
    replace_easy: bool = True
    min_replacement_cde: float | None = None
    budget: float | None = None
    stratify_by: str | None = None
    seed: int = 0
    min_probability: float | None = None

    def refuse_others(self, method: str, used: tuple[str, ...]) -> None:
        """Raise `SettingError` for an option that was changed and that this method would not look at.

        A seed is always welcome: `hf-rap run` has one for sampling and selection.
        """
        for field in fields(self):
            asked = getattr(self, field.name)
            if field.name not in (*used, "seed") and asked != field.default:
                takes = ", ".join(used) or "no options"
                raise SettingError(f"{field.name}={asked!r} means nothing to method {method!r}: it takes {takes}.")


# Counts with the image and of the question alone, of all rows -> which rows are kept, (n_rows,).
DecideAgain: TypeAlias = "Callable[[Counts, Counts], NDArray[np.bool_]]"


class Decision(NamedTuple):
    """What a method decides for the rows (n_rows,), and how it came to it."""

    keep: NDArray[np.bool_]
    reason: NDArray[np.object_]
    funnel: tuple[Step, ...]
    rule: dict[str, Any]


def check_dataset(reader: str, ds: Any) -> None:
    """Raise `SettingError` for anything but a `Dataset` with rows."""
    import datasets

    if not isinstance(ds, datasets.Dataset):
        raise SettingError(f"{reader} compares all rows, so it takes a Dataset, not {type(ds).__name__}.")
    if len(ds) == 0:
        raise SettingError(f"{reader} got a dataset without rows.")


def make_selection(ds: Any, method: str, decision: Decision) -> Selection:
    """The dataset with its decisions; those of an earlier selection are replaced, scores of single precision read."""
    import pyarrow as pa

    scored = scores_in_double(
        ds.remove_columns([column.name for column in DECISIONS if column.name in ds.column_names])
    )
    columns = {KEEP.name: decision.keep, REASON.name: decision.reason}
    for name, feature in features_of(DECISIONS).items():
        scored = scored.add_column(name, pa.array(columns[name]), feature=feature)
    return Selection(scored, {"method": method, **decision.rule}, decision.funnel)


def scores_in_double(ds: Any) -> Any:
    """The dataset with the scores that earlier releases wrote as the numbers that they are read as, in their places."""
    import pyarrow as pa

    old = [
        (name, feature)
        for name, feature in features_of((*SCORES, *OTHER_SCORES)).items()
        if name in ds.column_names and getattr(ds.features[name], "dtype", None) == "float32"
    ]
    order = ds.column_names
    for name, feature in old:
        numbers = pa.array(numbers_of(arrow_columns(ds, [name])[name]), from_pandas=True)
        # Added before the old column goes: a dataset without columns has no rows.
        added = ds.add_column(f"{name}_in_double", numbers, feature=feature)
        ds = added.remove_columns(name).rename_column(f"{name}_in_double", name)
    return ds.select_columns(order) if old else ds


@dataclass(frozen=True, eq=False, repr=False)
class Selection:
    """A dataset with a decision for every row.

    Attributes:
        scored: all rows in their order, with `rap_keep` and `rap_reason`.
        rule: what decided, ready for JSON: the method and its options, thresholds and budget as
            the numbers that were used, and under "asked" these as they were asked for.
        funnel: rows that are in after each step; the first counts all rows, the last the selected.

    """

    scored: Any
    rule: dict[str, Any]
    funnel: tuple[Step, ...]

    @cached_property
    def kept_rows(self) -> NDArray[np.int64]:
        """The positions of the rows that are kept, in their order."""
        return self._keep.nonzero()[0]

    @cached_property
    def selected(self) -> Any:
        """The rows that are kept, in their order."""
        return self.scored.select(self.kept_rows)

    @cached_property
    def rejected(self) -> Any:
        """The rows that are not kept, in their order."""
        return self.scored.select((~self._keep).nonzero()[0])

    @cached_property
    def reasons(self) -> dict[str, int]:
        """How many rows have which reason, the most frequent first."""
        counts = self.scored.data.column(REASON.name).value_counts().to_pylist()
        return {count["values"]: count["counts"] for count in sorted(counts, key=lambda c: (-c["counts"], c["values"]))}

    @cached_property
    def _keep(self) -> NDArray[np.bool_]:
        keep: NDArray[np.bool_] = self.scored.data.column(KEEP.name).to_numpy()
        return keep

    def __repr__(self) -> str:
        kept = {reason: count for reason, count in self.reasons.items() if reason in KEPT_REASONS}
        dropped = {reason: count for reason, count in self.reasons.items() if reason not in KEPT_REASONS}
        blocks = {"step": dict(self.funnel), "kept": kept, "dropped": dropped}
        rows = [(title, name, f"{count:,}") for title, counts in blocks.items() for name, count in counts.items()]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = [f"  {title:<{widths[0]}}  {name:<{widths[1]}}  {count:>{widths[2]}}" for title, name, count in rows]
        return "\n".join([f"Selection: {self.funnel[-1].rows:,} of {self.funnel[0].rows:,} rows", *lines])
