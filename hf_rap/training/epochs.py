"""Rewards of a training run -> `rap_epoch_rewards`: what each row got in each epoch.

Read are the files in which trainers keep their rollouts:

    TRL, log_completions=True: completions/completions_00012.parquet, with columns of the reward functions' names
        {"step": 12, "prompt": [{"role": "user", "content": ...}], "completion": ..., "accuracy_reward": 1.0, "advantage": 0.2}
    OpenRLHF as LIMR patched it: train/step_12.json, a list of
        {"prompt": "...", "response": "...", "reward": 1.0, "response_length": 212}
    EasyR1 as the authors of RAP patched it (upstream writes no rewards per row): a JSON list of
        {"onlyid": 17, "reward": 1.0}
    verl, trainer.rollout_data_dir: 12.jsonl; the reward function of hf_rap adds the id
        {"input": "...", "output": "...", "score": 1.0, "step": 12, "rap_id": "..."}

In a folder of a trainer's output they are found among checkpoints and configs.
"""

from __future__ import annotations

import math
import re
import sys
from collections import Counter
from dataclasses import dataclass
from math import fsum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_rap.columns import EPOCH_REWARDS, ID, features_of, refuse_existing
from hf_rap.errors import LayoutError, MissingColumnError, SettingError, SourceError, first_line
from hf_rap.options import ForeignError, check, check_text, check_whole, read_json, shown
from hf_rap.rows.chats import user_text
from hf_rap.rows.prompts import IMAGE
from hf_rap.rows.recognition import ID_COLUMNS, recognise_layout
from hf_rap.tables import whole_dataset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import datasets

PROMPT_FIELDS = ("prompt", "input")
REWARD_FIELDS = ("reward", "score")
# TRL's completions have these beside the columns of the reward functions.
TRL_FIELDS = ("step", "prompt", "completion", "advantage", "image", "images")
_MAX_DUMP = 1 << 32  # bytes: the rollouts of a training run in one file
READERS = (".parquet", ".json", ".jsonl")
# How TRL, OpenRLHF and verl call their files. What verl writes of rows to validate on is in a folder that says so.
DUMPS = (r"completions_\d+\.parquet", r"step_\d+\.json", r"\d+\.jsonl")
_VALIDATION = re.compile(r"val|eval", re.IGNORECASE)


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
    attempts = [_Attempt.read(record, path, reward) for path in _paths(files) for record in _records(path)]
    if not attempts:
        raise SourceError("The files of the training run hold no records.")
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


@dataclass(frozen=True)
class _Attempt:
    """One reply of a training run."""

    id: str | None
    prompt: str
    step: int
    reward: float | None

    @classmethod
    def read(cls, record: dict[str, Any], path: Path, reward_field: str | None) -> _Attempt:
        """From a record of any of the formats."""
        reward = record.get(_reward_field(record, path, reward_field))
        # verl has to write a text where no id is known.
        identity = next((record[name] for name in ID_COLUMNS if record.get(name) not in (None, "")), None)
        prompt = next((record[name] for name in PROMPT_FIELDS if record.get(name) is not None), None)
        if identity is None and prompt is None:
            raise LayoutError(
                f"{path}: a record has neither an id ({', '.join(ID_COLUMNS)}) nor a prompt ({', '.join(PROMPT_FIELDS)}), "
                f"only {', '.join(record)}."
            )
        fine = reward is None or (isinstance(reward, (int, float)) and not isinstance(reward, bool))
        if not fine:
            raise LayoutError(f"{path}: a record has {shown(reward)} for its reward, and it is a number, or null.")
        return cls(
            id=None if identity is None else str(identity),
            # Interned, since a row's text comes with each of its attempts.
            prompt="" if prompt is None else sys.intern(words_of(str(user_text(prompt)))),
            step=_step(record, path),
            reward=None if reward is None or math.isnan(reward) else float(reward),
        )


def _paths(files: str | Path | Iterable[str | Path]) -> list[Path]:
    given = [Path(files)] if isinstance(files, (str, Path)) else [Path(file) for file in files]
    paths = [path for place in given for path in (_dump_in(place) if place.is_dir() else [place])]
    if not paths:
        raise SourceError(
            f"There are no {', '.join(READERS)} files in {', '.join(map(str, given)) or 'an empty list'}."
        )
    return paths


def _dump_in(folder: Path) -> list[Path]:
    """The files of rollouts in the output of a training run, which also has checkpoints and configs."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in READERS and path.is_file())
    for pattern in DUMPS:
        named = [path for path in files if re.fullmatch(pattern, path.name) and not _of_validation(path, folder)]
        if named:
            return named
    return files


def _of_validation(path: Path, folder: Path) -> bool:
    return any(_VALIDATION.match(part) for part in path.relative_to(folder).parts[:-1])


def _records(path: Path) -> Iterator[dict[str, Any]]:
    if path.suffix not in READERS:
        raise SourceError(f"{path} is none of the formats that are read: {', '.join(READERS)}.")
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq

            table = pq.read_table(path)
            rows = table.drop_columns([name for name in ("images", "image") if name in table.column_names]).to_pylist()
        else:
            text = path.read_text(encoding="utf-8")
            lines = [] if path.suffix == ".json" else [line for line in text.splitlines() if line]
            rows = [read_json(line) for line in lines] if lines else read_json(text, object, most=_MAX_DUMP)
    except ForeignError as error:
        raise SourceError(f"{path} cannot be read: it {error}.") from error
    except (OSError, ValueError) as error:  # Arrow's errors are both
        raise SourceError(f"{path} cannot be read: {first_line(error)}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise SourceError(f"{path} does not hold a list of records.")
    yield from rows


def _reward_field(record: dict[str, Any], path: Path, field: str | None) -> str:
    if field is not None:
        if field not in record:
            raise MissingColumnError(str(path), field, record)
        return field
    usual = [name for name in REWARD_FIELDS if name in record]
    if "advantage" in record and "completion" in record and "reward" not in record:  # TRL
        functions = [name for name, value in record.items() if name not in TRL_FIELDS and isinstance(value, float)]
        unweighted = [name for name in functions if name.endswith("_unweighted")]  # of difficulty_weighted
        usual = unweighted or functions
    if len(usual) != 1:
        problem = (
            f"several fields may be the reward: {', '.join(usual)}" if usual else "no field is known as the reward"
        )
        raise LayoutError(f"{path}: {problem}. Name it: reward=... (there is: {', '.join(record)}).")
    return usual[0]


def _step(record: dict[str, Any], path: Path) -> int:
    step = record.get("step")
    if step is None:
        numbers = re.findall(r"\d+", path.stem)
        if not numbers:
            raise LayoutError(f"{path}: neither a field `step` nor a number in the file's name says when this was.")
        step = numbers[-1]
    try:
        number = int(step)
    except (TypeError, ValueError, OverflowError) as error:
        raise LayoutError(f"{path}: a record has {shown(step)} for its step, and it is a whole number.") from error
    if number < 1:
        raise LayoutError(f"{path}: step {step} is below 1, where trainers count from 1.")
    return number


def words_of(text: str) -> str:
    """Of a prompt: without placeholders of images and blank space."""
    return " ".join(text.replace(IMAGE, " ").split())


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
