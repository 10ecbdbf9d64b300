"""What comes from outside: objects of other packages, and those that a user names.

A package offers its own with an entry point of the group `hf_rap`:

    [project.entry-points.hf_rap]
    middle = "my_package.rules:MIDDLE"

`hf-rap --plugin my_package.rules:MIDDLE ...` and `add_plugin("my_package.rules:MIDDLE")` do without. What an object is for
is seen from what it has, see `KINDS`.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import SettingError, first_line

if TYPE_CHECKING:
    from collections.abc import Collection

GROUP = "hf_rap"
UNNAMED = "columns given by the user"  # the name of a layout that has none of its own


class Kind(NamedTuple):
    """A kind of thing that can come from outside: what to call one, what it has, and whether its class comes instead."""

    title: str
    parts: tuple[str, ...]
    is_class: bool = False


# The first that fits is what a plugin is. `over` is what those that inherit Collector have.
KINDS = {
    "method": Kind("a selection method", ("name", "decide", "sentence", "reasons", "describe")),
    "layout": Kind("a layout", ("question", "images", "answer", "columns_in")),
    "export": Kind("an export", ("name", "title", "reads", "accepts", "write", "snippet")),
    "engine": Kind("an engine", ("complete", "describe"), is_class=True),
    "collector": Kind("a collector", ("kind", "writes", "settings", "over")),
    "scorer": Kind("a scorer", ("reads", "writes", "features", "__call__")),
}


class Plugin(NamedTuple):
    """An object from outside, and where it is from."""

    name: str
    kind: str
    value: Any
    place: str


_named: dict[str, Plugin] = {}


def add_plugin(place: str) -> Any:
    """The object at `module:attribute`, from now on known by its name in this process.

    A class is called without arguments first, but for the class of an engine.

    Args:
        place: a module that can be imported, or a file of the working folder, and a name in it: `my_rules:MIDDLE`.

    Raises:
        SettingError: it is no such place, the module cannot be imported, or what is there is nothing that hf_rap takes.

    """
    given = object_at(place, "The plugin", "my_rules:MIDDLE")
    _named[place] = _plugin(given, place.partition(":")[2], repr(place))
    return _named[place].value


def object_at(place: str, subject: str, example: str) -> Any:
    """What `module:attribute` names; modules of the working folder are found, too.

    Args:
        place: the text that a user gave.
        subject: begins a sentence about it.
        example: such a text.

    Raises:
        SettingError: it is not of that form, there is no such module or attribute, or importing the module fails.

    """
    module, colon, attribute = place.partition(":") if isinstance(place, str) else ("", "", "")
    if not (module and colon and attribute):
        raise SettingError(f"{subject} {place!r} is named wrongly: it takes module:attribute, such as {example}.")
    here = str(Path.cwd())
    if "" not in sys.path and here not in sys.path:  # as `python -m` has it: a file in the folder where the user works
        sys.path.insert(0, here)
    try:
        value = importlib.import_module(module)
    except (Exception, SystemExit) as error:
        raise SettingError(f"{subject} {place} cannot be imported: {_in_words(error, module)}") from error
    for part in attribute.split("."):
        if not hasattr(value, part):
            raise SettingError(f"{subject} {place} is not there: {module} ({_file_of(module)}) has no {attribute!r}.")
        value = getattr(value, part)
    return value


def called(value: Any, subject: str) -> Any:
    """An object as it is; of a class the one that it makes without arguments.

    Raises:
        SettingError: it makes none; `subject` begins the sentence.

    """
    if not isinstance(value, type):
        return value
    try:
        return value()
    except Exception as error:
        raise SettingError(
            f"{subject} is a class that cannot be called without arguments ({type(error).__name__}: {first_line(error)}): "
            f"name an object of it, as in MINE = {value.__name__}(...)."
        ) from error


def plugins(kind: str, taken: Collection[str] = ()) -> dict[str, Any]:
    """By name, the objects from outside of one of `KINDS`.

    Args:
        kind: which.
        taken: names that hf_rap has itself, so that nobody can take them.

    Raises:
        SettingError: a package offers one that cannot be loaded, two have the same name, or one has a name of ours.

    """
    by_name: dict[str, Plugin] = {}
    for plugin in (*_offered(), *_named.values()):
        other = by_name.setdefault(plugin.name, plugin) if plugin.kind == kind else plugin
        if other.place != plugin.place and other.value is not plugin.value:
            raise SettingError(
                f"{KINDS[kind].title.capitalize()} is called {plugin.name!r} both by {other.place} and by {plugin.place}: "
                "give one of them another name."
            )
        if plugin.kind == kind and plugin.name in taken:
            raise SettingError(
                f"{KINDS[kind].title.capitalize()} of hf_rap is called {plugin.name!r} already: give that of "
                f"{plugin.place} another name."
            )
    return {name: plugin.value for name, plugin in by_name.items()}


@cache
def _offered() -> tuple[Plugin, ...]:
    """What installed packages offer; an entry point's own name counts where the object has none."""
    offered = []
    for point in entry_points(group=GROUP):
        source = f"the package {point.dist.name}" if point.dist else "a package"
        try:
            offered.append(_plugin(point.load(), point.name, source))
        except Exception as error:
            raise SettingError(
                f"The plugin {point.name!r} of {source} cannot be loaded: {type(error).__name__}: {first_line(error)}. "
                "Mend or uninstall that package."
            ) from error
    return tuple(offered)


def _plugin(given: Any, attribute: str, place: str) -> Plugin:
    """What a place holds, as one of `KINDS`."""
    value = given
    if isinstance(given, type) and _kind_of(given) is None and not _has(given, "complete"):
        value = called(given, f"The plugin {place}")
    kind = _kind_of(value)
    if kind is None:
        raise SettingError(f"The plugin {place} is {_why_none(value)}")
    named = (getattr(value, "name", None), getattr(given, "__name__", None), attribute)
    return Plugin(next(name for name in named if isinstance(name, str) and name != UNNAMED), kind, value, place)


def _kind_of(value: Any) -> str | None:
    for name, kind in KINDS.items():
        if isinstance(value, type) == kind.is_class and not _lacking(value, kind):
            return name
    return None


def _lacking(value: Any, kind: Kind) -> list[str]:
    return [part for part in kind.parts if not _has(value, part)]


def _has(value: Any, part: str) -> bool:
    try:
        getattr(value, part)
    except (AttributeError, NotImplementedError):
        return False
    return True


def _why_none(value: Any) -> str:
    """The rest of a sentence about a plugin that is of no kind."""
    if type(value).__name__ == "function":
        return (
            f"the plain function {value.__name__}: a scorer is one below @scorer(reads=..., writes=...), a method is "
            f"Method(name, {value.__name__}, sentence), and a grader is named by --verifier."
        )
    kind = min(KINDS.values(), key=lambda kind: len(_lacking(value, kind)) / len(kind.parts))
    if isinstance(value, type):
        kind = KINDS["engine"]
    lacking = _lacking(value, kind)
    if not lacking:  # it is there, but as an object
        return f"{kind.title} as an object: name its class, which is called with --model."
    kinds = ", ".join(each.title for each in KINDS.values())
    if len(lacking) == len(kind.parts):
        return f"a {type(value).__name__}, and none of: {kinds} (docs/extending.md)."
    names = ", ".join(f"`{part}`" for part in lacking)
    subject = f"the class {value.__name__}" if isinstance(value, type) else f"a {type(value).__name__}"
    return f"{subject}, which would be {kind.title} if it had {names} (docs/extending.md)."


def _file_of(module: str) -> str:
    return getattr(sys.modules[module], "__file__", None) or "no file"


def _in_words(error: BaseException, module: str) -> str:
    """Why importing a module has failed, and in which line."""
    if isinstance(error, ModuleNotFoundError) and error.name == module.partition(".")[0]:
        return f"there is no module {error.name!r} in {Path.cwd()}, nor among what is installed."
    words = f"{type(error).__name__}: {first_line(error)}".rstrip(".")
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    if isinstance(error, SyntaxError) or frames[-1].filename == __file__:
        return f"{words}."
    return f"{words} ({Path(frames[-1].filename).name}, line {frames[-1].lineno})."
