"""Whether the value of an option, or a dataset, can work: every check names it, its value, and what is taken."""

from __future__ import annotations

import math
from numbers import Integral, Real
from os import PathLike
from typing import TYPE_CHECKING, Any
from warnings import warn

from .errors import RapDeprecationWarning, SettingError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import datasets

GOES_AWAY = "0.2"  # old names of what was renamed
_SHOWN = 80  # characters of a value


def check(fine: object, name: str, value: object, takes: str) -> None:
    """Raise `SettingError` for a value that is not fine; `takes` says what would be.

    >>> check(callable(len), "split", len, "a function of a response")
    """
    if not fine:
        shown = " ".join(repr(value).split())
        shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
        raise SettingError(f"{name} is {shown}: it takes {takes}.")


def is_whole(value: object) -> bool:
    """A whole number, of Python or numpy; a flag is none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """A finite number, of Python or numpy; a flag is none."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def check_number(
    name: str,
    value: Any,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
    none: bool = False,
) -> None:
    """Raise `SettingError` for anything but a finite number within these limits, or None where that is fine.

    Args:
        name: of the option.
        value: what was given.
        least: the number is this or more.
        above: the number is above this.
        most: the number is this or less.
        below: the number is below this.
        none: None is fine too.

    """
    inside = is_number(value) and _is_inside(value, least, above, most, below)
    takes = f"a number{limits(least, above, most, below)}{', or None' if none else ''}"
    check(inside or (none and value is None), name, value, takes)


def check_whole(
    name: str, value: Any, *, least: int | None = None, most: int | None = None, none: bool = False
) -> None:
    """The same for whole numbers."""
    inside = is_whole(value) and _is_inside(value, least, None, most, None)
    takes = f"a whole number{limits(least, None, most, None)}{', or None' if none else ''}"
    check(inside or (none and value is None), name, value, takes)


def check_choice(name: str, value: Any, choices: Iterable[str], *, none: bool = False) -> None:
    """Raise `SettingError` for anything but one of these words, or None where that is fine."""
    words = tuple(choices)
    takes = f"one of {', '.join(words)}{', or None' if none else ''}"
    check(value in words or (none and value is None), name, value, takes)


def check_text(name: str, value: Any, *, none: bool = False, empty: bool = True) -> None:
    """Raise `SettingError` for anything but a text, that may be `empty`, or None where that is fine."""
    fine = isinstance(value, str) and (empty or bool(value.strip()))
    check(fine or (none and value is None), name, value, f"a text{', or None' if none else ''}")


def check_path(name: str, value: Any, takes: str, *, none: bool = False) -> None:
    """Raise `SettingError` for anything but a text or a path, or None where that is fine."""
    fine = isinstance(value, PathLike) or (isinstance(value, str) and bool(value.strip()))
    check(fine or (none and value is None), name, value, f"{takes}{', or None' if none else ''}")


def check_flags(**flags: Any) -> None:
    """Raise `SettingError` for the first that is neither True nor False: "no" would count as yes."""
    for name, value in flags.items():
        check(value in (True, False), name, value, "True or False")


def limits(
    least: float | None = None, above: float | None = None, most: float | None = None, below: float | None = None
) -> str:
    """Limits of a number in words, to stand behind it.

    >>> limits(0, most=1), limits(1), limits(above=0, below=1)
    (' between 0 and 1', ' of 1 or more', ' above 0 and below 1')
    """
    if least is not None and most is not None:
        return f" between {least} and {most}"
    words = {"of {} or more": least, "above {}": above, "up to {}": most, "below {}": below}
    phrases = [text.format(limit) for text, limit in words.items() if limit is not None]
    return f" {' and '.join(phrases)}" if phrases else ""


def _is_inside(value: Any, least: Any, above: Any, most: Any, below: Any) -> bool:
    return bool(
        (least is None or value >= least)
        and (above is None or value > above)
        and (most is None or value <= most)
        and (below is None or value < below)
    )


def renamed(old: str, value: Any, new: str, given: Any) -> Any:
    """What was given under the new name of an option, or under the old one, which is said to go away.

    >>> renamed("control", None, "random_control", True)
    True
    """
    if value is None:
        return given
    warn(
        f"{old}= is now called {new}=; the old name goes away in version {GOES_AWAY}.",
        RapDeprecationWarning,
        stacklevel=3,
    )
    return value


def say_moved(old: str, new: str) -> None:
    """Warn that a public name is somewhere else now; its caller is `hf_rap.__getattr__`."""
    warn(f"{old} is now {new}; the old place goes away in version {GOES_AWAY}.", RapDeprecationWarning, stacklevel=3)


# What becomes a dataset, by the library and name of its type.
_MAKERS = {
    "list": "Dataset.from_list(rows)",
    "tuple": "Dataset.from_list(list(rows))",
    "dict": "Dataset.from_dict(columns)",
    "DataFrame": "Dataset.from_pandas(frame), or Dataset.from_polars(frame)",
    "Table": "Dataset(table)",
    "str": "hf_rap.load_source(source)",
    "PosixPath": "hf_rap.load_source(source)",
}


def whole_dataset(reader: str, ds: Any, *, selection: bool = False) -> datasets.Dataset:
    """The `Dataset` that was given, or the only split of a `DatasetDict`.

    Args:
        reader: the function that takes it, for errors.
        ds: what was given.
        selection: a `Selection` is taken too, as all of its rows.

    Raises:
        SettingError: it is something else; with what to pass.

    """
    import datasets

    rows = _unwrapped(reader, ds, selection=selection)
    if isinstance(rows, datasets.IterableDataset):
        raise SettingError(
            f"{reader} looks at all rows, so it takes a Dataset, not a stream: load it without streaming=True, or take a "
            "part of it, Dataset.from_list(list(ds.take(1000)), features=ds.features)."
        )
    return rows


def whole_or_stream(reader: str, ds: Any) -> datasets.Dataset | datasets.IterableDataset:
    """The same where row after row will do: a stream stays one."""
    rows: datasets.Dataset | datasets.IterableDataset = _unwrapped(reader, ds, selection=False)
    return rows


def _unwrapped(reader: str, ds: Any, *, selection: bool) -> Any:
    import datasets

    if isinstance(ds, (datasets.DatasetDict, datasets.IterableDatasetDict)):
        if len(ds) != 1:
            splits = ", ".join(ds) or "none"
            raise SettingError(
                f"{reader} takes one split of a {type(ds).__name__}, such as ds[{next(iter(ds), 'train')!r}] (it has: {splits})."
            )
        ds = next(iter(ds.values()))
    if hasattr(ds, "scored") and hasattr(ds, "selected"):
        if not selection:
            raise SettingError(
                f"{reader} takes rows, not a Selection: pass selection.selected, the rows that are kept, or "
                "selection.scored, all of them."
            )
        ds = ds.scored
    if isinstance(ds, (datasets.Dataset, datasets.IterableDataset)):
        return ds
    name = type(ds).__name__
    maker = f" Make one: {_MAKERS[name]}." if name in _MAKERS else ""
    raise SettingError(f"{reader} takes a Dataset, not a {name}.{maker}")
