"""What a selection did with planted rows, whose kind is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hf_rap.columns import IMAGE_REWARDS, KEEP, TEXT_REWARDS
from hf_rap.demo.planted import IMAGE_IS_NEEDED, KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hf_rap.select import Selection


@dataclass(frozen=True)
class KindResult:
    """One kind of planted row: how often it was solved, how many were kept. Rates are None where nothing was judged."""

    kind: str
    rows: int
    kept: int
    image_rate: float | None
    text_rate: float | None


def results_per_kind(selection: Selection) -> list[KindResult]:
    """Pass rates and kept rows of every kind, in the order of `KINDS`; the dataset needs its `kind` column."""
    scored = selection.scored
    columns = zip(scored["kind"], scored[KEEP.name], scored[IMAGE_REWARDS.name], scored[TEXT_REWARDS.name], strict=True)
    rows = list(columns)
    return [
        KindResult(
            kind,
            rows=sum(row[0] == kind for row in rows),
            kept=sum(row[0] == kind and row[1] for row in rows),
            image_rate=_mean(row[2] for row in rows if row[0] == kind),
            text_rate=_mean(row[3] for row in rows if row[0] == kind),
        )
        for kind in KINDS
    ]


def precision(results: list[KindResult]) -> float | None:
    """The share of the kept rows that cannot be answered without their image."""
    kept = sum(result.kept for result in results)
    needed = sum(result.kept for result in results if result.kind in IMAGE_IS_NEEDED)
    return needed / kept if kept else None


def kept_share(results: list[KindResult], kind: str) -> float:
    """The share of the rows of one kind that were kept."""
    result = next(result for result in results if result.kind == kind)
    return result.kept / result.rows


def _mean(rewards_of_rows: Iterable[list[float | None] | None]) -> float | None:
    values = [reward for rewards in rewards_of_rows for reward in rewards or () if reward is not None]
    return sum(values) / len(values) if values else None
