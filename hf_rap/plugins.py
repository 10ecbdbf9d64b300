"""What comes from outside: objects of other packages, and those that a user names.

A package offers its own with an entry point of the group `hf_rap`:

    [project.entry-points.hf_rap]
    middle = "my_package.rules:MIDDLE"

`hf-rap --plugin my_package.rules:MIDDLE ...` and `add_plugin("my_package.rules:MIDDLE")` do without. What an object is for
is seen from what it is: a `Method`, a `Layout`, a scorer, an export (`Trainer`), or the class of an engine.
"""

from __future__ import annotations

import importlib
import sys
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Callable

GROUP = "hf_rap"
_named: dict[str, Any] = {}


def add_plugin(place: str) -> Any:
    """The object at `module:attribute`, from now on known by its name in this process.

    Raises:
        SettingError: it is no such place, or the module cannot be imported.

    """
    module, colon, attribute = place.partition(":")
    if not (module and colon and attribute):
        raise SettingError(f"A plugin is named as module:attribute, such as my_rules:MIDDLE, not {place!r}.")
    here = str(Path.cwd())
    if here not in sys.path:  # as `python -m` has it: a file in the folder where the user works
        sys.path.insert(0, here)
    try:
        plugin = importlib.import_module(module)
        for part in attribute.split("."):
            plugin = getattr(plugin, part)
    except (ImportError, AttributeError) as error:
        raise SettingError(f"The plugin {place!r} cannot be loaded: {type(error).__name__}: {error}") from error
    _named[name_of(plugin) or attribute] = plugin
    return plugin


def plugins(fits: Callable[[Any], bool]) -> dict[str, Any]:
    """By name, the objects from outside that fit.

    Raises:
        SettingError: a package offers one that cannot be loaded.

    """
    return {name: plugin for name, plugin in {**_offered(), **_named}.items() if fits(plugin)}


def name_of(plugin: Any) -> str | None:
    """What a plugin is called, if it says so."""
    name = getattr(plugin, "name", None) or getattr(plugin, "__name__", None)
    return name if isinstance(name, str) else None


@cache
def _offered() -> dict[str, Any]:
    """What installed packages offer; an entry point's own name counts where the object has none."""
    by_name = {}
    for point in entry_points(group=GROUP):
        try:
            plugin = point.load()
        except Exception as error:
            source = point.dist.name if point.dist else "a package"
            raise SettingError(
                f"The plugin {point.name!r} of {source} cannot be loaded: {type(error).__name__}: {error}. Mend or "
                "uninstall that package."
            ) from error
        by_name[name_of(plugin) or point.name] = plugin
    return by_name
