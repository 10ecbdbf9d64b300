"""Two decisions about the same rows -> what came in, what went out, and what changed with it."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_rap.columns import DIFFICULTY, ID, KEEP, REASON, SCORES, SETTINGS, require
from hf_rap.stats.arrays import numbered
from hf_rap.stats.settings import identity_in, model_in, settings_in

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

# Values of a group column beyond these are counted together.
MAX_GROUPS = 30
# Difficulty in five parts of equal width; 1 counts in the last.
DIFFICULTY_PARTS = 5


@dataclass(frozen=True)
class Difference:
    """What changed between two decisions.

    Attributes:
        facts: counts and shares, ready for JSON; see `changes_between`.
        rows: every row that came in or went out: {"id", "change": "added" or "removed", "was", "now"},
            where "was" and "now" are its reasons, or None where the row is not there at all.

    """

    facts: dict[str, Any]
    rows: list[dict[str, Any]]


def changes_between(old: pa.Table, new: pa.Table, *, group_by: str | None = None) -> Difference:
    """The difference between two tables of decisions: `rap_id`, `rap_keep`, `rap_reason`, scores where known.

    Rows are matched by `rap_id`; of several with the same id the first is matched with the first, the second
    with the second. The facts:

        rows       in the old, in the new, in both
        kept       in the old, in the new, in both, added, removed; jaccard = both / (both + added + removed)
        changes    rows per change and pair of reasons
        groups     kept rows and their share per value of `group_by`
        difficulty kept rows per fifth of the range of `rap_difficulty`
        scores     mean of each score over the kept rows
        models     the models that the evidence came from

    Args:
        old: the decision before.
        new: the decision after.
        group_by: a column such as the source of the rows; None, or one that a table lacks, is left out.

    Raises:
        MissingColumnError: a table has no ids or no decisions.

    """
    for table in (old, new):
        require("diff", table.column_names, (ID, KEEP, REASON), "Both sides need rows that hf_rap has selected.")
    before, after = _decisions(old), _decisions(new)
    was, now = ({key for key, (keep, _) in rows.items() if keep} for rows in (before, after))
    changes = [
        {
            "id": key[0],
            "change": "added" if key in now else "removed",
            "was": before.get(key, (None, None))[1],
            "now": after.get(key, (None, None))[1],
        }
        for key in dict.fromkeys([*after, *before])
        if (key in was) != (key in now)
    ]
    counts = Counter((change["change"], change["was"], change["now"]) for change in changes)
    kept_old, kept_new = (table.filter(table[KEEP.name]) for table in (old, new))
    both = len(was & now)
    facts = {
        "rows": {"old": len(before), "new": len(after), "both": len(before.keys() & after.keys())},
        "kept": {
            "old": len(was),
            "new": len(now),
            "both": both,
            "added": len(now - was),
            "removed": len(was - now),
            "jaccard": round(both / len(was | now), 6) if was | now else None,
        },
        "changes": [
            {"change": change, "was": reason_was, "now": reason_now, "rows": rows}
            for (change, reason_was, reason_now), rows in sorted(
                counts.items(), key=lambda item: (item[0][0], -item[1], str(item[0]))
            )
        ],
        "groups": _groups(kept_old, kept_new, group_by),
        "difficulty": _difficulty(kept_old, kept_new),
        "scores": {
            column.name: {"old": _mean(kept_old, column.name), "new": _mean(kept_new, column.name)}
            for column in SCORES
            if column.name in old.column_names or column.name in new.column_names
        },
        "models": dict(zip(("old", "new"), _models(old, new), strict=True)),
    }
    return Difference(facts, changes)


def _decisions(table: pa.Table) -> dict[tuple[str, int], tuple[bool, str]]:
    """(id, how many rows had it before) -> (keep, reason)."""
    ids, keep, reason = (table[column.name].to_pylist() for column in (ID, KEEP, REASON))
    return dict(zip(numbered(ids), zip(keep, reason, strict=True), strict=True))


def _shares(old: Counter[Any], new: Counter[Any], values: Iterable[Any]) -> list[dict[str, Any]]:
    """For each value the kept rows before and after, and what share of all kept rows they are."""
    totals = {"old": sum(old.values()), "new": sum(new.values())}
    return [
        {
            "value": value,
            **{side: counts[value] for side, counts in (("old", old), ("new", new))},
            **{
                f"{side}_share": round(counts[value] / totals[side], 6) if totals[side] else None
                for side, counts in (("old", old), ("new", new))
            },
        }
        for value in values
    ]


def _groups(old: pa.Table, new: pa.Table, column: str | None) -> dict[str, Any] | None:
    import pyarrow as pa

    if column is None or any(
        column not in table.column_names or pa.types.is_nested(table[column].type) for table in (old, new)
    ):
        return None
    before, after = (Counter(table[column].cast("string").to_pylist()) for table in (old, new))
    names = sorted(before | after, key=lambda name: (-(before[name] + after[name]), str(name)))
    remainder = names[MAX_GROUPS:]
    for counts in (before, after):
        rest = sum(counts.pop(name, 0) for name in remainder)
        if remainder:
            counts[f"{len(remainder)} others"] = rest
    return {
        "column": column,
        "shown": _shares(before, after, [*names[:MAX_GROUPS], *([f"{len(remainder)} others"] if remainder else [])]),
    }


def _difficulty(old: pa.Table, new: pa.Table) -> list[dict[str, Any]] | None:
    """Kept rows per part of the range of difficulty; None without it."""
    if any(DIFFICULTY.name not in table.column_names for table in (old, new)):
        return None
    before, after = (
        Counter(min(int(round(value, 6) * DIFFICULTY_PARTS), DIFFICULTY_PARTS - 1) for value in _known(table))
        for table in (old, new)
    )
    shares = _shares(before, after, range(DIFFICULTY_PARTS))
    for part in shares:
        low, high = part["value"] / DIFFICULTY_PARTS, (part["value"] + 1) / DIFFICULTY_PARTS
        part["value"] = f"{low:g} to {high:g}"
    return shares


def _known(table: pa.Table, column: str = DIFFICULTY.name) -> list[float]:
    return [value for value in table[column].to_pylist() if value is not None and not math.isnan(value)]


def _mean(table: pa.Table, column: str) -> float | None:
    scores = _known(table, column) if column in table.column_names else []
    return round(sum(scores) / len(scores), 6) if scores else None


def _models(*tables: pa.Table) -> list[list[str]]:
    """The models of every set of settings in the rows of each table, with their identities where all tell them."""
    settings_of = [
        [settings_in(text) for text in table[SETTINGS.name].unique().drop_null().to_pylist()]
        if SETTINGS.name in table.column_names
        else []
        for table in tables
    ]
    pinned = all(identity_in(settings) for of_table in settings_of for settings in of_table)
    left_out = {} if pinned else {"identity": None}
    return [sorted({model_in({**settings, **left_out}) for settings in of_table}) for of_table in settings_of]
