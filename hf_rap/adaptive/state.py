"""What the attempts so far say about each row, and what its scores can still become."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

IMAGE, TEXT = 0, 1  # the arms, as columns of an array


class State(NamedTuple):
    """Attempts of each row: int64 arrays of shape (n_rows, 2), image arm first.

    solved: attempts that were right.
    judged: attempts that could be judged; solved <= judged.
    left: planned attempts that were not made. Each may still turn out right, wrong or not judged.
    """

    solved: NDArray[np.int64]
    judged: NDArray[np.int64]
    left: NDArray[np.int64]

    @property
    def failed(self) -> NDArray[np.int64]:
        """Attempts that were judged wrong."""
        return self.judged - self.solved

    def rows(self, which: Any) -> State:
        """The attempts of these rows alone."""
        return State(*(counts[which] for counts in self))

    def after(self, solved: Any, failed: Any) -> State:
        """The same when so many more attempts (n_rows, 2) turn out right, and so many wrong."""
        return State(self.solved + solved, self.judged + solved + failed, self.left - solved - failed)

    def at_worst(self) -> State:
        """All that is left speaks against the row: wrong with the image, right without."""
        import numpy as np

        against = np.stack([0 * self.left[:, IMAGE], self.left[:, TEXT]], axis=1)
        return self.after(against, self.left - against)

    def at_best(self) -> State:
        """All that is left speaks for the row: right with the image, wrong without."""
        import numpy as np

        speaking = np.stack([self.left[:, IMAGE], 0 * self.left[:, TEXT]], axis=1)
        return self.after(speaking, self.left - speaking)


def cde_of(state: State) -> NDArray[np.float64]:
    """p1 - p0 as `cde_score` has it, to the last bit; NaN where an arm has no judged attempt."""
    solved, judged = state.solved, state.judged
    crossed = solved[:, IMAGE] * judged[:, TEXT] - solved[:, TEXT] * judged[:, IMAGE]
    return _quotient(crossed, judged[:, IMAGE] * judged[:, TEXT])


def difficulty_of(state: State) -> NDArray[np.float64]:
    """1 - p1 as `difficulty_score` has it for a row with an image; NaN where no attempt with it was judged."""
    return _quotient(state.failed[:, IMAGE], state.judged[:, IMAGE])


def _quotient(above: NDArray[np.int64], below: NDArray[np.int64]) -> NDArray[np.float64]:
    import numpy as np

    share: NDArray[np.float64] = np.divide(above, below, out=np.full(len(below), np.nan), where=below > 0)
    return share
