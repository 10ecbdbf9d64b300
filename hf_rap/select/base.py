"""What every selection method takes and gives, and the selection itself."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from hf_rap.columns import ERROR_CODES, KEEP, OTHER_SCORES, REASON, SCORES, features_of
from hf_rap.errors import SettingError
from hf_rap.options import check_choice, check_flags, check_number, check_text, check_whole
from hf_rap.papers import PAPER
from hf_rap.rows.compat import with_columns
from hf_rap.stats.arrays import arrow_columns, numbers_of
from hf_rap.stats.thresholds import AS_MANY, MIN_REPLACEMENT_CDE, check_replacements, check_share, threshold
from hf_rap.tables import whole_dataset
from hf_rap.tables.notebook import brief

from .arrays import check_budget
from .notebook import selection_html

if TYPE_CHECKING:
    from collections.abc import Callable

    import datasets
    import numpy as np
    from numpy.typing import NDArray

    from hf_rap.stats.counts import Counts
    from hf_rap.stats.thresholds import Quantile

DROP, BAND = TEXT_ROWS = ("drop", "band")  # what becomes of rows without an image
AUTO = "auto"  # of max_ace: the usual limit for the form of the score


class Step(NamedTuple):
    """How many rows are in after one step of the selection.

    came_in: so many of them had been dropped by an earlier step and came in later. Without them a funnel only falls.
    """

    name: str
    rows: int
    came_in: int = 0


@dataclass(frozen=True)
class Settings:
    """The options of `select_cognitive`, as a method gets them.

    The defaults of `min_cde` and `max_ace` are published; that of `min_replacement_cde` is ours.
    """

    min_cde: float | Quantile | str = PAPER.min_cde
    max_ace: float | Quantile | str | None = AUTO
    replace_easy: bool = True
    min_replacement_cde: float | None = MIN_REPLACEMENT_CDE
    replacements: float | str = AS_MANY
    budget: float | Mapping[str, int] | None = None
    stratify_by: str | None = None
    seed: int = 0
    min_probability: float | None = None
    probe_prior: bool = False
    text_rows: str = DROP

    def __post_init__(self) -> None:
        threshold("min_cde", self.min_cde, -1, 1)
        if self.max_ace is not None and self.max_ace != AUTO:
            threshold("max_ace", self.max_ace, 0, math.inf)
        check_flags(replace_easy=self.replace_easy, probe_prior=self.probe_prior)
        check_number("min_replacement_cde", self.min_replacement_cde, least=-1, most=1, none=True)
        check_replacements(self.replacements)
        check_budget(self.budget)
        check_text("stratify_by", self.stratify_by, none=True, empty=False)
        if isinstance(self.budget, Mapping) and self.stratify_by is None:
            raise SettingError("A budget with rows for each value says of which column: stratify_by='source'.")
        check_whole("seed", self.seed)
        check_share("min_probability", self.min_probability)
        if self.probe_prior and self.min_probability is None:
            raise SettingError("probe_prior is about probabilities: give min_probability, such as 0.5.")
        check_choice("text_rows", self.text_rows, TEXT_ROWS)

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Settings:
        """Those of the options that are settings, by name."""
        return cls(**{field.name: options[field.name] for field in fields(cls) if field.name in options})

    def refuse_others(self, method: str, used: tuple[str, ...], fixed: Mapping[str, Any]) -> None:
        """Raise `SettingError` for an option that was changed and that this method would not look at.

        A seed is always welcome: `hf-rap run` has one for sampling and selection. So is what is fixed for the method.
        """
        for field in fields(self):
            value = getattr(self, field.name)
            usual = (field.default, fixed.get(field.name, field.default))
            if field.name not in (*used, "seed") and value not in usual:
                takes = ", ".join(used) or "no options"
                raise SettingError(f"{field.name}={value!r} means nothing to method {method!r}: it takes {takes}.")


# Counts with the image and of the question alone, of all rows -> which rows are kept, (n_rows,).
DecideAgain: TypeAlias = "Callable[[Counts, Counts], NDArray[np.bool_]]"


class Decision(NamedTuple):
    """What a method decides for the rows (n_rows,), how it came to it, and what readers should know."""

    keep: NDArray[np.bool_]
    reason: NDArray[np.object_]
    funnel: tuple[Step, ...]
    rule: dict[str, Any]
    remarks: tuple[str, ...] = ()


def rows_to_select(reader: str, ds: Any) -> datasets.Dataset:
    """The `Dataset` to select from, see `whole_dataset`: of an earlier selection all of its rows.

    Raises:
        SettingError: it is no dataset, or has no rows.

    """
    rows = whole_dataset(reader, ds, selection=True)
    if len(rows) == 0:
        raise SettingError(f"{reader} got a dataset without rows.")
    return rows


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
        added = with_columns(ds, {f"{name}_in_double": numbers}, type(ds.features)({f"{name}_in_double": feature}))
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
        method: what the method that decided says about itself, ready for JSON (`Method.describe`).
        remarks: what readers of the numbers should know: a threshold that changes nothing, another rule that keeps the same
            rows; a sentence each.

    """

    scored: datasets.Dataset
    rule: dict[str, Any]
    funnel: tuple[Step, ...]
    method: dict[str, Any]
    remarks: tuple[str, ...] = ()

    @cached_property
    def kept_rows(self) -> NDArray[np.int64]:
        """The positions of the rows that are kept, in their order."""
        return self._keep.nonzero()[0]

    @cached_property
    def selected(self) -> datasets.Dataset:
        """The rows that are kept, in their order."""
        return self.scored.select(self.kept_rows)

    @cached_property
    def rejected(self) -> datasets.Dataset:
        """The rows that are not kept, in their order."""
        return self.scored.select((~self._keep).nonzero()[0])

    @cached_property
    def reasons(self) -> dict[str, int]:
        """How many rows have which reason, the most frequent first."""
        counts = self._reason.value_counts().to_pylist()
        return {count["values"]: count["counts"] for count in sorted(counts, key=lambda c: (-c["counts"], c["values"]))}

    @cached_property
    def _keep(self) -> NDArray[np.bool_]:
        keep: NDArray[np.bool_] = arrow_columns(self.scored, [KEEP.name])[KEEP.name].to_numpy(zero_copy_only=False)
        return keep

    @cached_property
    def _reason(self) -> Any:
        return arrow_columns(self.scored, [REASON.name])[REASON.name]

    @property
    def _sides(self) -> dict[bool, dict[str, int]]:
        """Rows of each reason, of those that are kept and of the others, the most frequent first."""
        sides = {}
        for kept, flags in ((True, self._keep), (False, ~self._keep)):
            reasons = Counter(self._reason.filter(flags).to_pylist())
            sides[kept] = dict(sorted(reasons.items(), key=lambda count: (-count[1], count[0])))
        return sides

    def __repr__(self) -> str:
        return brief(str(self), "print(selection)")

    def _repr_html_(self) -> str:
        return selection_html(self, self._sides)

    def __str__(self) -> str:
        steps, meanings = self.method.get("steps", {}), {**ERROR_CODES, **self.method["reasons"]}
        rows = []
        before = 0
        for step in self.funnel:
            entered = step.came_in - before
            title, count = ("came in", f"+{entered:,}") if entered > 0 else ("step", f"{step.rows:,}")
            rows.append((title, step.name, count, steps.get(step.name, "")))
            before = step.came_in
        for kept, counts in self._sides.items():
            title = "kept" if kept else "dropped"
            rows += [(title, name, f"{count:,}", meanings.get(name, "")) for name, count in counts.items()]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = [
            f"  {title:<{widths[0]}}  {name:<{widths[1]}}  {count:>{widths[2]}}  {words}".rstrip()
            for title, name, count, words in rows
        ]
        remarks = [f"  {'remark':<{widths[0]}}  {remark}" for remark in self.remarks]
        return "\n".join([f"Selection: {self.funnel[-1].rows:,} of {self.funnel[0].rows:,} rows", *lines, *remarks])
