"""The line that makes a selection, for a shell and for Python, without the thresholds that a page can move."""

from __future__ import annotations

import importlib
import shlex
from inspect import signature
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

# Options that a command calls otherwise, or says by being there.
_FLAGS = {"ratio": "--top", "count": "--top"}
_SWITCHES = {
    ("replace_easy", False): "--keep-easy",
    ("lowest", True): "--lowest",
    ("drop_duplicates", True): "--drop-duplicates",
}
_NOT_SAID = {"per": None}  # where the command's default is another than that of the function


def defaults_of(function: str) -> dict[str, Any]:
    """The default of each option of a public function that selects."""
    made = importlib.import_module("hf_rap.select").__dict__[function]
    return {name: parameter.default for name, parameter in list(signature(made).parameters.items())[1:]}


def flag_of(name: str) -> str:
    """What a command calls an option.

    >>> flag_of("min_cde"), flag_of("ratio")
    ('--min-cde', '--top')
    """
    return _FLAGS.get(name, f"--{name.replace('_', '-')}")


def command(function: str, options: Mapping[str, Any], source: str | None, moved: Collection[str]) -> str:
    """`hf-rap select SOURCE` with the options that are not the default, but for those that are moved."""
    words = ["hf-rap", "select", source or "scored.parquet"]
    if function == "select_difficulty":
        words += ["--method", "difficulty"]
    defaults = {**defaults_of(function), **_NOT_SAID}
    for name, value in options.items():
        if name in moved or value == defaults.get(name):
            continue
        if isinstance(value, bool):
            words.append(_SWITCHES[name, value])
        else:
            words += [flag_of(name), _in_shell(value)]
    return shlex.join(words)


def _in_shell(value: Any) -> str:
    if isinstance(value, dict):
        return ",".join(f"{name}={rows}" for name, rows in value.items())
    return "none" if value is None else str(value).replace("as many", "as-many")


def arguments(function: str, options: Mapping[str, Any], moved: Collection[str]) -> list[str]:
    """The same as arguments of the function, "name=value" each."""
    defaults = defaults_of(function)
    return [f"{name}={value!r}" for name, value in options.items() if name not in moved and value != defaults.get(name)]
