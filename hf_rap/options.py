"""Whether the value of an option can work: every check names the option, its value, and what it takes.

And whether JSON, YAML or Python that others have written can be used: `read_json`, `read_yaml`, `parse_python`.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Mapping
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any
from warnings import warn

from .errors import RapDeprecationWarning, SettingError, first_line, without_passwords

if TYPE_CHECKING:
    from collections.abc import Iterable

GOES_AWAY = "0.2"  # old names of what was renamed
_SHOWN = 80  # characters of a value


MAX_JSON_BYTES = 1 << 26
MAX_JSON_DEPTH = 64
# Characters; a hundred thousand take a second, and the longest heads of cards on the Hub have as many.
MAX_YAML = 1 << 18
_BRACKET = re.compile(r"[\[\]{}]")
_MAX_CARD = 1 << 20  # characters above a README
_CARD = re.compile(r"\s*---[\r\n]+([\S\s]*?)[\r\n]+---(?:\r\n|\n|$)")  # as huggingface_hub finds it
_MAX_YAML_VALUES = 1_000_000  # a few lines with anchors can stand for billions
_PARSED_AGAIN = 16


class ForeignError(ValueError):
    """What others have written is not what it should be; the message goes on behind the name of the file."""


def read_json(
    text: str | bytes,
    kind: type = dict,
    *,
    most: int = MAX_JSON_BYTES,
    depth: int = MAX_JSON_DEPTH,
    halves: bool = False,
    any_number: bool = False,
) -> Any:
    """JSON that somebody else has written: of bounded size and depth, with numbers that are some and texts that can be written.

    Args:
        text: what was read.
        kind: what it has to be, `dict` or `list`; `object` for anything.
        most: bytes, or characters of a text.
        depth: how many lists and dictionaries may stand inside each other.
        halves: half characters are let through, for who mends them (`hf_rap.errors.whole_text`).
        any_number: take NaN and infinities as well, as cells of tables have them.

    Raises:
        ForeignError: it is no such JSON.

    """
    if len(text) > most:
        raise ForeignError(f"has {len(text):,} bytes, and at most {most:,} are read")
    try:
        value = json.loads(text, parse_constant=None if any_number else _no_number)
    except RecursionError as error:
        raise ForeignError(f"is nested more than {depth} deep") from error
    except ValueError as error:  # UnicodeDecodeError is one
        raise ForeignError("is no JSON") from error
    if not isinstance(value, kind):
        raise ForeignError(f"is no JSON {'object' if kind is dict else 'list'}")
    _check_values(value, depth, any_number=any_number, halves=halves)
    return value


def read_json_file(path: str | PathLike[str], *, most: int = MAX_JSON_BYTES) -> dict[str, Any]:
    """The object in a file that somebody else has written; raises as `read_json`, and `OSError` for no regular file."""
    place = Path(path)
    if not place.is_file():
        raise FileNotFoundError(f"{place.name} is no regular file")
    with place.open("rb") as file:
        values: dict[str, Any] = read_json(file.read(most + 1), most=most)
    return values


def parse_python(text: str) -> ast.Expression:
    """An expression of Python; raises as `ast.parse`, but for the SystemError of one that another thread came between.

    All threads count how deep they are in one place until Python 3.11.8 and 3.12.2 (cpython#106905); whoever writes a
    traceback parses, too.
    """
    for _ in range(_PARSED_AGAIN):
        try:
            return ast.parse(text, mode="eval")
        except SystemError:
            continue
    return ast.parse(text, mode="eval")


def read_yaml(text: str, *, most: int = MAX_YAML) -> Any:
    """YAML that somebody else has written, of bounded length, depth and number of values, its anchors written out.

    Args:
        text: the YAML.
        most: characters that are read.

    Raises:
        ForeignError: it is no such YAML.

    """
    import yaml  # type: ignore[import-untyped]

    if len(text) > most:
        raise ForeignError(f"has {len(text):,} characters, and at most {most:,} are read")
    depth = 0  # brackets in texts count too: a thousand levels take seconds until they are an error
    for bracket in _BRACKET.finditer(text):
        depth += 1 if bracket[0] in "[{" else -1
        if depth > MAX_JSON_DEPTH:
            raise ForeignError(f"is nested more than {MAX_JSON_DEPTH} deep")
    loader = None
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        _written_out(node, MAX_JSON_DEPTH, {})  # before anything is built: merging (<<) writes anchors out
        value = None if node is None else loader.construct_document(node)
    except (yaml.YAMLError, RecursionError, ValueError) as error:  # of a date such as 2024-13-01
        if isinstance(error, ForeignError):
            raise
        raise ForeignError(f"is no YAML ({first_line(error)})") from error
    finally:
        if loader is not None:
            loader.dispose()
    _check_values(value, MAX_JSON_DEPTH, any_number=True)
    return value


def _written_out(node: Any, depth: int, sizes: dict[int, int]) -> int:
    """How many values a node of YAML stands for with its anchors written out; raises `ForeignError` for too many, or too deep."""
    if id(node) in sizes:
        return sizes[id(node)]
    if depth < 0:  # a list that holds itself, too
        raise ForeignError(f"is nested more than {MAX_JSON_DEPTH} deep")
    parts = node.value if node is not None and not isinstance(node.value, str) else ()
    inner = (part for pair in parts for part in (pair if isinstance(pair, tuple) else (pair,)))
    size = 1 + sum(_written_out(part, depth - 1, sizes) for part in inner)
    if size > _MAX_YAML_VALUES:
        raise ForeignError(f"has more than {_MAX_YAML_VALUES:,} values")
    sizes[id(node)] = size
    return size


def read_card_metadata(path: str | PathLike[str]) -> dict[str, Any] | None:
    """What stands above the README of somebody's dataset; None where there is no such file, or nothing stands above it.

    Raises:
        ForeignError: it is no such YAML.

    """
    place = Path(path)
    if not place.is_file():
        return None
    with place.open(encoding="utf-8", errors="replace", newline="") as file:
        text = file.read(_MAX_CARD)
    head = _CARD.match(text)
    if head is None and len(text) == _MAX_CARD and text.lstrip().startswith("---"):
        raise ForeignError(f"has more than {_MAX_CARD:,} characters")
    value = None if head is None else read_yaml(head[1], most=_MAX_CARD)
    return value if isinstance(value, dict) else None


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _check_values(value: Any, depth: int, *, any_number: bool, halves: bool = False) -> None:
    """Raise `ForeignError` for what is nested too deep, and for half characters, which no file can hold."""
    level = [value]
    for _ in range(depth + 1):
        below: list[Any] = []
        for part in level:
            if isinstance(part, str):
                if not (halves or part.isascii()) and any("\ud800" <= letter <= "\udfff" for letter in part):
                    raise ForeignError("has half a character in a text")
            elif isinstance(part, dict):
                below += part.keys()
                below += part.values()
            elif isinstance(part, list):
                below += part
            elif isinstance(part, float) and not (any_number or math.isfinite(part)):
                raise ForeignError("has a number beyond all bounds")
        if not below:
            return
        level = below
    raise ForeignError(f"is nested more than {depth} deep")


def check(fine: object, name: str, value: object, takes: str) -> None:
    """Raise `SettingError` for a value that is not fine; `takes` says what would be.

    >>> check(callable(len), "split", len, "a function of a response")
    """
    if not fine:
        raise SettingError(f"{name} is {shown(value)}: it takes {takes}.")


def shown(value: object) -> str:
    """A value in one line that is not too long, for a sentence about it.

    >>> shown(["a"] * 3)
    "['a', 'a', 'a']"
    """
    line = " ".join(repr(value).split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."


def is_ours(value: object) -> bool:
    """Whether the class of an object is written here, and so does what its protocol says.

    >>> is_ours("text")
    False
    """
    return type(value).__module__.startswith("hf_rap.")


def as_json(value: Any) -> Any:
    """A value as it comes back from JSON, numbers and arrays of numpy as those of Python.

    >>> as_json({"width": (1, 2)})
    {'width': [1, 2]}

    Raises:
        TypeError, ValueError: JSON cannot hold it; neither does it hold NaN.

    """
    return json.loads(json.dumps(value, allow_nan=False, default=_of_python))


def as_settings(subject: str, given: Any) -> dict[str, Any]:
    """What an object from outside says about itself, ready for JSON; `subject` begins the sentence where it is not."""
    if not isinstance(given, Mapping):
        raise SettingError(f"{subject} gives {shown(given)}: it takes a dictionary of names and what JSON can hold.")
    settings: dict[str, Any] = {}
    for name, value in given.items():
        try:
            settings[str(name)] = as_json(value)
        except (TypeError, ValueError) as error:
            raise SettingError(f"{subject} gives {name}={shown(value)}, which JSON cannot hold.") from error
    return settings


def _of_python(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError


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
    if (is_number(value) and _is_inside(value, least, above, most, below)) or (none and value is None):
        return
    takes = f"a number{limits(least, above, most, below)}{', or None' if none else ''}"
    check(False, name, value, takes)


def check_whole(
    name: str, value: Any, *, least: int | None = None, most: int | None = None, none: bool = False
) -> None:
    """The same for whole numbers."""
    if (is_whole(value) and _is_inside(value, least, None, most, None)) or (none and value is None):
        return
    takes = f"a whole number{limits(least, None, most, None)}{', or None' if none else ''}"
    check(False, name, value, takes)


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
    """Raise `SettingError` for anything but a text or a path, or None where that is fine; for a URL with a password at once."""
    if isinstance(value, str) and without_passwords(value) != value:
        raise SettingError(
            f"{name} is a URL with a password in it, which would stand on screens, in logs and in notes: leave it out, and give "
            "it in the environment, or in a file of fsspec (~/.config/fsspec/conf.json), whose documentation has the names."
        )
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
