"""The log of a training run -> for each row of a dataset the rewards that say most about the trained model.

The policy changes while it trains, so old rewards are of another model. What counts of a row are the rewards of its last visit, the
last step that its replies were for, and only where that is one of the last steps of the run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_rap.columns import ID, require
from hf_rap.errors import LayoutError, SettingError
from hf_rap.options import check_number, check_whole
from hf_rap.rows.logged import facts_of_logs, read_attempts
from hf_rap.tables import whole_dataset

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from hf_rap.rows.logged import Attempt


@dataclass(frozen=True)
class RowRewards:
    """What a log says about the rows of a dataset.

    Attributes:
        rewards: of each row, 1.0 right, 0.0 wrong and null not judged, of its last visit; None where it has none that counts.
        steps: the first and the last step that count.
        rows: that have rewards.
        earlier: rows that were trained on before the first of these steps alone.
        attempts: that count.
        strangers: ids in the log that no row has.
        settings: what is known of model and sampling, for `rap_settings`.

    """

    rewards: list[list[float | None] | None]
    steps: tuple[int, int]
    rows: int
    earlier: int
    attempts: int
    strangers: int
    settings: dict[str, Any]


def rewards_by_row(
    ds: Any,
    files: str | Path | Iterable[str | Path],
    *,
    reward: str | None = None,
    correct: float | None = None,
    last_steps: int | None = None,
) -> RowRewards:
    """The rewards of the last visit of each row, from the log of `RewardLog` or the files of a trainer that have ids.

    Args:
        ds: rows with `rap_id`.
        files: as `read_attempts` takes them.
        reward: the reward function whose rewards count, where the log has several.
        correct: the reward from which on an attempt is right; None takes rewards of 0 and 1 alone.
        last_steps: visits count that are of the last so many steps; None is the later half of the run.

    Raises:
        SourceError, LayoutError: as `read_attempts`; or records have no id.
        SettingError: rewards are others than 0 and 1 and nobody says which are right, or no row is in the log.
        MissingColumnError: `ds` has no `rap_id`.

    """
    ds = whole_dataset("rewards_by_row", ds)
    require("rewards_by_row", ds.column_names, (ID,))
    check_number("correct", correct, none=True)
    check_whole("last_steps", last_steps, least=1, none=True)
    attempts = read_attempts(files, reward)
    if any(attempt.id is None for attempt in attempts):
        raise LayoutError(
            "The files of the training run do not say which rows their rewards are of: train with RewardLog(accuracy_reward, 'rewards'), or "
            "in TRL with accuracy_reward and log_completions=True."
        )
    last = max(attempt.step for attempt in attempts)
    first = last - (last_steps or (last + 1) // 2) + 1
    visits = _last_visits(attempts)
    ids = [None if identity is None else str(identity) for identity in ds[ID.name]]
    there = visits.keys() & {identity for identity in ids if identity is not None}
    if not there:
        raise SettingError(
            f"None of the {len(ids):,} rows is in the log by its rap_id. One there is {next(iter(visits))!r:.120}, one of the rows "
            f"{next((identity for identity in ids if identity), None)!r:.120}: give the log of a training on these rows."
        )
    rewards = [
        [_graded(attempt, correct) for attempt in visits[identity]]
        if identity in there and visits[identity][0].step >= first
        else None
        for identity in ids
    ]
    logs = facts_of_logs(files)
    run = {"model": logs[-1].model, "sampling": logs[-1].sampling} if logs else {}
    return RowRewards(
        rewards=rewards,
        steps=(max(first, 1), last),
        rows=sum(row is not None for row in rewards),
        earlier=sum(identity in there for identity in ids) - sum(row is not None for row in rewards),
        attempts=sum(len(row) for row in rewards if row is not None),
        strangers=len(visits.keys() - there),
        settings={"engine": "training log", "steps": [max(first, 1), last], **run},
    )


def _last_visits(attempts: Iterable[Attempt]) -> dict[str, list[Attempt]]:
    """The attempts of each id at the last step that it has any of."""
    visits: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        visit = visits.setdefault(str(attempt.id), [])
        if visit and visit[0].step < attempt.step:
            visit.clear()
        if not visit or visit[0].step == attempt.step:
            visit.append(attempt)
    return visits


def _graded(attempt: Attempt, correct: float | None) -> float | None:
    if attempt.reward is None or (correct is None and attempt.reward in (0, 1)):
        return attempt.reward
    if correct is not None:
        return float(attempt.reward >= correct)
    raise SettingError(
        f"The log has a reward of {attempt.reward:g} (row {attempt.id!r}, step {attempt.step}), and only 0 and 1 say by themselves whether an "
        "answer is right: say from which reward on it is, correct=... (--correct), or log the function that judges the answer alone."
    )
