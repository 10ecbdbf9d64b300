"""What was found out about a server by asking it, for as long as it is surely the same server."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Hashable

_SECONDS = 60.0  # a server that was stopped and started again in between would hardly have its model loaded


@dataclass
class Memory:
    """What one server was found to do.

    Attributes:
        reached: something listens there.
        fields: what it takes of `server_sampling.NEUTRAL`, by whether replies are drawn.
        together: it draws several replies for one prompt; None is not known.
        refused: rows for which it would not, while that is not known.
        continues: it goes on with a reply that was started.
        facts: what it tells of itself; these stay when the rest is forgotten, until it tells others.
        has_facts_of_now: these facts are not from before it was forgotten.

    """

    reached: bool = False
    fields: dict[bool, dict[str, Any]] = field(default_factory=dict)
    together: bool | None = None
    refused: set[str] = field(default_factory=set)
    continues: bool = False
    facts: dict[str, Any] | None = None
    has_facts_of_now: bool = False
    seen: float = field(default_factory=time.monotonic)

    def touch(self) -> None:
        """It has been asked just now."""
        self.seen = time.monotonic()

    def forget(self) -> None:
        """All but the facts that stand in settings: it may be another server now."""
        self.__init__(facts=self.facts)  # type: ignore[misc]


_memories: dict[Any, Memory] = {}


def forget_all() -> None:
    """Nothing is known of any server."""
    _memories.clear()


def memory_of(server: Hashable) -> Memory:
    """What was found out about it, which is nothing where it was last asked a minute ago or more."""
    there = _memories.setdefault(server, Memory())
    if time.monotonic() - there.seen > _SECONDS:
        there.forget()
    there.touch()
    return there
