"""Several selection methods on the same rows: how large, how alike, and what their rows are like."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_rap.columns import ARM_COLUMNS, CDE, CDE_CONTROL, CONTROLS, DIFFICULTY, foreign_scores
from hf_rap.errors import SettingError
from hf_rap.options import check, check_whole
from hf_rap.scorers import can_be_made, find_scorer, usual_scores
from hf_rap.scorers.base import add_scores
from hf_rap.scorers.cde import CDEScore
from hf_rap.tables.notebook import brief, code, html_page, html_table

from . import Selection, select_cognitive
from .base import rows_to_select
from .methods import METHODS, find_method
from .overrides import marks_of_rule, read_marks
from .sweep import overlap

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from .method import Method


@dataclass(frozen=True)
class Compared:
    """One method: rows kept, and the means of their known scores; None where none is known.

    `mean_controls` has the mean cde against each control that there is evidence of, `mean_scores` the mean of each score that
    is not one of ours.
    """

    method: str
    rows: int
    mean_difficulty: float | None
    mean_cde: float | None
    mean_controls: dict[str, float | None] = field(default_factory=dict)
    mean_scores: dict[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, repr=False)
class Comparison:
    """What `compare_methods` found.

    Attributes:
        rows: of the dataset.
        selections: one per method, in the order that was asked for.
        jaccard: rows in both selections by rows in either, for each pair; None where both are empty.

    """

    rows: int
    selections: tuple[Compared, ...]
    jaccard: tuple[tuple[float | None, ...], ...]

    def as_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return asdict(self)

    def _means(self) -> dict[str, list[float | None]]:
        """What is shown of each selection beside its size, by its title."""
        first = self.selections[0]
        return {
            "mean difficulty": [each.mean_difficulty for each in self.selections],
            "mean cde": [each.mean_cde for each in self.selections],
            **{f"cde:{name}": [each.mean_controls[name] for each in self.selections] for name in first.mean_controls},
            **{f"mean {name}": [each.mean_scores[name] for each in self.selections] for name in first.mean_scores},
        }

    def __str__(self) -> str:
        names = [selection.method for selection in self.selections]
        width = max(10, *map(len, names))
        means = self._means()
        widths = [16, *(max(9, len(head)) for head in list(means)[1:])]
        head_cells = "".join(f" {head:>{size}}" for head, size in zip(means, widths, strict=True))
        lines = [f"{self.rows:,} rows", "", f"{'method':<{width}} {'rows':>9}{head_cells}"]
        for place, selection in enumerate(self.selections):
            texts = ["unknown" if column[place] is None else f"{column[place]:.3f}" for column in means.values()]
            cells = "".join(f" {text:>{size}}" for text, size in zip(texts, widths, strict=True))
            lines.append(f"{selection.method:<{width}} {selection.rows:>9,}{cells}")
        lines += ["", f"{'Jaccard':<{width}} " + " ".join(f"{name:>{width}}" for name in names)]
        for name, row in zip(names, self.jaccard, strict=True):
            cells = " ".join(f"{'-' if cell is None else f'{cell:.3f}':>{width}}" for cell in row)
            lines.append(f"{name:<{width}} {cells}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return brief(f"Comparison: {self}", "print(comparison)")

    def _repr_html_(self) -> str:
        means = self._means()
        sizes = [
            (code(each.method), each.rows, *(_unknown(column[place]) for column in means.values()))
            for place, each in enumerate(self.selections)
        ]
        names = [each.method for each in self.selections]
        overlaps = [
            (code(name), *("-" if cell is None else cell for cell in row))
            for name, row in zip(names, self.jaccard, strict=True)
        ]
        return html_page(
            f"Comparison: {len(names)} selections from {self.rows:,} rows",
            html_table(sizes, ("method", "rows", *means)),
            html_table(overlaps, ("Jaccard", *names)),
        )


def _unknown(mean: float | None) -> float | str:
    return "unknown" if mean is None else mean


def compare_methods(
    ds: Any, methods: Sequence[str | Method], *, budget: int | None = None, seed: int = 0, overrides: Any = None
) -> Comparison:
    """The selections of these methods, each as published, side by side.

    Args:
        ds: a `Dataset` with the columns that the methods read, or a `Selection`; cde and difficulty are computed from its
            evidence where they are not there.
        methods: names in `hf_rap.select.METHODS` or methods of your own, no name twice. "rap:blank" is the method rap with a cde that
            compares the image with a blank one (`CDEScore(control="blank")`), where there is evidence of that.
        budget: rows for the methods that need a number (random, hardest, longest); None takes the size of the first
            selection that needs none and has rows, so that those are controls of the same size.
        seed: of draws and ties.
        overrides: marks of a person, the same for every method, see `select_cognitive`; None takes those of a `Selection`.

    Raises:
        SettingError: a method or control is unknown or named twice, or no size is known for one that needs it.
        MissingColumnError: a method reads a column that is not there.

    """
    rule = getattr(ds, "rule", {})
    rows = rows_to_select("compare_methods", ds)
    marks = marks_of_rule(rows, rule) if overrides is None else read_marks(overrides)
    ds = with_scores(rows)
    check_whole("budget", budget, least=1, none=True)
    check_whole("seed", seed)
    check(
        isinstance(methods, (list, tuple)) and methods, "methods", methods, f"some of {', '.join(METHODS)}, each once"
    )
    choices = [_parsed(choice) for choice in methods]
    names = [choice.name for choice in choices]
    check(len(set(names)) == len(names), "methods", names, f"some of {', '.join(METHODS)}, each once")
    against = {control: _against(ds, control) for control in _controls(ds, choices)}
    selections: dict[str, Selection] = {}
    for name, method, control in sorted(choices, key=lambda choice: choice.method.needs_budget):
        options: dict[str, Any] = {}
        if method.needs_budget:
            size = budget if budget is not None else _size(selections, name)
            options = {"budget": size}
        rows = ds if control is None else against[control]
        selections[name] = select_cognitive(rows, method=method, seed=seed, overrides=marks, **options)
    kept = {name: set(selection.kept_rows.tolist()) for name, selection in selections.items()}
    return Comparison(
        rows=len(ds),
        selections=tuple(_compared(ds, against, name, selections[name]) for name in names),
        jaccard=tuple(tuple(overlap(kept[name], kept[second]) for second in names) for name in names),
    )


def with_scores(ds: Any) -> Any:
    """The dataset with cde, difficulty and the scores of plugins, where there is evidence for them."""
    scorers = [find_scorer(name) for name in usual_scores(ds) if name != "ace"]
    return add_scores(ds, *(scorer for scorer in scorers if can_be_made(scorer, ds.column_names)))


def _size(selections: dict[str, Selection], method: str) -> int:
    size = next((size for selection in selections.values() if (size := len(selection.kept_rows))), 0)
    if not size:
        raise SettingError(
            f"Method {method!r} needs a budget: there is no other selection with rows to be as large as."
        )
    return size


class _Choice(NamedTuple):
    name: str
    method: Method
    control: str | None


def _parsed(choice: str | Method) -> _Choice:
    """A method, or a name such as "rap" or "rap:blank"."""
    if not isinstance(choice, str):
        method = find_method(choice)
        return _Choice(method.name, method, None)
    name, colon, control = choice.partition(":")
    method = find_method(name)
    if colon and "control" not in method.meanings:
        able = ", ".join(method.name for method in METHODS.values() if "control" in method.meanings)
        raise SettingError(f"methods has {choice!r}: only {able} goes by a cde whose control can be chosen.")
    if colon and control not in CONTROLS:
        raise SettingError(f"methods has {choice!r}: behind the colon goes one of {', '.join(CONTROLS)}.")
    return _Choice(choice, method, control or None)


def _controls(ds: Any, choices: Iterable[_Choice]) -> list[str]:
    """Those that are asked for, and those that there is evidence of."""
    named = {choice.control for choice in choices}
    return [name for name in CONTROLS if name in named or ARM_COLUMNS[name].rewards.name in ds.column_names]


def _against(ds: Any, control: str) -> Any:
    """The dataset with a cde that compares with this control."""
    old = [column.name for column in (CDE, CDE_CONTROL) if column.name in ds.column_names]
    return add_scores(ds.remove_columns(old), CDEScore(control=control))


def _compared(ds: Any, against: Mapping[str, Any], method: str, selection: Selection) -> Compared:
    kept = selection.kept_rows
    return Compared(
        method=method,
        rows=len(kept),
        mean_difficulty=_mean(ds, kept, DIFFICULTY.name),
        mean_cde=_mean(ds, kept, CDE.name),
        mean_controls={control: _mean(rows, kept, CDE.name) for control, rows in against.items()},
        mean_scores={name: _mean(ds, kept, name) for name in foreign_scores(ds.features)},
    )


def _mean(ds: Any, kept: NDArray[np.int64], column: str) -> float | None:
    import numpy as np

    if column not in ds.column_names:
        return None
    # All rows, then those that are kept: `selected` would copy images into a new table.
    values = ds.select_columns([column]).with_format("arrow")[:][column].to_numpy()[kept]
    scores = values[~np.isnan(values.astype(np.float64))].astype(np.float64)
    return round(float(scores.mean()), 6) if scores.size else None
