"""What is to be done for some rows of a run, and becomes a part."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .claims import Claim
    from .row_table import Row
    from .stretches import Stretch


@dataclass(frozen=True)
class Task:
    """Rows that lack the same attempts, of one arm or of every arm, for one part; or stored ones to be made anew."""

    indices: list[int]
    rows: list[Row]
    first: int
    attempts: int
    arm: str | None = None
    stored: tuple[Stretch, ...] = ()
    claims: tuple[Claim, ...] = ()
    """Of each row, where several processes share the work."""

    def at(self, places: Sequence[int]) -> Task:
        """Those of its rows."""
        return replace(
            self,
            indices=[self.indices[place] for place in places],
            rows=[self.rows[place] for place in places],
            stored=tuple(self.stored[place] for place in places) if self.stored else (),
            claims=tuple(self.claims[place] for place in places) if self.claims else (),
        )

    def of(self, rows: list[Row], stored: tuple[Stretch, ...] = (), claims: Sequence[Claim] = ()) -> Task:
        """The same for other rows, which are known by now."""
        return Task([], rows, self.first, self.attempts, self.arm, stored, tuple(claims))
