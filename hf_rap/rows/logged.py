"""The files in which trainers keep the rewards of replies, as attempts.

    hf_rap, RewardLog: rewards-00000-3f9a1c02.jsonl, a file for each process and start
        {"rap_id": "...", "reward": 1.0, "step": 12, "attempt": 3, "phase": "train", "time": 1790000000.0}
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
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_rap.errors import LayoutError, MissingColumnError, SourceError, first_line
from hf_rap.options import ForeignError, is_number, read_json, read_json_file, shown

from .chats import user_text
from .prompts import IMAGE
from .recognition import ID_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence


# Of `hf_rap.training.RewardLog`: how it calls its files, and what a line says of when its reply was made.
LOG = re.compile(r"rewards-\d+-[0-9a-f]{8}\.jsonl")
TRAINING, EVALUATION = "train", "eval"
PROMPT_FIELDS = ("prompt", "input")
REWARD_FIELDS = ("reward", "score")
# TRL's completions have these beside the columns of the reward functions.
TRL_FIELDS = ("step", "prompt", "completion", "advantage", "image", "images")
_MAX_DUMP = 1 << 32  # bytes: the rollouts of a training run in one file
READERS = (".parquet", ".json", ".jsonl")
# How hf_rap, TRL, OpenRLHF and verl call their files. What verl writes of rows to validate on is in a folder that says so.
DUMPS = (LOG.pattern, r"completions_\d+\.parquet", r"step_\d+\.json", r"\d+\.jsonl")
_VALIDATION = re.compile(r"val|eval", re.IGNORECASE)


def read_attempts(files: str | Path | Iterable[str | Path], reward: str | None = None) -> list[Attempt]:
    """The attempts of a training run, in the order of the files; those of evaluations are left out.

    Args:
        files: Parquet, JSON or JSONL files, or folders: of those whose files of rollouts are found by their names, all files where
            none is called so.
        reward: field of the reward; None takes `reward` or `score`, or the only reward function of TRL. Of logs of several
            reward functions (`RewardLog`) the name of one.

    Raises:
        SourceError: there are no such files, one cannot be read, or they hold no records.
        LayoutError: a file has no reward, no prompt and no id, or no step; or logs are of several reward functions.

    """
    paths = _paths(files)
    logs = [path for path in paths if LOG.fullmatch(path.name)]
    others = [path for path in paths if not LOG.fullmatch(path.name)]
    attempts = [Attempt.read(record, path, None) for path, record in _logged(logs, reward)]
    attempts += [Attempt.read(record, path, reward) for path in others for record in _records(path)]
    if not attempts:
        raise SourceError("The files of the training run hold no records.")
    return attempts


class Logged(NamedTuple):
    """What stands beside a file of `RewardLog`."""

    function: str
    started: float
    model: str | None
    sampling: Mapping[str, Any]


def facts_of_logs(files: str | Path | Iterable[str | Path]) -> list[Logged]:
    """What is known of the run beside each file of `RewardLog`, the latest start last; nothing of other files."""
    return sorted((_beside(path) for path in _paths(files) if LOG.fullmatch(path.name)), key=lambda log: log.started)


def _beside(path: Path) -> Logged:
    beside = path.with_suffix(".json")
    try:
        facts = read_json_file(beside)
        sampling = facts.get("sampling")
        return Logged(
            str(facts["function"]),
            float(facts["started"]),
            facts.get("model"),
            sampling if isinstance(sampling, dict) else {},
        )
    except (ForeignError, OSError, KeyError, TypeError, ValueError) as error:
        raise SourceError(
            f"{beside} is missing or torn, and says of what run {path.name} is: copy both files."
        ) from error


def _logged(paths: Sequence[Path], function: str | None) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The lines of the logs that count: of one reward function, of training, and of steps that no later start has made anew."""
    facts = {path: _beside(path) for path in paths}
    functions = sorted({log.function for log in facts.values()})
    if function is not None and paths and function not in functions:
        raise LayoutError(f"The log has no rewards of {function!r}, but of {', '.join(functions)}.")
    if function is None and len(functions) > 1:
        raise LayoutError(
            f"The log has the rewards of {len(functions)} functions: {', '.join(functions)}. Name the one that says whether an answer is "
            "right: reward=... (--reward-name)."
        )
    lines = {path: list(_records(path)) for path, log in facts.items() if function in (None, log.function)}
    # A start that goes on at a step replaces what was logged of this step and later ones before it began.
    steps = {path: [_logged_step(record, path) for record in records] for path, records in lines.items()}
    begun = [(facts[path].started, min(some)) for path, some in steps.items() if some]
    for path, records in lines.items():
        for record, step in zip(records, steps[path], strict=True):
            at = record["time"] if is_number(record.get("time")) else 0
            if record.get("phase") != EVALUATION and not any(at < start and step >= first for start, first in begun):
                yield path, {**record, "step": step}


def _logged_step(record: dict[str, Any], path: Path) -> int:
    """The first one where the trainer told none."""
    return 1 if record.get("step") is None else _step(record, path)


@dataclass(frozen=True)
class Attempt:
    """One reply of a training run."""

    id: str | None
    prompt: str
    step: int
    reward: float | None

    @classmethod
    def read(cls, record: dict[str, Any], path: Path, reward_field: str | None) -> Attempt:
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
            lines = [] if path.suffix == ".json" else [line for line in text.split("\n") if line.strip()]
            if LOG.fullmatch(path.name):
                if lines and not text.endswith("\n"):
                    lines.pop()  # torn by a kill
                if not lines:
                    return
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
