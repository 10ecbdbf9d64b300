"""What a person has said of single rows goes before the rule, whatever the method.

The rule decides first, on all rows, as if there were no marks; then each mark changes its own row and no other. So a
budget, a quantile, a share of the replacements and the prior of probabilities are those of the rule, and the selection has as
many rows more or less as the marks say.

A version needs no column for its marks: the reasons `by_hand` (with `rap_keep`) and `wrong_gold` are given by marks alone, and
`marks_in` reads them there.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from hf_rap.columns import DECISIONS, ERROR, ID, KEEP, REASON, require
from hf_rap.errors import SettingError
from hf_rap.options import is_whole, shown
from hf_rap.stats.arrays import arrow_columns
from hf_rap.tables import whole_dataset

from .base import DecideAgain, Decision, Step
from .duplicates import DUPLICATE, stands_earlier
from .mark_files import MARK, marks_given, marks_in_table

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

    from hf_rap.stats.counts import Counts

    from .mark_files import Given

BY_HAND, WRONG_GOLD = "by_hand", "wrong_gold"
KEPT, DROPPED = "keep", "drop"
MARKS = (KEPT, DROPPED, WRONG_GOLD)
MEANINGS = {
    BY_HAND: "a person has looked at the row and marked it: keep, or drop",
    WRONG_GOLD: "a person has looked at the row, and its gold answer is wrong",
}
_STEPS = {
    "by_rule": "are selected by the rule, before a person's marks",
    "not_dropped_by_hand": "are not marked drop or wrong_gold",
    BY_HAND: "marked keep, though the rule drops them",
}
_MEANS = "marks of a person that went before the rule: rows of each, and a hash of the marks"
_NO_MARK = -1
_SHOWN = 3  # ids and places in an error


@dataclass(frozen=True)
class Marks:
    """One of MARKS for some rows, by `rap_id`."""

    by_id: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.by_id)

    def __str__(self) -> str:
        return f"{len(self.by_id):,} marks, {self.digest}"

    @cached_property
    def digest(self) -> str:
        """Changes with every mark; their order does not matter."""
        lines = sorted(f"{len(name)}:{name}:{mark}" for name, mark in self.by_id.items())
        return blake2b("\n".join(lines).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()

    def without_keep(self, ds: Any, rows: NDArray[np.bool_]) -> Marks:
        """The same without those that keep one of these rows."""
        if not self:
            return self
        marked = _places(ds, self)[rows].tolist()
        names = list(self.by_id)
        gone = {names[place] for place in marked if place != _NO_MARK and self.by_id[names[place]] == KEPT}
        return Marks({name: mark for name, mark in self.by_id.items() if name not in gone})


def read_marks(overrides: Any) -> Marks:
    """The marks that were given; none for None.

    An entry without a mark (null, NaN, or empty) is no mark: a file may have all rows. Words are read in any case, with a
    space or a dash for the underscore.

    Args:
        overrides: a file (.csv, .tsv, .json, .jsonl, .parquet), a mapping {rap_id: mark}, dictionaries with
            `rap_id` and `mark`, a `Dataset` with these columns, or an earlier `Selection` (or its rows), whose marks
            are taken.

    Raises:
        SourceError: the file cannot be read.
        SettingError: an id or a mark is none, or a row has two marks.

    """
    if overrides is None:
        return Marks()
    if isinstance(overrides, Marks):
        return overrides
    if not hasattr(overrides, "column_names") and not hasattr(overrides, "scored"):
        return _checked(marks_given(overrides))
    ds = whole_dataset("overrides", overrides, selection=True)
    if MARK not in ds.column_names and {ID.name, REASON.name} <= set(ds.column_names):
        return marks_in(ds)
    return _checked(marks_in_table("overrides", ds.with_format("arrow")[:]))


def marks_for(ds: Any, overrides: Any) -> Marks:
    """The marks that were given for the rows of `ds`; raises as `read_marks`.

    Raises:
        SettingError: none of them is about one of these rows.
        MissingColumnError: the rows have no `rap_id`.

    """
    marks = read_marks(overrides)
    if marks and (_places(ds, marks) == _NO_MARK).all():
        about, row = next(iter(marks.by_id)), arrow_columns(ds, [ID.name])[ID.name][0].as_py()
        raise SettingError(
            f"None of the {len(marks.by_id):,} marks in overrides is about one of these {len(ds):,} rows: the first mark is about "
            f"{shown(about)}, and the first row is {shown(row)}. Give the marks of this dataset; a spreadsheet may have "
            "changed its ids (0007 becomes 7)."
        )
    return marks


def marks_in(ds: Any) -> Marks:
    """The marks that the rows of a selection were decided by, from their reasons."""
    require("overrides", ds.column_names, (ID, *DECISIONS))
    columns = arrow_columns(ds, [ID.name, KEEP.name, REASON.name])
    ids, keep, reason = (columns[name].to_pylist() for name in (ID.name, KEEP.name, REASON.name))
    marks = {}
    for name, kept, why in zip(ids, keep, reason, strict=True):
        if why in MEANINGS and name is not None:
            marks[name] = WRONG_GOLD if why == WRONG_GOLD else KEPT if kept else DROPPED
    return Marks(marks)


def marks_of_rule(ds: Any, rule: Mapping[str, Any]) -> Marks:
    """The marks of the selection that `rule` is of, from its rows; none where it had none."""
    return marks_in(ds) if _is_record(rule.get(BY_HAND)) else Marks()


def _is_record(value: Any) -> bool:
    return isinstance(value, Mapping) and "digest" in value


def _checked(entries: Iterable[Given]) -> Marks:
    marks: dict[str, str] = {}
    places: dict[str, str] = {}
    for where, name, word in entries:
        mark = _mark(where, word)
        if mark is None:
            continue
        row_id = _id(where, name)
        if marks.setdefault(row_id, mark) != mark:
            raise SettingError(
                f"The row {shown(row_id)} has two marks: {marks[row_id]} ({places[row_id]}) and {mark} ({where}). Leave one of them."
            )
        places.setdefault(row_id, where)
    return Marks(marks)


def _mark(where: str, word: Any) -> str | None:
    if word is None or (isinstance(word, float) and math.isnan(word)):  # an empty cell of pandas
        return None
    mark = "_".join(word.lower().replace("-", " ").replace("_", " ").split()) if isinstance(word, str) else word
    if mark == "":
        return None
    if not isinstance(mark, str) or mark not in MARKS:
        raise SettingError(f"{where}: the mark is {shown(word)}, and marks are {', '.join(MARKS)}.")
    return mark


def _id(where: str, name: Any) -> str:
    if is_whole(name):
        return str(name)
    if not isinstance(name, str) or not name:
        raise SettingError(f"{where}: the rap_id is {shown(name)}, and a mark needs the rap_id of its row, a text.")
    return name


def _places(ds: Any, marks: Marks) -> NDArray[np.int64]:
    """Which of the marks is about each row, -1 for none; shape (n_rows,). All rows with an id have its mark."""
    import pyarrow as pa
    import pyarrow.compute as pc

    require("overrides", ds.column_names, (ID,))
    ids = arrow_columns(ds, [ID.name])[ID.name].cast(pa.string())
    places: NDArray[np.int64] = (
        pc.index_in(ids, value_set=pa.array(list(marks.by_id), pa.string()))
        .fill_null(_NO_MARK)
        .to_numpy(zero_copy_only=False)
    )
    return places


def _words(places: NDArray[np.int64], marks: Marks) -> NDArray[np.int64]:
    """The place in MARKS of the mark of each row, -1 for none."""
    import numpy as np

    words = np.array([MARKS.index(mark) for mark in marks.by_id.values()], dtype=np.int64)
    return np.where(places == _NO_MARK, _NO_MARK, words[places])


def override(name: str, ds: Any, decision: Decision, marks: Marks) -> Decision:
    """The decision after the marks.

    A row that stands in the dataset a second time stays the duplicate that it is.

    Args:
        name: of the method.
        ds: the rows.
        decision: about them.
        marks: at least one.

    Raises:
        SettingError: the method has a reason that only marks give.

    """
    import numpy as np

    places = _places(ds, marks)
    there = np.unique(places[places != _NO_MARK])
    if not there.size:
        return decision
    taken = sorted({BY_HAND, WRONG_GOLD} & set(decision.reason.tolist()))
    if taken:
        raise SettingError(
            f"Method {name!r} gives the reason {taken[0]!r}, which means a person's mark: call it otherwise."
        )
    marked = _words(places, marks)
    marked[stands_earlier(ds) & (decision.reason == DUPLICATE)] = _NO_MARK
    keep, reason = decision.keep.copy(), decision.reason.astype(object)
    is_kept, is_wrong = (marked == MARKS.index(word) for word in (KEPT, WRONG_GOLD))
    out = (marked != _NO_MARK) & ~is_kept
    leave, enter = keep & out, is_kept & ~keep
    keep[out], keep[is_kept] = False, True
    reason[marked != _NO_MARK], reason[is_wrong] = BY_HAND, WRONG_GOLD
    names = list(marks.by_id.items())
    used = Marks(dict(names[place] for place in there.tolist()))
    record = {word: int((marked == place).sum()) for place, word in enumerate(MARKS)}
    rule = {**decision.rule, BY_HAND: {**record, "digest": used.digest}}
    remarks = (_remark(decision, leave, enter), *_on_errors(ds, is_kept), *_on_others(marks, used))
    return Decision(keep, reason, _funnel(decision, leave, enter), rule, (*decision.remarks, *remarks))


def refuse_unplaced(ds: Any, marks: Marks, stages: NDArray[np.bool_]) -> None:
    """Raise `SettingError` for a row that is marked keep and is in none of the stages; `stages` are the rows that are, (n_rows,)."""
    kept = Marks({name: mark for name, mark in marks.by_id.items() if mark == KEPT})
    places = _places(ds, kept)[~stages] if kept else ()
    unplaced = sorted({int(place) for place in places} - {_NO_MARK})
    if unplaced:
        raise SettingError(
            f"{len(unplaced):,} rows are marked keep and are in neither stage, the first is {shown(list(kept.by_id)[unplaced[0]])}: "
            "the mark does not say in which. Leave it out, or move low, high and middle."
        )


def override_again(decide: DecideAgain, ds: Any, marks: Marks) -> DecideAgain:
    """A rule for other counts of the same rows, with the marks, which other counts do not change."""
    marked = _words(_places(ds, marks), marks)
    marked[stands_earlier(ds)] = _NO_MARK

    def decide_again(image: Counts, text: Counts) -> NDArray[np.bool_]:
        keep: NDArray[np.bool_] = (decide(image, text) | (marked == MARKS.index(KEPT))) & (marked <= MARKS.index(KEPT))
        return keep

    return decide_again


def describe_marks(about: dict[str, Any]) -> dict[str, Any]:
    """What a method says of itself (`Method.describe`), with what marks add."""
    return {
        **about,
        "reasons": {**about["reasons"], **MEANINGS},
        "steps": {**about["steps"], **_STEPS},
        "meanings": {**about["meanings"], BY_HAND: _MEANS},
    }


def _funnel(decision: Decision, leave: NDArray[np.bool_], enter: NDArray[np.bool_]) -> tuple[Step, ...]:
    """The steps of the rule, and those by hand; the last counts the selected, as always."""
    *steps, last = decision.funnel
    out, entered = int(leave.sum()), int(enter.sum())
    rows = last.rows - out
    by_rule = [*steps, Step("by_rule", last.rows, last.came_in)]
    late = min(last.came_in, rows)
    if out:
        by_rule.append(Step("not_dropped_by_hand", rows, late))
    if entered:
        by_rule.append(Step(BY_HAND, rows + entered, late + entered))
    return (*by_rule, Step("selected", rows + entered, late + entered))


def _remark(decision: Decision, leave: NDArray[np.bool_], enter: NDArray[np.bool_]) -> str:
    by_rule, out, entered = (int(rows.sum()) for rows in (decision.keep, leave, enter))
    asked = decision.rule.get("budget") or decision.rule.get("count")
    budget = "; the budget is that of the rule alone" if asked is not None and out != entered else ""
    above = " The remarks above are about the rule alone." if decision.remarks else ""
    return (
        f"By hand {out:,} of the {by_rule:,} rows that the rule keeps are dropped, and {entered:,} that it drops are kept"
        f"{budget}.{above}"
    )


def _on_errors(ds: Any, kept: NDArray[np.bool_]) -> list[str]:
    """That rows are kept of which something cannot be read."""
    import numpy as np

    if ERROR.name not in ds.column_names:
        return []
    errors = arrow_columns(ds, [ERROR.name])[ERROR.name].to_pylist()
    codes = Counter(str(errors[row]).partition(":")[0] for row in np.flatnonzero(kept) if errors[row] is not None)
    if not codes:
        return []
    words = ", ".join(f"{code}: {count:,}" for code, count in codes.most_common(_SHOWN))
    return [f"{codes.total():,} of the rows that are kept by hand have an error ({words}); a trainer may refuse them."]


def _on_others(marks: Marks, used: Marks) -> list[str]:
    """That marks are about rows that are not there: of an earlier version, or a mistake."""
    others = [name for name in marks.by_id if name not in used.by_id]
    if not others:
        return []
    first = ", ".join(shown(name) for name in others[:_SHOWN])
    count = f"{len(others):,} of the {len(marks.by_id):,} marks"
    return [f"{count} are about rows that are not in this dataset, such as {first}: they change nothing."]
