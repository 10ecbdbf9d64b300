"""The rows with the highest score, an exact share or number of them per source."""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from hf_rap.columns import (
    ACE,
    BIS,
    BIS_MEAN,
    BIS_MIXTURE,
    BIS_RELIABILITY,
    CDE,
    DIFFICULTY,
    ERROR,
    ID,
    LIMR,
    OWN_NAMES,
    QUESTIONS,
    STEPS,
    features_of,
    how_to_make,
    require,
)
from hf_rap.errors import SettingError
from hf_rap.options import check, check_choice, check_flags, check_number, check_text, check_whole
from hf_rap.papers import BALANCED, CITE_BIS, CITE_LIMR, CITE_OPERA, CITE_RAP
from hf_rap.plugins import plugins
from hf_rap.rows.compat import with_columns
from hf_rap.stats.arrays import ids_of, seeded_order

from .arrays import plain, quotas_of, why_unscored
from .base import Decision, Selection, Step, rows_to_select
from .duplicates import first_of_equal
from .method import Citation, Method, Reason, make_selection
from .overrides import marks_for
from .remarks import remark_on_ties

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from hf_rap.scorers.base import Scorer

FIRST, RANDOM = TIES = ("first", "random")
EXACT, RELEASE = QUOTAS = ("exact", "release")
QUESTION = ("image", "images", *QUESTIONS)
ROLLOUT = (*QUESTION, "response", "steps_with_score")


def select_top(
    ds: Any,
    *,
    by: str | Scorer = BIS.name,
    ratio: float | None = None,
    count: int | None = None,
    per: str | None = "source",
    alpha: float | None = None,
    lowest: bool = False,
    max_per_question: int | None = None,
    drop_duplicates: bool = False,
    ties: str | None = None,
    quotas: str = EXACT,
    seed: int = 0,
    overrides: Any = None,
) -> Selection:
    """The highest scores of every source, and for every row why it is kept or not.

    1. A row without a score is dropped, with the code of its `rap_error` as reason. It counts in no
       quota.
    2. With drop_duplicates, of identical rollouts (same image, question, response and steps) of a
       source the earliest stays; of questions that stand in the dataset twice (equal `rap_id`) always.
    3. The quota of a source with m rows left is the whole part of ratio * m, computed exactly (0.29
       of 100 is 29), but at least one row. With count instead, count rows are shared out in
       proportion to m by largest remainders, at least one each.
    4. The highest scores of each source are kept up to its quota. Of equal scores the one first in
       a seeded order is kept; of `rap_bis` the earlier row, as in the released script. With
       max_per_question, rows of a question that has so many better ones already are skipped; where too
       few are left, the quota is not reached, and the funnel shows it.

    The order of the rows stays. Images are neither decoded nor copied. `rap_keep` and `rap_reason`
    of an earlier selection are replaced.

    Args:
        ds: a `Dataset` with the score.
        by: the column to rank by, or the scorer that has written it; any numbers, null and NaN are unknown. The card
            cites the paper of a scorer of your own (`scorer(bibtex=...)`) that is given here or is a plugin.
        ratio: share to keep, in (0, 1].
        count: number of rows to keep in all; either this or a ratio.
        per: column whose values get a quota each; null is a value too. None: one quota for all.
        alpha: only for `rap_bis`: the weight to rank with. None takes 0.05, the paper's; 0.2 is what the
            README of its release gives for 10 %, which is level with random rows in our own study.
            `rap_bis` is then computed again from `rap_bis_mixture` and `rap_bis_reliability`, and
            replaced; where these are not there it is used as it is.
        lowest: rank the lowest first.
        max_per_question: rows per question (image and question text) of a source.
        drop_duplicates: do step 2.
        ties: "first", the earlier row, or "random", a seeded order; None as in step 4. Scores that many
            rows share, such as `rap_bis_mixture`, would take the head of the file with "first".
        quotas: "exact", or "release": the whole part of the product of two floats, as the released script computes it (0.29 of
            100 is 28 there). At 0.25 and 0.1, the published ratios, both are the same for any number of rows up to a million.
        seed: of that order, by `rap_id` where it is there, else by position.
        overrides: marks of a person, which go before the rule, see `select_cognitive`;
            all replies to a question whose `rap_id` they share have its mark.

    Raises:
        MissingColumnError: the column of the score or of the sources is absent.
        SettingError: an option is out of its range, or no row has a score.

    Source:
        arXiv 2602.04145: top ratio per source file, ties of the score by order, of its mixed variant at
        random. Differs: quotas are exact, and rows that cannot be used are dropped before the quota is
        counted, not after.

    Examples:
        >>> from datasets import Dataset
        >>> ds = Dataset.from_dict({"rap_bis": [0.1, 0.3, None, 0.3, 0.2], "source": ["a", "a", "a", "a", "b"]})
        >>> select_top(ds, ratio=0.5)
        Selection: 2 of 5 rows
          step     rows         5  in all
          step     scored       4  have a score
          step     selected     2  are selected
          kept     top          2  among the best of its source by the score that was ranked
          dropped  below_quota  2  others of its source rank before it and fill the quota
          dropped  not_scored   1  the score is null and rap_error does not say why
          remark   Level in rap_bis: 1 of the 2 kept rows and 1 of those that are not. Between them their order in the dataset has decided, not the score.

    """
    import numpy as np
    import pyarrow as pa

    ds = rows_to_select("select_top", ds)
    if (ratio is None) == (count is None):
        raise SettingError("select_top takes either a ratio (0.1) or a count of rows (5000).")
    by, own = _score_of(by)
    check_number("ratio", ratio, above=0, most=1, none=True)
    check_whole("count", count, least=1, none=True)
    check_text("per", per, none=True, empty=False)
    check_number("alpha", alpha, least=0, none=True)
    check_whole("max_per_question", max_per_question, least=1, none=True)
    check_flags(lowest=lowest, drop_duplicates=drop_duplicates)
    check_choice("ties", ties, TIES, none=True)
    check_choice("quotas", quotas, QUOTAS)
    if quotas == RELEASE and ratio is None:
        raise SettingError("quotas='release' is for a ratio: the released script knows no count.")
    check_whole("seed", seed)
    marks = marks_for(ds, overrides)
    require("select_top", ds.column_names, [column for column in (by, per) if column is not None])
    keys = (by, per, BIS_MIXTURE.name, BIS_RELIABILITY.name, ERROR.name)
    wanted = {*keys, *(QUESTION if max_per_question else ()), *(ROLLOUT if drop_duplicates else ())}
    table = ds.select_columns([name for name in ds.column_names if name in wanted]).with_format("arrow")[:]

    scores = _numbers(table, by)
    n_scored = int(np.count_nonzero(~np.isnan(scores)))
    if not n_scored:
        raise SettingError(f"None of the {len(ds):,} rows has a {by!r}, so there is nothing to rank. {how_to_make(by)}")
    is_bis = by == BIS.name and {BIS_MIXTURE.name, BIS_RELIABILITY.name} <= set(table.column_names)
    if is_bis:
        alpha = BALANCED.alpha if alpha is None else alpha
        # The same operations as in `BISScore`, on float64: the same numbers.
        scores = (_numbers(table, BIS_MIXTURE.name) + alpha) * _numbers(table, BIS_RELIABILITY.name)
    elif alpha is not None:
        raise SettingError(
            f"alpha weighs {BIS_MIXTURE.name!r} against {BIS_RELIABILITY.name!r} in {BIS.name!r}: leave it out "
            f"where {by!r} is ranked, or add these columns with BISScore."
        )
    ties = ties or (FIRST if by == BIS.name else RANDOM)
    groups = [] if per is None else [per]
    keep, reason, funnel = decide_top(
        scores if lowest else -scores,
        groups=codes(table, groups),
        ratio=ratio,
        count=count,
        unscored=why_unscored(scores, table[ERROR.name] if ERROR.name in table.column_names else None),
        rollouts=codes(table, [*groups, *ROLLOUT]) if drop_duplicates else _equal_questions(ds),
        questions=codes(table, [*groups, *QUESTION]) if max_per_question else None,
        max_per_question=max_per_question,
        order=None if ties == FIRST else seeded_order(ids_of(ds), seed),
        in_floats=quotas == RELEASE,
    )

    if is_bis:
        bis = pa.array(scores, mask=np.isnan(scores))
        without = ds.remove_columns([BIS.name])
        ds = with_columns(without, {BIS.name: bis}, features_of((BIS,)))
    rule = {
        "by": by,
        "ratio": ratio,
        "count": count,
        "per": per,
        "alpha": alpha,
        "lowest": lowest,
        "max_per_question": max_per_question,
        "drop_duplicates": drop_duplicates,
        "ties": ties,
        "seed": plain(seed),
        **({"quotas": quotas} if quotas != EXACT else {}),
    }
    tied = remark_on_ties(by, scores, keep, reason == "below_quota", codes(table, groups), first=ties == FIRST)
    remarks = () if tied is None else (tied,)
    decision = Decision(keep, reason, funnel, rule, remarks)
    return make_selection(ds, TOP if own is None else _top_by(own, by), decision, marks)


def _equal_questions(ds: Any) -> NDArray[np.int64] | None:
    """Numbers that are equal where rows of questions have one `rap_id`; None where none have, or rows are replies with steps."""
    import numpy as np

    if STEPS.name in ds.column_names or first_of_equal(ds) is None:
        return None
    ids = ds.select_columns([ID.name]).with_format("arrow")[:][ID.name].combine_chunks()
    numbers = np.asarray(ids.dictionary_encode().indices.fill_null(-1)).astype(np.int64)
    return np.where(numbers < 0, len(ds) + np.arange(len(ds)), numbers)


def _score_of(by: Any) -> tuple[str, Scorer | None]:
    """The column to rank by, and the scorer from outside that writes it, where one is known."""
    writes = getattr(by, "writes", None)
    if writes is not None and not isinstance(by, str):
        names = [column.name for column in writes]
        check(len(names) == 1, "by", by, f"one column: name one of {', '.join(names)}")
        return names[0], by
    check_text("by", by, empty=False)
    scorers: dict[str, Scorer] = plugins("scorer")
    return by, next((own for own in scorers.values() if by in [column.name for column in own.writes]), None)


def _top_by(own: Scorer, by: str) -> Method:
    """`TOP` as the card of a selection by this scorer's column is to have it."""
    meaning = next(column.meaning for column in own.writes if column.name == by)
    bibtex = getattr(own, "bibtex", None)
    return replace(
        TOP,
        sentence=lambda rule: f"{_sentence(rule)}{f' ({meaning})' if meaning and by not in OWN_NAMES else ''}",
        citations=(Citation(f"The score, {by}", bibtex),) if bibtex else _citations,
    )


def decide_top(
    key: NDArray[np.float64],
    *,
    groups: NDArray[np.int64],
    ratio: float | None,
    count: int | None,
    unscored: NDArray[np.object_],
    rollouts: NDArray[np.int64] | None,
    questions: NDArray[np.int64] | None,
    max_per_question: int | None,
    order: NDArray[np.uint64] | None,
    in_floats: bool = False,
) -> tuple[NDArray[np.bool_], NDArray[np.object_], tuple[Step, ...]]:
    """Keep and reason of each row, and the funnel. All arrays are (n_rows,).

    Args:
        key: what is ranked, smallest first; NaN is unknown.
        groups: numbers from 0; each gets a quota.
        ratio: as in `select_top`.
        count: as in `select_top`.
        unscored: the reason of a row without a score.
        rollouts: equal where rollouts are; None leaves duplicates in.
        questions: equal where questions are; None has no cap.
        max_per_question: the cap.
        order: which of equal keys comes first; None takes the earlier row.
        in_floats: shares are computed as the released script does.

    """
    import numpy as np

    if order is not None:
        # The key becomes its rank among all, equal keys by the order: one number per row from here on.
        rank = np.empty(len(key))
        rank[np.lexsort((order, key))] = np.arange(len(key))
        key = np.where(np.isnan(key), np.nan, rank)

    reason = unscored.copy()
    racing = ~np.isnan(key)
    funnel = [Step("rows", len(key)), Step("scored", int(racing.sum()))]
    if rollouts is not None:
        again = racing & (_place(racing, np.zeros(len(key)), rollouts) > 0)
        reason[again] = "duplicate"
        racing &= ~again
        funnel.append(Step("distinct", int(racing.sum())))
    sizes = np.bincount(groups[racing], minlength=int(groups.max()) + 1)
    if in_floats and ratio is not None:
        quotas = np.where(sizes > 0, np.maximum(1, (sizes * float(ratio)).astype(np.int64)), 0)
    else:
        quotas = quotas_of(sizes, ratio=ratio, count=count)
    if questions is not None:
        crowded = racing & (_place(racing, key, questions) >= (max_per_question or 0))
        reason[crowded] = "question_full"
        racing &= ~crowded
        funnel.append(Step("within_question_cap", int(racing.sum())))
    keep = racing & (_place(racing, key, groups) < quotas[groups])
    reason[racing] = "below_quota"
    reason[keep] = "top"
    return keep, reason, (*funnel, Step("selected", int(keep.sum())))


def codes(table: Any, names: Sequence[str]) -> NDArray[np.int64]:
    """A number from 0 for every different combination of these columns, those that are there; shape (n_rows,)."""
    import numpy as np

    numbers = np.zeros(len(table), dtype=np.int64)
    for name in names:
        if name in table.column_names:
            encoded = _text(table[name].combine_chunks()).dictionary_encode(null_encoding="encode")
            indices = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
            numbers = np.unique(numbers * (len(encoded.dictionary) + 1) + indices, return_inverse=True)[1].astype(
                np.int64
            )
    return numbers


def _text(column: Any) -> Any:
    """A column as texts that are equal where its values are."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        inner = _text(pc.list_flatten(column)).fill_null("")
        # The length in front of each text, so that no two lists read alike.
        parts = pc.binary_join_element_wise(pc.binary_length(inner).cast("string"), inner, ":")
        lengths = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)
        offsets = pa.array([0, *lengths.cumsum().tolist()], type=pa.int32())
        return pc.binary_join(pa.ListArray.from_arrays(offsets, parts), ",")
    if pa.types.is_struct(column.type):
        fields = [_text(pc.struct_field(column, field.name)).fill_null("") for field in column.type]
        sized = [pc.binary_join_element_wise(pc.binary_length(texts).cast("string"), texts, ":") for texts in fields]
        return pc.binary_join_element_wise(*sized, ",")
    if pa.types.is_binary(column.type):
        return pa.array(
            [None if value is None else blake2b(value).hexdigest() for value in column.to_pylist()], type=pa.string()
        )
    return column.cast(pa.string())


def _place(rows: NDArray[np.bool_], key: NDArray[np.float64], groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place, from 0, of each flagged row inside its group by the key, smallest first; ties by position."""
    import numpy as np

    positions = np.flatnonzero(rows)
    ordered = positions[np.lexsort((key[positions], groups[positions]))]  # lexsort is stable
    group = groups[ordered]
    starts = np.flatnonzero(np.r_[True, group[1:] != group[:-1]]) if len(group) else np.zeros(0, dtype=np.int64)
    place = np.full(len(rows), len(rows))
    place[ordered] = np.arange(len(ordered)) - np.repeat(starts, np.diff(np.r_[starts, len(ordered)]))
    return place


def _numbers(table: Any, name: str) -> NDArray[np.float64]:
    """A column as float64, null as NaN."""
    import pyarrow as pa

    column = table[name]
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise SettingError(f"select_top ranks numbers, but {name!r} holds {column.type}.")
    numbers: NDArray[np.float64] = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return numbers


# What the score that ranks is taken from.
_PAPERS = {
    **dict.fromkeys(
        (BIS.name, BIS_MIXTURE.name, BIS_RELIABILITY.name, BIS_MEAN.name),
        (Citation("The score, balanced information", CITE_BIS),),
    ),
    CDE.name: (Citation("The score, the causal discrepancy", CITE_RAP),),
    DIFFICULTY.name: (Citation("The score, the difficulty of difficulty-aware replacement", CITE_RAP),),
    ACE.name: (
        Citation("The score, attention confidence", CITE_RAP),
        Citation("It is built from the column-wise product of", CITE_OPERA),
    ),
    LIMR.name: (Citation("The score, learning impact measurement", CITE_LIMR),),
}


def _sentence(rule: Mapping[str, Any]) -> str:
    of_all = f"of each `{rule['per']}` the" if rule["per"] is not None else "the"
    end = "lowest" if rule["lowest"] else "highest"
    ranks = (
        f", which ranks responses whose steps are partly right and whose right steps succeed often (alpha = {rule['alpha']})"
        if rule["alpha"] is not None
        else ""
    )
    return f"{of_all} {end} `{rule['by']}`{ranks}"


def _citations(rule: Mapping[str, Any], _: Collection[str]) -> tuple[Citation, ...]:
    return _PAPERS.get(rule["by"], ())


TOP = Method(
    "top",
    None,
    _sentence,
    reasons=(
        Reason("top", True, "among the best of its source by the score that was ranked"),
        Reason(
            "not_scored",
            False,
            "the score is null and rap_error does not say why",
            "score is None",
        ),
        Reason("below_quota", False, "others of its source rank before it and fill the quota"),
        Reason("question_full", False, "as many rows of its question as are allowed rank before it"),
        Reason("duplicate", False, "the same rollout as an earlier row"),
    ),
    steps={
        "distinct": "are not the same rollout as an earlier row",
        "within_question_cap": "are among the best of their question",
    },
    meanings={
        "by": "score that ranks the rows",
        "ratio": "share of the scored rows to keep, of each value below",
        "count": "rows to keep in all",
        "per": "column each of whose values has a quota",
        "alpha": "what reliability counts in the score where the labels are not mixed",
        "lowest": "the lowest scores rank first",
        "max_per_question": "rows of one question",
        "drop_duplicates": "of identical rollouts the first is kept",
        "quotas": "how shares are rounded to rows",
        "ties": "which of rows with the same score come first",
    },
    needs_all_attempts=False,
    citations=_citations,
    function="select_top",
    version="3",
    before={"ties": FIRST},
)
