"""Which rows a probe may leave out: the slice that is labelled, the cut that a recall allows, and what an audit shows.

Pure: attempts and foretold scores in, rows out. The cut is split conformal: let K labelled rows be worth keeping, drawn at random
among all that are, each foretold by a fit without it, as every other row is. A further row worth keeping is as likely to
stand in any of the K + 1 places among them, so it is below the k-th smallest with probability at most k / (K + 1). It is
rolled out all the same if it is in the slice, n of N rows, or in the audit, a share a of the rest. So with

    k = (K + 1)(1 - recall) / ((1 - n / N)(1 - a)), rounded down,

at most 1 - recall of the rows worth keeping are lost, on average over slices and audits. Where k is 0 there is no cut.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fractions import Fraction
from math import ceil, exp, floor, lgamma, log, log1p
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_rap.options import check_number, check_text, check_whole
from hf_rap.scorers.cde import cde_score
from hf_rap.scorers.probe import LEAST_ROWS
from hf_rap.stats.arrays import seeded_order
from hf_rap.stats.exact import exact

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

_CONFIDENCE = 0.95
_GROWTH = (Fraction(11, 10), Fraction(3))  # of the slice from one round to the next


@dataclass(frozen=True)
class Probing:
    """What a probe is asked for.

    Args:
        recall: of the rows worth keeping, the share that is rolled out on average over slices, slice and audit included, in (0, 1).
        min_cde: a row is worth keeping when the cde of all its attempts is above.
        by: column of the sources, as in `fit_probe`: rows of a source on which nobody knows how well it foretells are
            rolled out.
        min_auc: on held-out rows; a probe below it leaves nothing out.
        first: rows that are rolled out at first, drawn by the seed.
        audit: share of the other rows that are rolled out whatever is foretold of them, so that the recall is measured.
        settle: attempts per arm, at most, of the few rows that the cut depends on: labelled or audited ones with a low foretold
            cde which a few attempts put near `min_cde`, or above. They get half as many again until it is clear. Most of
            them are there by luck, and a cut that kept them would keep most rows.
        seed: of slice and audit.

    Raises:
        SettingError: an option is out of its range.

    """

    recall: float = 0.99
    min_cde: float = cde_score.min_cde
    by: str | None = None
    min_auc: float = 0.75
    first: int = 200
    audit: float = 0.05
    settle: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        check_number("recall", self.recall, above=0, below=1)
        check_number("min_cde", self.min_cde, least=-1, most=1)
        check_text("by", self.by, none=True, empty=False)
        check_number("min_auc", self.min_auc, least=0, most=1)
        check_whole("first", self.first, least=LEAST_ROWS)
        check_number("audit", self.audit, least=0, most=1)
        check_whole("settle", self.settle, least=1)
        check_whole("seed", self.seed)

    def may_lose(self, worth: int, labelled: int, rows: int) -> int:
        """k: the place of the cut among so many labelled rows worth keeping, of so many labelled ones of all; 0 without one.

        Examples:
            >>> Probing(recall=0.99, audit=0.05).may_lose(89, 280, 5000), Probing(recall=0.99, audit=0.05).may_lose(88, 280, 5000)
            (1, 0)
            >>> Probing(recall=0.99, audit=0).may_lose(99, 0, 5000), Probing(recall=0.99, audit=0).may_lose(98, 0, 5000)
            (1, 0)

        """
        share = self.others(labelled, rows)
        return min(worth, floor((worth + 1) * (1 - exact(self.recall)) / share)) if share else worth

    def needed(self, worth: int, labelled: int, rows: int) -> int:
        """Labelled rows that a cut takes, by how many of those so far are worth keeping; all where none is.

        Examples:
            >>> Probing(audit=0.05).needed(60, 200, 5000), Probing(audit=0.05).needed(18, 200, 3750)
            (295, 816)
            >>> Probing(audit=0.05).needed(0, 200, 5000)
            5000

        """
        lost, unseen = 1 - exact(self.recall), 1 - exact(self.audit)
        if not worth or not unseen:
            return rows if unseen else 0
        # The smallest n with (worth / labelled * n + 1) * lost >= (1 - n / rows) * unseen.
        least = (unseen - lost) / (lost * Fraction(worth, labelled) + unseen / rows)
        return min(rows, max(0, ceil(least)))

    def others(self, labelled: int, rows: int) -> Fraction:
        """The share of the rows that are neither labelled nor audited; of a slice of all rows as if others were to come."""
        return (1 - Fraction(labelled, rows) if labelled < rows else Fraction(1)) * (1 - exact(self.audit))

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def slice_order(ids: Sequence[str], seed: int) -> NDArray[np.int64]:
    """The rows in the order in which they are labelled: the first so many of it are a random slice."""
    import numpy as np

    return np.argsort(seeded_order((f"slice {row}" for row in ids), seed), kind="stable")


def audited(ids: Sequence[str], share: float, seed: int) -> NDArray[np.bool_]:
    """The rows that are rolled out whatever is foretold of them."""
    rows: NDArray[np.bool_] = seeded_order((f"audit {row}" for row in ids), seed) < share * 2.0**64
    return rows


def next_size(labelled: int, needed: int, rows: int) -> int:
    """Rows that the slice should have next, where so many are needed: towards these, by no less than a tenth, at most all.

    Examples:
        >>> next_size(200, 295, 5000), next_size(200, 5000, 5000), next_size(200, 201, 210)
        (295, 600, 210)

    """
    return min(rows, ceil(min(max(Fraction(needed), labelled * _GROWTH[0]), labelled * _GROWTH[1])))


class Audit(NamedTuple):
    """The recall that an audit shows.

    Attributes:
        rows: below the cut that were rolled out all the same.
        worth: of these worth keeping.
        recall: of all rows worth keeping those that were rolled out, in [0, 1]; None without rows.
        low: the lower end of it, with a confidence of 95 %.

    """

    rows: int
    worth: int
    recall: float | None
    low: float | None


def audit_of(rows: int, worth: int, left_out: int, kept: int) -> Audit:
    """What the audit says about rows that were left out.

    Args:
        rows: below the cut that were rolled out all the same.
        worth: of these worth keeping.
        left_out: rows below the cut that were not.
        kept: rows worth keeping among all that were rolled out.

    Examples:
        >>> audit_of(100, 0, 1000, 300)
        Audit(rows=100, worth=0, recall=1.0, low=0.910434)

    """
    if not left_out:
        return Audit(rows, worth, 1.0 if kept else None, 1.0 if kept else None)
    if not rows or not kept:
        return Audit(rows, worth, None, None)
    lost = worth / rows * left_out
    most = share_at_most(worth, rows) * left_out
    return Audit(rows, worth, round(kept / (kept + lost), 6), round(kept / (kept + most), 6))


def share_at_most(successes: int, trials: int, confidence: float = _CONFIDENCE) -> float:
    """The upper end of a share, of which so many of so many were seen (Clopper and Pearson 1934).

    Examples:
        >>> round(share_at_most(0, 100), 4)
        0.0295

    """
    if successes >= trials:
        return 1.0
    low, high = successes / trials, 1.0
    for _ in range(60):
        share = (low + high) / 2
        seen = sum(_binomial(k, trials, share) for k in range(successes + 1))
        low, high = (share, high) if seen > 1 - confidence else (low, share)
    return (low + high) / 2


def _binomial(successes: int, trials: int, share: float) -> float:
    orders = lgamma(trials + 1) - lgamma(successes + 1) - lgamma(trials - successes + 1)
    return exp(orders + successes * log(share) + (trials - successes) * log1p(-share))
