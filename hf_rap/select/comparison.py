"""Several selection methods on the same rows: how large, how alike, and what their rows are like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from hf_rap.columns import ARM_COLUMNS, CDE, CDE_CONTROL, CONTROLS, DIFFICULTY, foreign_scores
from hf_rap.errors import MissingColumnError, RapError, SettingError
from hf_rap.options import check, check_whole
from hf_rap.scorers import can_be_made, find_scorer, usual_scores
from hf_rap.scorers.base import add_scores
from hf_rap.scorers.cde import CDEScore

from . import Selection, select_cognitive
from .base import rows_to_select
from .compared import Compared, Comparison
from .methods import METHODS, every_method, find_method
from .overrides import marks_of_rule, read_marks
from .rules import RULES, tokens_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from .method import Method
    from .overrides import Marks

ALL = "all"  # every method, and rap by each control


def compare_methods(
    ds: Any, methods: Sequence[str | Method] | str, *, budget: int | None = None, seed: int = 0, overrides: Any = None
) -> Comparison:
    """The selections of these methods, each as published, side by side.

    Args:
        ds: a `Dataset` with the columns that the methods read, or a `Selection`; cde and difficulty are computed from its
            evidence where they are not there.
        methods: names in `hf_rap.select.METHODS` or methods of your own, no name twice. "rap:blank" is the method rap with a cde that
            compares the image with a blank one (`CDEScore(control="blank")`), where there is evidence of that. "all" is every
            method, those of plugins too, and rap by each control: what one of them lacks stands under `lacking` instead.
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
    choices = choices_of(methods)
    forgiving = is_all(methods)
    against = {control: _against(ds, control) for control in _controls(ds, choices if not forgiving else ())}
    selections, lacking = select_by_each(
        ds, choices, against, budget=budget, seed=seed, marks=marks, forgiving=forgiving
    )
    kept = {name: kept_flags(selection) for name, selection in selections.items()}
    made = [choice for choice in choices if choice.name in kept]
    return Comparison(
        rows=len(ds),
        selections=tuple(_compared(ds, against, choice, kept[choice.name]) for choice in made),
        jaccard=tuple(tuple(jaccard(kept[first.name], kept[second.name]) for second in made) for first in made),
        lacking={choice.name: lacking[choice.name] for choice in choices if choice.name in lacking},
    )


def select_by_each(
    ds: Any,
    choices: Iterable[Choice],
    against: Mapping[str, Any],
    *,
    budget: int | None,
    seed: int,
    marks: Marks | None,
    forgiving: bool,
) -> tuple[dict[str, Selection], dict[str, str]]:
    """The selection of each method, by its name, and of those that the rows cannot be selected by what they lack.

    Raises:
        RapError: of a method that fails; where that is forgiven, of the first one if all do.

    """
    selections: dict[str, Selection] = {}
    errors: dict[str, RapError] = {}
    for choice in sorted(choices, key=lambda choice: choice.method.needs_budget):
        try:
            options: dict[str, Any] = {}
            if choice.method.needs_budget:
                options = {"budget": budget if budget is not None else _size(selections, choice.name)}
            rows = ds
            if choice.control is not None:
                rows = against[choice.control] if choice.control in against else _against(ds, choice.control)
            selections[choice.name] = select_cognitive(
                rows, method=choice.method, seed=seed, overrides=marks, **options
            )
        except RapError as error:
            if not forgiving:
                raise
            errors[choice.name] = error
    if not selections:
        raise next(iter(errors.values()))
    return selections, {name: _why(error) for name, error in errors.items()}


def kept_flags(selection: Selection) -> NDArray[np.bool_]:
    """Which rows a selection keeps, (n_rows,)."""
    import numpy as np

    keep = np.zeros(len(selection.scored), dtype=bool)
    keep[selection.kept_rows] = True
    return keep


def jaccard(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float | None:
    """Rows in both selections by rows in either; None where both are empty."""
    import numpy as np

    either = int(np.count_nonzero(first | second))
    return round(int(np.count_nonzero(first & second)) / either, 6) if either else None


def is_all(methods: Any) -> bool:
    """Every method is asked for."""
    return methods == ALL or (isinstance(methods, (list, tuple)) and list(methods) == [ALL])


def choices_of(methods: Any) -> list[Choice]:
    """What was asked for, in its order."""
    if is_all(methods):
        names = [name for name in RULES if name.partition(":")[0] in METHODS]  # the order of the table
        return [_parsed(name) for name in (*names, *(name for name in every_method() if name not in RULES))]
    check(
        isinstance(methods, (list, tuple)) and methods,
        "methods",
        methods,
        f"some of {', '.join(METHODS)}, each once, or {ALL!r}",
    )
    choices = [_parsed(choice) for choice in methods]
    names = [choice.name for choice in choices]
    check(len(set(names)) == len(names), "methods", names, f"some of {', '.join(METHODS)}, each once")
    return choices


def with_scores(ds: Any) -> Any:
    """The dataset with cde, difficulty and the scores of plugins, where there is evidence for them."""
    scorers = [find_scorer(name) for name in usual_scores(ds) if name != "ace"]
    return add_scores(ds, *(scorer for scorer in scorers if can_be_made(scorer, ds.column_names)))


def _size(selections: Mapping[str, Selection], method: str) -> int:
    size = next((size for selection in selections.values() if (size := len(selection.kept_rows))), 0)
    if not size:
        raise SettingError(
            f"Method {method!r} needs a budget: there is no other selection with rows to be as large as."
        )
    return size


class Choice(NamedTuple):
    """A method as it was asked for, and the control that its cde compares with, if it was named."""

    name: str
    method: Method
    control: str | None


def _parsed(choice: str | Method) -> Choice:
    """A method, or a name such as "rap" or "rap:blank"."""
    if not isinstance(choice, str):
        method = find_method(choice)
        return Choice(method.name, method, None)
    name, colon, control = choice.partition(":")
    method = find_method(name)
    if colon and "control" not in method.meanings:
        able = ", ".join(method.name for method in METHODS.values() if "control" in method.meanings)
        raise SettingError(f"methods has {choice!r}: only {able} goes by a cde whose control can be chosen.")
    if colon and control not in CONTROLS:
        raise SettingError(f"methods has {choice!r}: behind the colon goes one of {', '.join(CONTROLS)}.")
    return Choice(choice, method, control or None)


def _controls(ds: Any, choices: Iterable[Choice]) -> list[str]:
    """Those that are asked for, and those that there is evidence of."""
    named = {choice.control for choice in choices}
    return [name for name in CONTROLS if name in named or ARM_COLUMNS[name].rewards.name in ds.column_names]


def _against(ds: Any, control: str) -> Any:
    """The dataset with a cde that compares with this control."""
    old = [column.name for column in (CDE, CDE_CONTROL) if column.name in ds.column_names]
    return add_scores(ds.remove_columns(old), CDEScore(control=control))


def _compared(ds: Any, against: Mapping[str, Any], choice: Choice, keep: NDArray[np.bool_]) -> Compared:
    kept = keep.nonzero()[0]
    rule = RULES.get(choice.name)
    return Compared(
        method=choice.name,
        rows=len(kept),
        mean_difficulty=_mean(ds, kept, DIFFICULTY.name),
        mean_cde=_mean(ds, kept, CDE.name),
        mean_controls={control: _mean(rows, kept, CDE.name) for control, rows in against.items()},
        mean_scores={name: _mean(ds, kept, name) for name in foreign_scores(ds.features)},
        tokens=None if rule is None else tokens_of(ds, rule),
    )


def _mean(ds: Any, kept: NDArray[np.int64], column: str) -> float | None:
    import numpy as np

    if column not in ds.column_names:
        return None
    # All rows, then those that are kept: `selected` would copy images into a new table.
    values = ds.select_columns([column]).with_format("arrow")[:][column].to_numpy()[kept]
    scores = values[~np.isnan(values.astype(np.float64))].astype(np.float64)
    return round(float(scores.mean()), 6) if scores.size else None


def _why(error: RapError) -> str:
    """Without the list of all columns, which all rules share."""
    if isinstance(error, MissingColumnError):
        return f"there is no column {error.column!r}. {error.hint}".rstrip()
    return str(error)
