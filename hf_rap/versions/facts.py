"""Every number a reader will see, computed once from a selection.

The card, the plots and the command line print what is in here and count nothing themselves.
Unknown is None and prints as "unknown": a dataset that came with scores alone has no pass rates.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from hf_rap import columns
from hf_rap.columns import ARMS, Column, arrow_type
from hf_rap.errors import SettingError, codes_of
from hf_rap.options import ForeignError, read_json
from hf_rap.rows.presets import name_of
from hf_rap.rows.prompts import PromptTemplate
from hf_rap.stats.counts import count_rewards
from hf_rap.stats.equal import count_equal
from hf_rap.stats.settings import CORRECT, CUT, NOT_COUNTED, correct_of, correct_of_rows, counted, grader_of
from hf_rap.version import VERSION

from .adaptive_facts import describe_adaptive
from .corpus import describe_corpus
from .probe_facts import describe_probed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from hf_rap.rows.provenance import SourceInfo
    from hf_rap.select import Selection

ROWS_PER_STEP = 1_000  # of the evidence of attention, which is long
# Values of a group column, error codes and settings beyond these are counted together.
MAX_SHOWN = 30
# The bars of a histogram are as wide as one attempt of an arm is worth, at least this much.
MAX_BARS_PER_UNIT = 10

_REWARDS = {"image": columns.IMAGE_REWARDS, "text": columns.TEXT_REWARDS}
_TRUNCATED = {"image": columns.IMAGE_TRUNCATED, "text": columns.TEXT_TRUNCATED}
_TOKENS = {"image": columns.IMAGE_TOKENS, "text": columns.TEXT_TOKENS}
_READ = (
    *columns.SCORES,
    *columns.OTHER_SCORES,
    *columns.DECISIONS,
    *_REWARDS.values(),
    *_TRUNCATED.values(),
    *_TOKENS.values(),
)
_TEXTS = (columns.SETTINGS, columns.ACE_SETTINGS, columns.ERROR)


def collect_facts(
    selection: Selection,
    *,
    name: str,
    version: str,
    source: SourceInfo | None = None,
    licence: str | None = None,
    group_by: str | None = None,
    images_missing: int | None = None,
) -> dict[str, Any]:
    """All facts about a selection, ready for JSON; the same selection gives the same facts.

    Rates and means are rounded to six digits, so that they do not depend on the machine.

    Args:
        selection: what `select_cognitive` returned.
        name: of the dataset that is published.
        version: of the dataset that is published.
        source: where the rows come from.
        licence: goes before the licence of `source`.
        group_by: a column whose values are counted one by one; None takes the strata of the selection.
        images_missing: images that could not be read when the rows were written.

    """
    foreign_scores = _foreign_scores(selection)
    table = _table(
        selection,
        foreign_scores,
        group_by := group_by or selection.rule.get("stratify_by") or selection.rule.get("per"),
    )
    keep = table[columns.KEEP.name]
    kept = table.filter(keep)
    provenance = source.as_dict() if source else {}
    return {
        "name": name,
        "version": version,
        "hf_rap": VERSION,
        "source": {key: provenance.get(key) for key in ("id", "config", "split", "revision")},
        **({"sources": provenance["parts"]} if provenance.get("parts") else {}),
        "licence": licence or provenance.get("licence"),
        "rows": {"all": len(table), "kept": len(kept), "share": _ratio(len(kept), len(table))},
        "funnel": _funnel(selection),
        "remarks": list(selection.remarks),
        "rule": selection.rule,
        "method": {
            name: about
            for name, about in selection.method.items()
            if name not in ("reasons", "when", "steps", "came_in")
        },
        "reasons": _reasons(table, selection.method),
        "groups": _groups(table, group_by),
        **({"corpus": corpus} if (corpus := describe_corpus(table)) else {}),
        "scores": {column.name: _summary(table, kept, column) for column in _shown_scores(table, foreign_scores)},
        "histogram": _histogram(table, kept, selection.method.get("came_in", [])),
        "pass_rates": _pass_rates(table, kept) if "low" in selection.rule else None,
        "hinted": [name for name in selection.scored.column_names if name.startswith(columns.HINTED_PREFIX)],
        "arms": {arm: _arm(table, kept, arm) for arm in ARMS},
        "equal_replies": count_equal(selection.scored),
        "adaptive": describe_adaptive(selection.scored),
        **({"probed": probed} if (probed := describe_probed(selection.scored)) else {}),
        "grading": _grading(table),
        "errors": _errors(table),
        "settings": _settings(table, columns.SETTINGS),
        "prompts": _prompts(kept),
        "attention": _attention(selection),
        "ace_settings": _settings(table, columns.ACE_SETTINGS),
        "images_missing": images_missing,
    }


def _table(selection: Selection, foreign_scores: list[Column], group_by: str | None) -> pa.Table:
    """The columns that are counted: no images, no replies, only the first word of each error."""
    scored = selection.scored
    wanted = [column.name for column in (*_READ, *foreign_scores, *_TEXTS)] + [group_by]
    if columns.BIS_STEPS.name in scored.column_names:
        wanted += ["source", columns.BIS_STEPS.name, columns.BIS_POSITIVE.name, columns.BIS_MEAN.name]
    names = [name for name in scored.column_names if name in wanted]
    table = scored.select_columns(names).with_format("arrow")[:]
    for column in (*_READ, *foreign_scores, *_TEXTS):
        if column.name in names:
            position = table.schema.get_field_index(column.name)
            table = table.set_column(position, column.name, table[column.name].cast(arrow_type(column.dtype)))
    return table


def _ratio(part: float, whole: float) -> float | None:
    return round(part / whole, 6) if whole else None


def _counts(values: pa.ChunkedArray) -> dict[Any, int]:
    """Value -> rows, the most frequent first, ties by value; null counts as a value."""
    counted = values.value_counts().to_pylist()
    counted.sort(key=lambda entry: (-entry["counts"], str(entry["values"])))
    return {entry["values"]: entry["counts"] for entry in counted}


def _funnel(selection: Selection) -> list[dict[str, Any]]:
    """The steps in their order, and what is said of the rows of each; `came_in` of them had been dropped before."""
    words = selection.method.get("steps", {})
    return [
        {"step": step.name, "rows": step.rows, "came_in": step.came_in, "meaning": words.get(step.name)}
        for step in selection.funnel
    ]


def _reasons(table: pa.Table, method: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows per reason, reasons of kept rows first, with what is so of each of these rows."""
    import pyarrow.compute as pc

    meanings, when = {**columns.ERROR_CODES, **method["reasons"]}, method.get("when", {})

    keep, reason = table[columns.KEEP.name], table[columns.REASON.name]
    return [
        {"reason": value, "kept": kept, "rows": rows, "meaning": meanings.get(value), "when": when.get(value)}
        for kept, flags in ((True, keep), (False, pc.invert(keep)))
        for value, rows in _counts(reason.filter(flags)).items()
    ]


def _groups(table: pa.Table, column: str | None) -> dict[str, Any] | None:
    """Kept and all rows per value of a column; None without one that can be counted."""
    import pyarrow as pa

    if column is None or column not in table.column_names or pa.types.is_nested(table[column].type):
        return None
    try:
        values = table[column].cast("string")
    except pa.ArrowInvalid:  # bytes that are no text
        return None
    totals, kept = _counts(values), _counts(values.filter(table[columns.KEEP.name]))
    shown = [
        {"value": value, "rows": rows, "kept": kept.get(value, 0)} for value, rows in list(totals.items())[:MAX_SHOWN]
    ]
    rest = None
    if len(totals) > MAX_SHOWN:
        rest = {
            "values": len(totals) - MAX_SHOWN,
            "rows": len(table) - sum(entry["rows"] for entry in shown),
            "kept": sum(kept.values()) - sum(entry["kept"] for entry in shown),
        }
    return {"column": column, "shown": shown, "others": rest}


def _known(table: pa.Table, column: Column) -> NDArray[np.float64]:
    """The scores that are there, rounded, so that bars and quartiles do not depend on the last bit."""
    import numpy as np

    values: NDArray[np.float64] = table[column.name].to_numpy().astype(np.float64)
    scores: NDArray[np.float64] = values[~np.isnan(values)].round(6)
    return scores


def _shown_scores(table: pa.Table, foreign_scores: list[Column]) -> list[Column]:
    return [
        *columns.SCORES,
        *(column for column in columns.OTHER_SCORES if column.name in table.column_names),
        *foreign_scores,
    ]


def _foreign_scores(selection: Selection) -> list[Column]:
    """Scores that are not ours, and the one that ranked, whatever its name."""
    features = selection.scored.features
    by = selection.rule.get("by")
    ranked = [by] if by in features and by not in columns.OWN_NAMES and columns.is_numeric(features[by]) else []
    names = dict.fromkeys([*columns.foreign_scores(features), *ranked])
    return [Column(name, "float64", "") for name in features if name in names]


def _summary(table: pa.Table, kept: pa.Table, column: Column) -> dict[str, Any] | None:
    """Null and NaN are unknown. Quartiles interpolate between the two nearest scores."""
    import numpy as np

    if column.name not in table.column_names:
        return None
    scores = _known(table, column)
    quartiles = np.quantile(scores, [0, 0.25, 0.5, 0.75, 1]) if scores.size else [None] * 5
    names = ("min", "lower_quartile", "median", "upper_quartile", "max")
    return {
        "known": scores.size,
        "unknown": len(table) - scores.size,
        **{
            name: None if value is None else round(float(value), 6)
            for name, value in zip(names, quartiles, strict=True)
        },
        "mean": _mean(scores),
        "mean_kept": _mean(_known(kept, column)),
    }


def _mean(values: NDArray[np.float64]) -> float | None:
    return round(float(values.mean()), 6) if values.size else None


def _histogram(table: pa.Table, kept: pa.Table, came_in: list[str]) -> dict[str, Any] | None:
    """Rows per bar of cde; a bar is centred on its value, a score between two bars counts in the higher one.

    `came_in` are the reasons of kept rows that an earlier step had dropped.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if columns.CDE.name not in table.column_names:
        return None
    attempts = [count for arm in ARMS for count in _attempts(table, arm)]
    per_unit = min(max(attempts, default=MAX_BARS_PER_UNIT), MAX_BARS_PER_UNIT)
    steps = np.arange(-per_unit, per_unit + 1)
    edges = np.append(2 * steps - 1, 2 * per_unit + 1) / (2 * per_unit)
    late = kept.filter(pc.is_in(kept[columns.REASON.name], pa.array(came_in, pa.string())))
    count = {
        name: np.histogram(_known(rows, columns.CDE), edges)[0].tolist()
        for name, rows in (("all", table), ("kept", kept), ("came_in", late))
    }
    return {"centres": (steps / per_unit).round(6).tolist(), "width": round(1 / per_unit, 6), **count}


def _pass_rates(table: pa.Table, kept: pa.Table) -> dict[str, Any]:
    """Rows per bar of the pass rate with the image, 1 - difficulty; a bar is centred on its value."""
    import numpy as np

    per_unit = min(max(_attempts(table, "image"), default=MAX_BARS_PER_UNIT), MAX_BARS_PER_UNIT)
    steps = np.arange(per_unit + 1)
    edges = np.append(2 * steps - 1, 2 * per_unit + 1) / (2 * per_unit)
    count = {
        name: np.histogram((1 - _known(rows, columns.DIFFICULTY)).round(6), edges)[0].tolist()
        for name, rows in (("all", table), ("kept", kept))
    }
    return {"centres": (steps / per_unit).round(6).tolist(), "width": round(1 / per_unit, 6), **count}


def _attempts(table: pa.Table, arm: str) -> dict[int, int]:
    """How many attempts -> how many rows had so many, of the rows that were asked."""
    import pyarrow.compute as pc

    name = _REWARDS[arm].name
    if name not in table.column_names:
        return {}
    counts = _counts(pc.list_value_length(table[name]).drop_null())
    return dict(sorted((count, rows) for count, rows in counts.items() if count))


def _flat(table: pa.Table, column: Column) -> NDArray[np.float64]:
    """All attempts of all rows one after the other; what is not known is NaN."""
    import pyarrow.compute as pc

    values: NDArray[np.float64] = pc.list_flatten(table[column.name]).cast("float64").to_numpy()
    return values


def _arm(table: pa.Table, kept: pa.Table, arm: str) -> dict[str, Any] | None:
    """What was asked and what came back, with the image or without; None without evidence."""
    if _REWARDS[arm].name not in table.column_names:
        return None
    (solved, judged), (solved_kept, judged_kept) = (_solved(rows, arm) for rows in (table, kept))
    per_row = _attempts(table, arm)
    attempts = sum(count * rows for count, rows in per_row.items())
    return {
        "rows": sum(per_row.values()),
        "attempts_per_row": [{"attempts": count, "rows": rows} for count, rows in per_row.items()],
        "attempts": attempts,
        "not_judged": attempts - judged,
        "pass_rate": _ratio(solved, judged),
        "pass_rate_kept": _ratio(solved_kept, judged_kept),
        "truncated": _truncated(table, arm),
        "tokens": _tokens(table, arm),
    }


def _grading(table: pa.Table) -> list[dict[str, Any]] | None:
    """Who graded how many rows, what counts as solved and what a cut reply counts as; None without settings."""
    if columns.SETTINGS.name not in table.column_names:
        return None
    rows_of: Counter[tuple[Any, ...]] = Counter()
    for text, rows in _counts(table[columns.SETTINGS.name].drop_null()).items():
        settings = _parsed(text)
        who = grader_of(settings)
        if who is not None:
            how = (*who, settings.get("cut", CUT[0]), correct_of(text))
            rows_of[how] += rows
    names = ("verifier", "version", "cut", "correct")
    return [{**dict(zip(names, how, strict=True)), "rows": rows} for how, rows in rows_of.most_common(MAX_SHOWN)]


def _solved(table: pa.Table, arm: str) -> tuple[int, int]:
    """Attempts of all rows that count as solved, and those that were judged."""
    settings = table[columns.SETTINGS.name].combine_chunks() if columns.SETTINGS.name in table.column_names else None
    counts = count_rewards(
        "The card",
        _REWARDS[arm],
        table[_REWARDS[arm].name].combine_chunks(),
        CORRECT if settings is None else correct_of_rows(settings),
    )
    return int(counts.solved.sum()), int(counts.judged.sum())


def _truncated(table: pa.Table, arm: str) -> dict[str, Any] | None:
    import numpy as np

    if _TRUNCATED[arm].name not in table.column_names:
        return None
    flags = _flat(table, _TRUNCATED[arm])
    n_known = int(np.count_nonzero(~np.isnan(flags)))
    count = int(np.nansum(flags))
    return {"attempts": count, "share": _ratio(count, n_known)}


def _tokens(table: pa.Table, arm: str) -> dict[str, Any] | None:
    import numpy as np

    if _TOKENS[arm].name not in table.column_names:
        return None
    tokens = _flat(table, _TOKENS[arm])
    total = int(np.nansum(tokens))
    return {"total": total, "mean": _ratio(total, int(np.count_nonzero(~np.isnan(tokens))))}


def _errors(table: pa.Table) -> list[dict[str, Any]] | None:
    """Rows per code of `rap_error`, and how many of them have a cde (or else a bis) all the same."""
    import pyarrow.compute as pc

    if columns.ERROR.name not in table.column_names:
        return None
    table = table.filter(pc.is_valid(table[columns.ERROR.name]))
    codes = codes_of(table[columns.ERROR.name])
    rows, scored = _counts(codes), {}
    score = next((column.name for column in (columns.CDE, columns.BIS) if column.name in table.column_names), None)
    if score is not None:
        scored = _counts(codes.filter(pc.is_finite(table[score]).fill_null(False)))
    shown = list(rows)[:MAX_SHOWN]
    entries = [
        {"code": code, "rows": rows[code], "scored": scored.get(code, 0), "meaning": columns.ERROR_CODES.get(code)}
        for code in shown
    ]
    if len(rows) > len(shown):
        rest = {
            name: sum(counts.values()) - sum(counts.get(code, 0) for code in shown)
            for name, counts in (("rows", rows), ("scored", scored))
        }
        entries.append({"code": "others", **rest, "meaning": f"{len(rows) - len(shown)} other codes"})
    return entries


def _attention(selection: Selection) -> dict[str, Any] | None:
    """Replies whose attention was read, and those where it could not be, by code; None without evidence."""
    import pyarrow.compute as pc

    scored = selection.scored
    if columns.ATTENTION.name not in scored.column_names:
        return None
    codes: Counter[Any] = Counter()  # None: no error
    for table in scored.select_columns([columns.ATTENTION.name]).with_format("arrow").iter(batch_size=ROWS_PER_STEP):
        attempts = pc.list_flatten(table[columns.ATTENTION.name]).drop_null()
        codes.update(codes_of(pc.struct_field(attempts, "error")).to_pylist())
    read = codes.pop(None, 0)
    meanings = {**columns.ERROR_CODES, **columns.ATTENTION_ERROR_CODES}
    return {
        "attempts": read + sum(codes.values()),
        "read": read,
        "errors": [
            {"code": code, "attempts": count, "meaning": meanings.get(code)}
            for code, count in sorted(codes.items(), key=lambda item: (-item[1], item[0]))
        ],
    }


def _settings(table: pa.Table, column: Column) -> dict[str, Any] | None:
    """The settings in a column of JSON. Rows with different settings do not compare.

    What is only written down makes no difference: where it differs, the value is the list of those that there are.
    """
    if column.name not in table.column_names:
        return None
    counts = _counts(table[column.name].drop_null())
    groups: dict[str, list[tuple[dict[str, Any], int]]] = {}
    for text, rows in counts.items():
        settings = _parsed(text)
        groups.setdefault(json.dumps(counted(settings), sort_keys=True), []).append((settings, rows))
    shown = sorted(map(_together, groups.values()), key=lambda group: -group["rows"])
    return {"different": len(groups), "rows": sum(counts.values()), "shown": shown[:MAX_SHOWN]}


def _together(group: Sequence[tuple[dict[str, Any], int]]) -> dict[str, Any]:
    """Settings that differ in nothing that counts, and their rows."""
    values: dict[str, Any] = {}
    apart = sorted({name for settings, _ in group for name in settings.get(NOT_COUNTED, ())})
    for name in sorted({name for settings, _ in group for name in settings} - {NOT_COUNTED}):
        different: list[Any] = []
        for settings, _ in group:
            if name in settings and settings[name] not in different:
                different.append(settings[name])
        values[name] = different[0] if len(different) == 1 else sorted(different, key=str)
    return {"rows": sum(rows for _, rows in group), "values": values, **({NOT_COUNTED: apart} if apart else {})}


def _prompts(kept: pa.Table) -> list[dict[str, Any]] | None:
    """How the kept rows were asked, as their columns `prompt` and `messages` hold it; None without settings."""
    if columns.SETTINGS.name not in kept.column_names:
        return None
    prompts: Counter[PromptTemplate] = Counter()
    for text, rows in _counts(kept[columns.SETTINGS.name].drop_null()).items():
        try:
            prompt = PromptTemplate.from_settings(_parsed(text))
        except SettingError:  # settings of somebody else
            continue
        if prompt is not None:
            prompts[prompt] += rows
    return [
        {"name": name_of(prompt), "rows": rows, "prompt": prompt.as_dict()}
        for prompt, rows in prompts.most_common(MAX_SHOWN)
    ]


def _parsed(text: str) -> dict[str, Any]:
    try:
        settings: dict[str, Any] = read_json(text)
    except ForeignError:
        return {"settings": text}
    return settings
