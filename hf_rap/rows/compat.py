"""Private names of datasets, each in one function, with what happens where the name is gone."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def show_to_hash(kind: type, seen: Callable[[Any], Any]) -> bool:
    """Have the hash of `Dataset.map` see `seen(value)` in place of a value of this class; other picklers see the value.

    datasets hashes what a pickler of its own writes (`datasets.utils._dill.Pickler`), which nothing else uses: what
    goes to workers is written by others. It has a table of classes, and no public way to add one.

    Returns:
        False where datasets is loaded and has no such table: it will then hash the value itself.
    """
    if "datasets" not in sys.modules:
        return True  # nobody hashes yet
    table = getattr(getattr(sys.modules.get("datasets.utils._dill"), "Pickler", None), "dispatch", None)
    if table is None:
        return False
    table[kind] = lambda pickler, value: pickler.save(seen(value))
    return True
