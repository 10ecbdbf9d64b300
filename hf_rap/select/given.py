"""What a method gives -> a decision for every row, or a sentence about what it is instead."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from hf_rap.columns import ERROR, ERROR_CODES
from hf_rap.errors import SettingError
from hf_rap.stats.arrays import arrow_columns

from .arrays import why_unscored
from .base import Decision, Step

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

_SHOWN = 80  # characters of a value


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

    told = f"Method {name!r} gave"
    if not isinstance(given, Decision):
        keep = _keep(told, given, len(ds))
        sides = [
            next((reason for reason, kept in reasons.items() if kept == side), f"{word}_by_{name}")
            for side, word in ((True, "kept"), (False, "dropped"))
        ]
        return Decision(keep, np.where(keep, *sides).astype(object), _usual_funnel(keep), {})
    keep = _keep(told, given.keep, len(ds))
    reason = _reason(told, given.reason, len(ds))
    _check_reasons(told, reasons, keep, reason, ds)
    return given._replace(
        keep=keep, reason=reason, funnel=_funnel(told, given.funnel, keep), rule=_rule(told, given.rule)
    )


def _keep(told: str, given: Any, rows: int) -> NDArray[np.bool_]:
    import numpy as np

    keep = np.asarray(list(given) if isinstance(given, Iterator) else given)
    if keep.dtype == object and keep.shape == (rows,) and all(isinstance(value, (bool, np.bool_)) for value in keep):
        keep = keep.astype(bool)
    if keep.dtype != bool or keep.shape != (rows,):
        raise SettingError(
            f"{told} {type(given).__name__} of type {keep.dtype} and shape {keep.shape}: it takes a boolean per row, shape "
            f"({rows},), or a Decision with them."
        )
    return keep


def _reason(told: str, given: Any, rows: int) -> NDArray[np.object_]:
    import numpy as np

    if isinstance(given, str) or not hasattr(given, "__len__") or len(given) != rows:
        count = f"{len(given)} reasons" if hasattr(given, "__len__") and not isinstance(given, str) else _shown(given)
        raise SettingError(f"{told} {count} for {rows} rows: Decision.reason takes one name per row.")
    reason = np.empty(rows, dtype=object)
    for row, name in enumerate(given):
        if not isinstance(name, str) or not name.strip():
            raise SettingError(f"{told} the reason {_shown(name)} for row {row}: every row has one, by its name.")
        reason[row] = str(name)
    return reason


def _check_reasons(
    told: str, reasons: Mapping[str, bool], keep: NDArray[np.bool_], reason: NDArray[np.object_], ds: Any
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
            f"{told} the reason {unknown[0]!r}, which is not among its reasons: add Reason({unknown[0]!r}, ...) to "
            "Method(reasons=...)."
        )
    for name in sorted(given & set(reasons)):
        wrong = np.flatnonzero((reason == name) & (keep != reasons[name]))
        if wrong.size:
            does, says = ("keeps", "dropped") if keep[wrong[0]] else ("drops", "kept")
            raise SettingError(f"{told} the reason {name!r}, of {says} rows, to row {wrong[0]}, which it {does}.")


def _usual_funnel(keep: NDArray[np.bool_]) -> tuple[Step, ...]:
    return Step("rows", len(keep)), Step("selected", int(keep.sum()))


def _funnel(told: str, given: Any, keep: NDArray[np.bool_]) -> tuple[Step, ...]:
    """The steps as they are, or all rows and those that are kept where there are none."""
    usual = _usual_funnel(keep)
    if given is None or (isinstance(given, (list, tuple)) and not given):
        return usual
    try:
        steps = tuple(Step(str(name), *map(int, counts)) for name, *counts in given)
    except (TypeError, ValueError) as error:
        raise SettingError(
            f"{told} the funnel {_shown(given)}: it takes Step(name, rows), one after the other."
        ) from error
    if (steps[0].rows, steps[-1].rows) != (usual[0].rows, usual[-1].rows):
        raise SettingError(
            f"{told} a funnel from {steps[0].rows} to {steps[-1].rows} rows: the first step has all {usual[0].rows}, the "
            f"last the {usual[-1].rows} that are kept."
        )
    return steps


def _rule(told: str, given: Any) -> dict[str, Any]:
    """What decided as JSON has it, numbers of numpy as those of Python."""
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise SettingError(f"{told} the rule {_shown(given)}: it takes options by name.")
    if "method" in given:
        raise SettingError(f"{told} a rule with 'method', which is its name: call that option otherwise.")
    rule: dict[str, Any] = {}
    for name, value in given.items():
        try:
            rule[name] = json.loads(json.dumps(value, allow_nan=False, default=_as_python))
        except (TypeError, ValueError) as error:
            raise SettingError(
                f"{told} {name}={_shown(value)} in its rule: it takes what JSON can hold, and None where it is unknown."
            ) from error
    return rule


def _as_python(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError


def _shown(value: Any) -> str:
    shown = " ".join(repr(value).split())
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
