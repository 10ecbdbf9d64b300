"""Rewards of a training run -> `rap_epoch_rewards`: what each row got in each epoch; `hf_rap.rows.logged` says which files are read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import fsum
from typing import TYPE_CHECKING, Any

from hf_rap.columns import EPOCH_REWARDS, ID, features_of, refuse_existing
from hf_rap.errors import LayoutError, MissingColumnError, SettingError
from hf_rap.options import check, check_text, check_whole
from hf_rap.rows.chats import user_text
from hf_rap.rows.logged import read_attempts, words_of
from hf_rap.rows.recognition import ID_COLUMNS, recognise_layout
from hf_rap.tables import whole_dataset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    import datasets


@dataclass(frozen=True)
class EpochReport:
    """What became of the rows of a dataset and of the attempts in the files.

    Attributes:
        epochs: how many there are.
        attempts: read in all.
        without_reward: of these, without a reward; they count in no mean.
        keyed_by: "id", or "prompt" where the files have no ids.
        rows_seen: rows of the dataset with a reward in some epoch.
        rows_missing: epoch -> rows of the dataset that were not seen in it.
        duplicates: rows that share their key with another row of the dataset (the same question about another
            picture, where the key is the prompt). Which of them an attempt was at is not known: they get null.
        strangers: keys in the files that no row of the dataset has.

    """

    epochs: int
    attempts: int
    without_reward: int
    keyed_by: str
    rows_seen: int
    rows_missing: tuple[int, ...]
    duplicates: int
    strangers: int


def add_epoch_rewards(
    ds: Any,
    files: str | Path | Iterable[str | Path],
    *,
    steps_per_epoch: int,
    reward: str | None = None,
    id_column: str | None = None,
    prompt: Callable[[str], str] | None = None,
) -> tuple[datasets.Dataset, EpochReport]:
    """The dataset with `rap_epoch_rewards`, and a report of what was matched. `add_limr_score` takes it from there.

    Attempts belong to a row by its id where the files have one, and by the prompt's text otherwise. In a
    prompt, image placeholders and blank space do not count.

    Args:
        ds: the dataset that was trained on.
        files: Parquet, JSON or JSONL files, or folders: of those whose files of rollouts are found by their names, all files where
            none is called so.
        steps_per_epoch: steps 1 to so many are the first epoch. The step of an attempt is its field `step`, else
            the last number in the name of its file.
        reward: field of the reward; None takes `reward` or `score`, or the only reward function of TRL.
        id_column: column of `ds` that holds the ids of the files; None takes the first usual one.
        prompt: from a question of `ds` to the text that the trainer logged, with its instruction and, where it
            logs text instead of turns, its chat template. None: the question as it is.

    Raises:
        SourceError: there are no such files, or one cannot be read.
        LayoutError: a file has no reward, no prompt and no id, or no step.
        SettingError: steps_per_epoch is below 1, or no row of `ds` was found in the files.
        ColumnExistsError: `rap_epoch_rewards` is there already.

    """
    ds = whole_dataset("add_epoch_rewards", ds)
    check_whole("steps_per_epoch", steps_per_epoch, least=1)
    for name, value in (("reward", reward), ("id_column", id_column)):
        check_text(name, value, none=True, empty=False)
    check(prompt is None or callable(prompt), "prompt", prompt, "a function from a question to its prompt, or None")
    refuse_existing("add_epoch_rewards", ds.column_names, (EPOCH_REWARDS,))
    attempts = read_attempts(files, reward)
    by_id = all(attempt.id is not None for attempt in attempts)
    if not by_id and not all(attempt.prompt for attempt in attempts):
        raise LayoutError("Some records of the training run have only an id and some none: give files of one kind.")
    keys = _keys_by_id(ds, id_column) if by_id else _keys_by_prompt(ds, prompt)
    counts = Counter(keys)
    seen_rewards: dict[str, dict[int, list[float]]] = {}
    epochs = max((attempt.step - 1) // steps_per_epoch + 1 for attempt in attempts)
    for attempt in attempts:
        seen = seen_rewards.setdefault(attempt.id if by_id and attempt.id is not None else attempt.prompt, {})
        if attempt.reward is not None:
            seen.setdefault((attempt.step - 1) // steps_per_epoch, []).append(attempt.reward)
    rows = [_means(seen_rewards[key], epochs) if key in seen_rewards and counts[key] == 1 else None for key in keys]
    if not any(rows):
        raise SettingError(
            f"None of the {len(ds):,} rows was found in the files by its {'id' if by_id else 'prompt'}. One of them has "
            f"{next(iter(seen_rewards))!r:.120}, the dataset for example {keys[0]!r:.120}. "
            + ("Name the column: id_column=..." if by_id else "Say how a question becomes a prompt: prompt=...")
        )
    report = EpochReport(
        epochs=epochs,
        attempts=len(attempts),
        without_reward=sum(attempt.reward is None for attempt in attempts),
        keyed_by="id" if by_id else "prompt",
        rows_seen=sum(row is not None for row in rows),
        rows_missing=tuple(sum(row is None or row[epoch] is None for row in rows) for epoch in range(epochs)),
        duplicates=sum(count for count in counts.values() if count > 1),
        strangers=len(seen_rewards.keys() - counts.keys()),
    )
    return ds.add_column(EPOCH_REWARDS.name, rows, feature=features_of([EPOCH_REWARDS])[EPOCH_REWARDS.name]), report


def _keys_by_id(ds: Any, column: str | None) -> list[str]:
    name = column or next((name for name in ID_COLUMNS if name in ds.column_names), None)
    if name is None or name not in ds.column_names:
        raise MissingColumnError("add_epoch_rewards", name or ID.name, ds.column_names, "Name it: id_column=...")
    return [str(identity) for identity in ds[name]]


def _keys_by_prompt(ds: Any, prompt: Callable[[str], str] | None) -> list[str]:
    question = recognise_layout(ds.features).question
    texts = [str(user_text(cell)) for cell in ds[question]]
    return [words_of(prompt(text) if prompt else text) for text in texts]


def _means(seen: dict[int, list[float]], epochs: int) -> list[float | None] | None:
    means = [fsum(seen[epoch]) / len(seen[epoch]) if epoch in seen else None for epoch in range(epochs)]
    return means if seen else None
