"""How many tokens a call may generate, and when to stop for that."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Budget:
    """Tokens that may be generated, and those that were.

    Args:
        limit: tokens; None is no limit.
    """

    limit: int | None
    spent: int = 0

    def rows(self, count: int, most_per_row: int) -> int:
        """How many of so many rows can be asked without going over the limit, whatever they take.

        Args:
            count: rows of the next part.
            most_per_row: tokens that one of them can take; 0 where that is not known, and the limit can be passed by a part.

        >>> Budget(1000, spent=400).rows(64, 200), Budget(1000, spent=900).rows(64, 200), Budget(None).rows(64, 200)
        (3, 0, 64)
        """
        if self.limit is None:
            return count
        left = self.limit - self.spent
        if most_per_row:
            return max(0, min(count, left // most_per_row))
        return count if left > 0 else 0

    def spend(self, tokens: int | None) -> None:
        """Count tokens that were generated."""
        self.spent += tokens or 0
