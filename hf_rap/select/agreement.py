"""The same rules on the evidence of several models: how far their selections agree, beside what a rerun of one would give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from hf_rap.columns import ID, require
from hf_rap.errors import RapError, SettingError
from hf_rap.options import check, check_whole
from hf_rap.stats.arrays import arrow_columns
from hf_rap.tables.notebook import brief, code, html_page, html_table

from .base import rows_to_select
from .comparison import choices_of, is_all, jaccard, kept_flags, select_by_each, with_scores
from .duplicates import stands_earlier
from .overrides import read_marks
from .stability import stability

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .base import Selection
    from .comparison import Choice
    from .method import Method


@dataclass(frozen=True)
class Pair:
    """One method on the evidence of two models.

    Attributes:
        method: its name.
        names: of the two.
        rows: that each of the two selections keeps.
        jaccard: rows in both selections by rows in either; None where both are empty.
        reruns: the overlap that a fresh scoring by each of the models is expected to have with itself (`stability`): the
            ceiling, since two models can hardly agree more than one with itself. None where the method does not say.
        by_chance: the overlap of random rows in such numbers.

    """

    method: str
    names: tuple[str, str]
    rows: tuple[int, int]
    jaccard: float | None
    reruns: tuple[float | None, float | None]
    by_chance: float | None

    @property
    def of_ceiling(self) -> float | None:
        """The overlap as a share of the mean of the two reruns."""
        first, second = self.reruns
        if self.jaccard is None or first is None or second is None:
            return None
        return round(2 * self.jaccard / (first + second), 6) if first + second else None


@dataclass(frozen=True, repr=False)
class Agreement:
    """What `compare_models` found.

    Attributes:
        rows: that all have, by `rap_id`; nothing else is compared.
        rows_of: how many rows each has.
        pairs: each two for each method.
        lacking: of "all", the methods that some of the rows cannot be selected by, each with what it lacks.
        ceilings_unknown: methods without `reruns`, each with why.

    """

    rows: int
    rows_of: dict[str, int]
    pairs: tuple[Pair, ...]
    lacking: dict[str, str]
    ceilings_unknown: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return {**asdict(self), "pairs": [{**asdict(pair), "of_ceiling": pair.of_ceiling} for pair in self.pairs]}

    def _cells(self) -> list[tuple[str, ...]]:
        def share(value: float | None) -> str:
            return "-" if value is None else f"{value:.3f}"

        return [
            (
                pair.method,
                " - ".join(pair.names),
                *(f"{rows:,}" for rows in pair.rows),
                share(pair.jaccard),
                *(share(rerun) for rerun in pair.reruns),
                "-" if pair.of_ceiling is None else f"{pair.of_ceiling:.0%}",
                share(pair.by_chance),
            )
            for pair in self.pairs
        ]

    def _sentences(self) -> list[str]:
        sizes = ", ".join(f"{name} {rows:,}" for name, rows in self.rows_of.items())
        return [f"{self.rows:,} rows are in all of them ({sizes})"]

    def __str__(self) -> str:
        table = [_HEADS, *self._cells()]
        widths = [max(len(row[column]) for row in table) for column in range(len(_HEADS))]
        lines = [
            "  ".join(
                f"{cell:<{width}}" if column < _WORDS else f"{cell:>{width}}"
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in table
        ]
        reasons = (("not compared:", self.lacking), ("rerun unknown:", self.ceilings_unknown))
        for title, why in reasons:
            if why:
                lines += ["", title, *(f"  {name}: {sentence}" for name, sentence in why.items())]
        return "\n".join([*self._sentences(), "", *lines])

    def __repr__(self) -> str:
        return brief(f"Agreement: {self}", "print(agreement)")

    def _repr_html_(self) -> str:
        rows = [(code(method), *cells) for method, *cells in self._cells()]
        reasons = {**self.lacking, **self.ceilings_unknown}
        why = [html_table([(code(name), text) for name, text in reasons.items()], ("method", "why"))] if reasons else []
        return html_page("Agreement", *self._sentences(), html_table(rows, _HEADS), *why)


_HEADS = ("method", "pair", "rows", "rows", "overlap", "rerun", "rerun", "of ceiling", "by chance")
_WORDS = 2  # columns of words, before those of numbers


def compare_models(
    evidence: Mapping[str, Any],
    methods: Sequence[str | Method] | str,
    *,
    budget: int | None = None,
    seed: int = 0,
    overrides: Any = None,
) -> Agreement:
    """How far the selections from the evidence of several models, or checkpoints of one, agree on the rows that all have.

    Rows are the same where their `rap_id` is; of rows that stand twice the first counts.

    Args:
        evidence: two datasets or more by their names, each with evidence or scores of one model.
        methods: as in `compare_methods`, "all" included.
        budget: rows for the methods that need a number; None takes the size of the first selection from the first dataset that
            needs none, the same for all.
        seed: of draws and ties, and of the reruns.
        overrides: marks of a person, the same for all.

    Raises:
        SettingError: there are fewer than two datasets, they share no row, or as in `compare_methods`.
        MissingColumnError: `rap_id` is absent, or a column that a method reads.

    """
    fine = isinstance(evidence, Mapping) and len(evidence) > 1 and all(isinstance(name, str) for name in evidence)
    check(fine, "evidence", evidence, "two datasets or more by their names")
    check_whole("budget", budget, least=1, none=True)
    check_whole("seed", seed)
    tables = {name: rows_to_select("compare_models", ds) for name, ds in evidence.items()}
    rows_of = {name: len(ds) for name, ds in tables.items()}
    shared = {name: with_scores(ds) for name, ds in _shared(tables).items()}
    marks = None if overrides is None else read_marks(overrides)
    choices: list[Choice] = choices_of(methods)
    selections: dict[str, dict[str, Selection]] = {}
    lacking: dict[str, str] = {}
    for name, ds in shared.items():
        selections[name], without = select_by_each(
            ds, choices, {}, budget=budget, seed=seed, marks=marks, forgiving=is_all(methods)
        )
        if budget is None:  # of the first, for all
            budget = next((size for one in selections[name].values() if (size := len(one.kept_rows))), None)
        lacking |= {method: f"{name}: {why}" for method, why in without.items() if method not in lacking}
    unknown: dict[str, str] = {}
    pairs: list[Pair] = []
    for choice in choices:
        if choice.name in lacking:
            continue
        chosen = {name: each[choice.name] for name, each in selections.items()}
        reruns = {name: _rerun(selection, seed, choice.name, unknown) for name, selection in chosen.items()}
        pairs += [_pair(choice.name, names, chosen, reruns) for names in combinations(chosen, 2)]
    if not pairs:
        raise SettingError(f"No method can be compared: {'; '.join(lacking.values())}")
    return Agreement(len(next(iter(shared.values()))), rows_of, tuple(pairs), lacking, unknown)


def _shared(tables: Mapping[str, Any]) -> dict[str, Any]:
    """The rows that all have, each once and in the order of the first."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    ids: dict[str, Any] = {}
    first: dict[str, Any] = {}
    for name, ds in tables.items():
        require("compare_models", ds.column_names, (ID,))
        first[name] = np.flatnonzero(~stands_earlier(ds))
        ids[name] = arrow_columns(ds, [ID.name])[ID.name].cast(pa.string()).take(pa.array(first[name]))
    begin, *others = ids.values()
    there = begin.is_valid().to_numpy(zero_copy_only=False)
    for other in others:
        there &= pc.is_in(begin, value_set=other).to_numpy(zero_copy_only=False)
    if not there.any():
        raise SettingError(
            f"{' and '.join(tables)} have no rap_id in common: collect evidence of the same rows, with the same column of ids or none."
        )
    wanted = begin.filter(pa.array(there))
    return {
        name: ds.select(first[name][pc.index_in(wanted, value_set=ids[name]).to_numpy()]) for name, ds in tables.items()
    }


def _rerun(selection: Selection, seed: int, method: str, unknown: dict[str, str]) -> float | None:
    """The expected overlap of two scorings by the model; why not goes into `unknown`."""
    try:
        return stability(selection.scored, selection.rule, attempts=(), seed=abs(seed)).jaccard
    except RapError as error:
        unknown.setdefault(method, str(error))
        return None


def _pair(
    method: str,
    names: tuple[str, str],
    chosen: Mapping[str, Selection],
    reruns: Mapping[str, float | None],
) -> Pair:
    first, second = (kept_flags(chosen[name]) for name in names)
    rows = int(first.sum()), int(second.sum())
    both = rows[0] * rows[1] / len(first)
    either = sum(rows) - both
    return Pair(
        method=method,
        names=names,
        rows=rows,
        jaccard=jaccard(first, second),
        reruns=(reruns[names[0]], reruns[names[1]]),
        by_chance=round(both / either, 6) if either else None,
    )
