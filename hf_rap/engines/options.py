"""Two kinds of options: those that change what replies are drawn from, and those that do not.

Only the first kind enters a hash: the key of `Dataset.map` and the fingerprint of a run. A field says which it is
where it is declared, once, for both:

    dtype: str = "auto"                                     counted
    batch_size: int = field(default=16, metadata=ROUNDING)  not counted

Both are written down in the settings, which name those that are not counted (`hf_rap.stats.settings`).
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from hf_rap.rows.compat import show_to_hash

if TYPE_CHECKING:
    from collections.abc import Mapping

_KIND = "hf_rap"
ROUNDING = {_KIND: "rounding"}
"""Of a field that changes at most the rounding of replies, or how they travel: neither key nor fingerprint."""
ONLY_IN_MAP = {_KIND: "only in map"}
"""Of a field that a run keeps row by row (attempts, grades, token limits) or goes on without (an address): key of `map` alone."""
BY_IDENTITY = {_KIND: "by identity"}
"""Of a name of the model: what it stands for is counted in its place, see `hf_rap.engines.identity`."""


def marked(options: Any, *kinds: Mapping[str, str]) -> set[str]:
    """The fields that are of one of these kinds; what is no dataclass has none."""
    if not is_dataclass(options):
        return set()
    wanted = {kind[_KIND] for kind in kinds}
    return {field.name for field in fields(options) if field.metadata.get(_KIND) in wanted}


class Apart:
    """A value that travels with an engine and that a hash does not see; it sees `seen` there."""

    def __init__(self, value: Any, seen: Any = None) -> None:
        self.value = value
        self.seen = seen

    def __reduce__(self) -> tuple[Any, ...]:
        return Apart, (self.value,)


class Hashed:
    """A frozen dataclass that pickles in full, and that `Dataset.map` knows by its counted fields and its identity."""

    def identify(self) -> object:
        """What stands for the fields `BY_IDENTITY`, found now; its text is hashed."""
        return None

    def __getstate__(self) -> dict[str, Any]:
        if not show_to_hash(Apart, _seen):
            self.identify()  # so that it is part of the state, and so of the hash, with everything else
        state = dict(vars(self))
        for name in marked(self, ROUNDING, BY_IDENTITY):
            state[name] = Apart(state[name])
        state["pinned"] = Apart(state.get("pinned"), self.identify)
        return state

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value.value if isinstance(value, Apart) else value)


def _seen(apart: Apart) -> str | None:
    return None if apart.seen is None else str(apart.seen())
