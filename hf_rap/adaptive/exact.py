"""Exact mode: no row gets an attempt that cannot change the selection any more.

Pure: attempts so far in, wanted attempts out. `settle` says what is certain whatever the remaining attempts
say, `plan` which attempts to make next. The bounds are those of the rule of `hf_rap.select.rap`:

- a row is *above* when cde > min_cde, and stays unless it is *easy* (difficulty 0);
- rows that are above and easy leave; k says how many may come in for them;
- *candidates* are not above, have 0 < difficulty < 1 and a cde above the floor; the first k by (difficulty,
  cde, seeded order) come in.

An attempt that is not judged lies between a right and a wrong one for every bound, except that a row
without any judged attempt in an arm has no score.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from hf_rap.stats.thresholds import rows_replacing

from .state import IMAGE, TEXT, State, cde_of, difficulty_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .stopping import Exact

    Flags = NDArray[np.bool_]

# A plan of so many attempts per arm goes one by one where order matters, twice as many in twos, and so on: each step
# is a round, in which the prompts are read again.
ATTEMPTS_PER_STEP = 8


class Standing(NamedTuple):
    """What is certain about each row, whatever its and others' remaining attempts say: flags of shape (n_rows,).

    inside: it is selected.
    outside: it is not selected.
    above: its cde is above min_cde.
    not_above: its cde is not above min_cde, or it will have none.
    easy_at_most: if above, then only as an easy row.
    leaves, may_leave: it is, or may become, above and easy.
    enters, may_enter: it is, or may become, a candidate.
    best, worst: the earliest and latest place of its key among all rows' earliest and latest ones.
    """

    inside: Flags
    outside: Flags
    above: Flags
    not_above: Flags
    easy_at_most: Flags
    leaves: Flags
    may_leave: Flags
    enters: Flags
    may_enter: Flags
    best: NDArray[np.int64]
    worst: NDArray[np.int64]

    @property
    def open(self) -> Flags:
        """Rows that may still be in or out."""
        return ~(self.inside | self.outside)


def settle(state: State, stopping: Exact, order: NDArray[np.uint64]) -> Standing:
    """What is certain after these attempts.

    Args:
        state: the attempts of n rows.
        stopping: thresholds of the selection.
        order: (n,), the seeded order that breaks ties; smaller first, then the row's position.
    """
    import numpy as np

    low, high = cde_of(state.at_worst()), cde_of(state.at_best())
    has_cde = (state.judged > 0).all(axis=1)
    above = has_cde & (low > stopping.min_cde)
    not_above = ~(high > stopping.min_cde)
    none = np.zeros(len(above), dtype=bool)
    if not stopping.replace_easy:
        nowhere = np.zeros(len(above), dtype=np.int64)
        return Standing(above, not_above, above, not_above, not_above, none, none, none, none, nowhere, nowhere)

    left, solved, failed = state.left[:, IMAGE], state.solved[:, IMAGE], state.failed[:, IMAGE]
    # The best a row can do that is not easy: one attempt with the image fails, all else speaks for it.
    one_failure = np.stack([(failed == 0) & (left > 0), none], axis=1).astype(np.int64)
    highest_if_not_easy = np.where((failed > 0) | (left > 0), cde_of(state.after(0, one_failure).at_best()), np.nan)
    easy_at_most = ~(highest_if_not_easy > stopping.min_cde)
    leaves = above & (failed == 0) & (left == 0)
    may_leave = ~not_above & (failed == 0)

    needed = (solved == 0).astype(np.int64) + (failed == 0)  # to have one success and one failure
    may_enter = ~above & (needed <= left) & (state.judged + state.left > 0).all(axis=1)
    enters = not_above & (needed == 0) & has_cde
    if stopping.min_replacement_cde is not None:
        may_enter &= high > stopping.min_replacement_cde
        enters &= low > stopping.min_replacement_cde
    best, worst = _places(state, order)

    k_low, k_high = (rows_replacing(stopping.replacements, int(rows.sum())) for rows in (leaves, may_leave))
    surely_ahead = np.searchsorted(np.sort(worst[enters]), best)  # a row's own worst place is never before its best
    maybe_ahead = np.searchsorted(np.sort(best[may_enter]), worst) - (may_enter & (best < worst))
    inside = (above & (failed > 0)) | (enters & (maybe_ahead < k_low))
    outside = easy_at_most & (~may_enter | (surely_ahead >= k_high))
    return Standing(inside, outside, above, not_above, easy_at_most, leaves, may_leave, enters, may_enter, best, worst)


def _places(state: State, order: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each row's best and worst key as a candidate stand among all of these keys."""
    import numpy as np

    left, n = state.left[:, IMAGE], len(order)
    # Best: as many failures as there can be beside one success. Worst: the other way round.
    success = np.minimum((state.solved[:, IMAGE] == 0).astype(np.int64), left)
    failure = np.minimum((state.failed[:, IMAGE] == 0).astype(np.int64), left)
    zero = np.zeros(n, dtype=np.int64)
    text = state.left[:, TEXT]
    hardest = state.after(np.stack([success, zero], axis=1), np.stack([left - success, text], axis=1))
    easiest = state.after(np.stack([left - failure, text], axis=1), np.stack([failure, zero], axis=1))
    keys = [np.concatenate([-of(hardest), -of(easiest)]) for of in (difficulty_of, cde_of)]
    rows = np.tile(np.arange(n), 2)
    sequence = np.lexsort((rows, np.tile(order, 2), keys[1], keys[0]))
    # Equal keys get equal places.
    stacked = np.stack([*keys, rows])[:, sequence]
    new = np.ones(2 * n, dtype=np.int64)
    new[1:] = (np.nan_to_num(stacked[:, 1:], nan=9) != np.nan_to_num(stacked[:, :-1], nan=9)).any(axis=0)
    places = np.empty(2 * n, dtype=np.int64)
    places[sequence] = np.cumsum(new)
    return places[:n], places[n:]


def plan(state: State, stopping: Exact, order: NDArray[np.uint64]) -> NDArray[np.int64]:
    """How many more attempts each row and arm should get now, (n_rows, 2); all zero when the selection is certain.

    One arm of a row at a time. Which one, and in which order, decides what is saved:

    - Without replacement a row is dropped after a few attempts that speak against it: wrong with the image, or right
      without. So the arm that is likelier to do so goes first, the cheaper text arm where nothing is known, with the
      fewest attempts that could settle the row.
    - With replacement the difficulty of nearly every row counts, so all attempts with the image go first. They settle
      rows that are always or never solved. Then text for rows on which it decides whether they are above; then, for k,
      for the easy rows that are likeliest to be above, until there are as many as candidates, or none is left; last
      for the candidates around the k-th place, whose cde breaks ties.
    """
    import numpy as np

    standing = settle(state, stopping, order)
    wanted = np.zeros_like(state.left)
    undecided = standing.open & ~standing.easy_at_most
    if undecided.any():
        some = state.rows(undecided)
        chosen = _towards_a_side(some, stopping)
        if stopping.replace_easy:
            image = some.left * [1, 0]
            chosen = np.where(image[:, :1] > 0, image, chosen)
        wanted[undecided] = chosen
    elif standing.open.any():
        leaving = (standing.leaves, standing.may_leave)
        k_low, k_high = (rows_replacing(stopping.replacements, int(rows.sum())) for rows in leaving)
        candidates = int(np.count_nonzero(standing.may_enter))
        if k_low < min(k_high, candidates):
            _ask_leavers(wanted, state, standing, stopping, min(k_high, candidates) - k_low)
        else:
            _ask_front(wanted, state, standing, k_high)
    return wanted


def _towards_a_side(state: State, stopping: Exact) -> NDArray[np.int64]:
    """For rows that may be on either side of min_cde: attempts of the arm that is likelier to speak against the row."""
    import numpy as np

    likely = np.where(state.left > 0, _against(state), 0)
    arm = np.where(likely[:, TEXT] >= likely[:, IMAGE], TEXT, IMAGE)
    rows = np.arange(len(arm))
    wanted = np.zeros_like(state.left)
    wanted[rows, arm] = np.minimum(_fewest(state, stopping), state.left[rows, arm])
    return wanted


def _against(state: State) -> NDArray[np.float64]:
    """The chance that the next attempt of each arm speaks against the row (Beta(1/2, 1/2) prior), (n_rows, 2)."""
    import numpy as np

    against = np.stack([state.failed[:, IMAGE], state.solved[:, TEXT]], axis=1)
    chance: NDArray[np.float64] = (against + 0.5) / (state.judged + 1)
    return chance


def _fewest(state: State, stopping: Exact) -> NDArray[np.int64]:
    """The fewest further attempts after which it could be certain on which side of min_cde a row is; at least 1."""
    import numpy as np

    planned, total = state.judged + state.left, state.left.sum(axis=1)
    rows = np.arange(len(total))
    heavy = np.where(planned[:, IMAGE] <= planned[:, TEXT], IMAGE, TEXT)  # the arm where one attempt moves cde more
    fewest: NDArray[np.int64] = np.maximum(total, 1)
    for number in range(int(total.max(initial=0)), 0, -1):
        taken = np.zeros_like(state.left)
        taken[rows, heavy] = np.minimum(number, state.left[rows, heavy])
        taken[rows, 1 - heavy] = np.minimum(number - taken[rows, heavy], state.left[rows, 1 - heavy])
        image, text = taken * [1, 0], taken * [0, 1]
        below = ~(cde_of(state.after(text, image).at_best()) > stopping.min_cde)
        above = cde_of(state.after(image, text).at_worst()) > stopping.min_cde
        fewest[below | above] = number
    return fewest


def _ask_leavers(wanted: NDArray[np.int64], state: State, standing: Standing, stopping: Exact, missing: int) -> None:
    """So many of the rows that would leave if above: those that are likeliest to be, until `missing` can be expected."""
    import numpy as np

    rows = np.flatnonzero(standing.may_leave & ~standing.leaves)
    some = state.rows(rows)
    chance = 1 - _against(some)[:, TEXT]
    sequence = np.lexsort((rows, -chance))
    sequence = sequence[: 1 + np.searchsorted(np.cumsum(chance[sequence]), missing)]
    # One attempt to see which rows are worth more.
    number = np.where(some.judged[:, TEXT] > 0, _fewest(some, stopping), 1)
    _ask(wanted, state, rows[sequence], number[sequence])


def _ask_front(wanted: NDArray[np.int64], state: State, standing: Standing, k: int) -> None:
    """An attempt for each row that could be among the first k candidates and is not known well enough."""
    import numpy as np

    candidates = np.flatnonzero(standing.may_enter)
    front = candidates[np.argsort(standing.best[candidates])][:k]
    unsure = ~standing.enters | (standing.best < standing.worst)
    front = front[unsure[front] & (state.left[front] > 0).any(axis=1)]
    still_open = front[standing.open[front]]
    _ask(wanted, state, still_open if still_open.size else front, 1)


def _ask(wanted: NDArray[np.int64], state: State, rows: NDArray[np.int64], number: Any) -> None:
    """So many attempts of the text arm, or of the image arm where that is not complete; a long plan takes longer steps."""
    import numpy as np

    arm = np.where(state.left[rows, IMAGE] > 0, IMAGE, TEXT)
    step = (state.judged + state.left)[rows, arm] // ATTEMPTS_PER_STEP
    wanted[rows, arm] = np.minimum(np.maximum(number, step), state.left[rows, arm])
