"""What a method gives -> a decision for every row, or a sentence about what it is instead."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from hf_rap.columns import ERROR, ERROR_CODES
from hf_rap.errors import SettingError
from hf_rap.options import as_settings, shown
from hf_rap.stats.arrays import arrow_columns

from .arrays import why_unscored
from .base import Decision, Step

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray


def ask_method(name: str, decide: Callable[[Any, Any], Any], ds: Any, settings: Any) -> Any:
    """What the function of a method says.

    Raises:
        SettingError: it cannot be called with a dataset and settings, or is asynchronous.

    """
    if inspect.iscoroutinefunction(decide):
        raise SettingError(f"Method {name!r} is asynchronous: it takes a function that returns which rows are kept.")
    try:
        inspect.signature(decide).bind(ds, settings)
    except TypeError as error:
        raise SettingError(f"Method {name!r} cannot be called with (dataset, settings): {error}.") from error
    except ValueError:  # some callables of C do not tell
        pass
    return decide(ds, settings)


def read_decision(name: str, reasons: Mapping[str, bool], given: Any, ds: Any) -> Decision:
    """A decision whose parts fit each other and the rows; from booleans one with a reason for each side.

    Args:
        name: of the method.
        reasons: that it declares, each with whether its rows are kept; none declares any.
        given: what its function gave.
        ds: the rows.

    Raises:
        SettingError: something else came.

    """
    import numpy as np

    sentence = f"Method {name!r} gave"
    if not isinstance(given, Decision):
        keep = _keep(sentence, given, len(ds))
        sides = [
            next((reason for reason, kept in reasons.items() if kept == side), f"{word}_by_{name}")
            for side, word in ((True, "kept"), (False, "dropped"))
        ]
        return Decision(keep, np.where(keep, *sides).astype(object), _usual_funnel(keep), {})
    keep = _keep(sentence, given.keep, len(ds))
    reason = _reason(sentence, given.reason, len(ds))
    _check_reasons(sentence, reasons, keep, reason, ds)
    return given._replace(
        keep=keep, reason=reason, funnel=_funnel(sentence, given.funnel, keep), rule=_rule(name, given.rule)
    )


def _keep(sentence: str, given: Any, rows: int) -> NDArray[np.bool_]:
    import numpy as np

    keep = np.asarray(list(given) if isinstance(given, Iterator) else given)
    if keep.dtype == object and keep.shape == (rows,) and all(isinstance(value, (bool, np.bool_)) for value in keep):
        keep = keep.astype(bool)
    if keep.dtype != bool or keep.shape != (rows,):
        raise SettingError(
            f"{sentence} {type(given).__name__} of type {keep.dtype} and shape {keep.shape}: it takes a boolean per row, shape "
            f"({rows},), or a Decision with them."
        )
    return keep


def _reason(sentence: str, given: Any, rows: int) -> NDArray[np.object_]:
    import numpy as np

    if isinstance(given, str) or not hasattr(given, "__len__") or len(given) != rows:
        count = f"{len(given)} reasons" if hasattr(given, "__len__") and not isinstance(given, str) else shown(given)
        raise SettingError(f"{sentence} {count} for {rows} rows: Decision.reason takes one name per row.")
    reason = np.fromiter(given, dtype=object, count=rows)
    distinct = set(map(type, reason)) <= {str} and set(reason)
    if distinct and all(map(str.strip, distinct)):
        return reason
    for row, name in enumerate(reason):
        if not isinstance(name, str) or not name.strip():
            raise SettingError(f"{sentence} the reason {shown(name)} for row {row}: every row has one, by its name.")
        reason[row] = str(name)
    return reason


def _check_reasons(
    sentence: str, reasons: Mapping[str, bool], keep: NDArray[np.bool_], reason: NDArray[np.object_], ds: Any
) -> None:
    """The reasons are declared, and rows are kept for those that keep."""
    import numpy as np

    if not reasons:
        return
    given = set(reason.tolist())
    unknown = sorted(given - set(reasons) - set(ERROR_CODES))
    if unknown:
        cells = arrow_columns(ds, [ERROR.name]).get(ERROR.name)
        unknown = sorted(set(unknown) - set(why_unscored(np.full(len(ds), np.nan), cells).tolist()))
    if unknown:
        raise SettingError(
            f"{sentence} the reason {unknown[0]!r}, which is not among its reasons: add Reason({unknown[0]!r}, ...) to "
            "Method(reasons=...)."
        )
    for name in sorted(given & set(reasons)):
        wrong = np.flatnonzero((reason == name) & (keep != reasons[name]))
        if wrong.size:
            does, says = ("keeps", "dropped") if keep[wrong[0]] else ("drops", "kept")
            raise SettingError(f"{sentence} the reason {name!r}, of {says} rows, to row {wrong[0]}, which it {does}.")


def _usual_funnel(keep: NDArray[np.bool_]) -> tuple[Step, ...]:
    return Step("rows", len(keep)), Step("selected", int(keep.sum()))


def _funnel(sentence: str, given: Any, keep: NDArray[np.bool_]) -> tuple[Step, ...]:
    """The steps as they are, or all rows and those that are kept where there are none."""
    usual = _usual_funnel(keep)
    if given is None or (isinstance(given, (list, tuple)) and not given):
        return usual
    try:
        steps = tuple(Step(str(name), *map(int, counts)) for name, *counts in given)
    except (TypeError, ValueError) as error:
        raise SettingError(
            f"{sentence} the funnel {shown(given)}: it takes Step(name, rows), one after the other."
        ) from error
    if (steps[0].rows, steps[-1].rows) != (usual[0].rows, usual[-1].rows):
        raise SettingError(
            f"{sentence} a funnel from {steps[0].rows} to {steps[-1].rows} rows: the first step has all {usual[0].rows}, the "
            f"last the {usual[-1].rows} that are kept."
        )
    return steps


def _rule(name: str, given: Any) -> dict[str, Any]:
    """What decided as JSON has it, numbers of numpy as those of Python."""
    if given is None:
        return {}
    rule = as_settings(f"The rule of method {name!r}", given)
    if "method" in rule:
        raise SettingError(f"The rule of method {name!r} has 'method', which is its name: call that option otherwise.")
    return rule
