"""A log of the rewards of a training run, written while it runs: whose reward each is, and of which step.

    GRPOTrainer(reward_funcs=RewardLog(accuracy_reward, "rewards"), ...)

Every process of every start writes a file of its own, and beside it what is known of the run:

    rewards/rewards-00000-3f9a1c02.jsonl   {"rap_id": "a", "reward": 1.0, "step": 12, "attempt": 0, "phase": "train", "time": 1790000000.0}
    rewards/rewards-00000-3f9a1c02.json    {"function": "accuracy_reward", "started": 1789999000.0, "model": "me/vlm", ...}

A kill costs the replies that were being graded; one that tears a line costs that line. A start that goes on from a checkpoint logs
some steps once more: `hf_rap.rows.logged` reads the later one.
"""

from __future__ import annotations

import inspect
import json
import math
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from hf_rap.errors import SettingError, logger_of
from hf_rap.options import check, check_path, check_text
from hf_rap.rows.logged import EVALUATION, TRAINING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Reward = float | None

logger = logger_of(__name__)

_IDS = ("rap_id", "id")
_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "max_completion_length", "num_generations")


@dataclass
class RewardLog:
    """A reward function for TRL that gives the rewards of another one and writes them down, for `hf-rap update`.

    It goes inside of what weighs rewards: `difficulty_weighted(RewardLog(accuracy_reward, "rewards"), ...)`. Of several reward
    functions wrap the one that says whether an answer is right.

    Args:
        reward_func: called with keywords, as TRL does; one reward per completion, null where it cannot judge.
        folder: where the files go, one folder for one training run and all of its starts.
        id_column: column that names the rows; None takes `rap_id`, else `id`, which a published version has.
        model: what is trained, for the log; None takes what the trainer says.

    Raises:
        SettingError: an option is out of its range; when called, the trainer hands on no column of ids.

    """

    reward_func: Callable[..., Sequence[Reward]]
    folder: str | os.PathLike[str]
    id_column: str | None = None
    model: str | None = None
    _started: float = field(default_factory=time.time, init=False, repr=False)
    _file: Path | None = field(default=None, init=False, repr=False)
    _counted: tuple[Any, Counter[str]] = field(default=(None, Counter()), init=False, repr=False)
    _warned: bool = field(default=False, init=False, repr=False)

    def __post_init__(self) -> None:
        check_plain(self.reward_func)
        check_path("folder", self.folder, "a folder for the files of the log")
        for name in ("id_column", "model"):
            check_text(name, getattr(self, name), none=True, empty=False)

    @property
    def __name__(self) -> str:
        """The name of the wrapped function, under which a trainer logs."""
        return name_of(self.reward_func)

    def __call__(self, *, completions: Sequence[Any], **columns: Any) -> list[Reward]:
        """The rewards of a batch, as the wrapped function gives them."""
        ids = self._ids(len(completions), columns)
        rewards = list(self.reward_func(completions=completions, **columns))
        if len(rewards) != len(completions):
            raise SettingError(f"{self.__name__} gave {len(rewards)} rewards for {len(completions)} replies.")
        self._write(ids, rewards, columns)
        return rewards

    def _ids(self, count: int, columns: Mapping[str, Any]) -> list[str]:
        names = (self.id_column,) if self.id_column else _IDS
        ids = next((columns[name] for name in names if columns.get(name) is not None), None)
        if ids is None or len(ids) != count or any(identity in (None, "") for identity in ids):
            has = ", ".join(name for name, values in columns.items() if isinstance(values, list)) or "none"
            raise SettingError(
                f"RewardLog writes whose reward each is, and finds no {' or '.join(names)} of every reply among the columns that the "
                f"trainer hands on (there: {has}). Train on a version of hf-rap, or keep the column of ids: id_column=..., and "
                "remove_unused_columns=False."
            )
        return [str(identity) for identity in ids]

    def _write(self, ids: Sequence[str], rewards: Sequence[Reward], columns: Mapping[str, Any]) -> None:
        """All lines in one go, so that a kill tears one at most; a disk that fails ends no training."""
        trainer = getattr(columns.get("log_metric"), "__self__", None)  # TRL hands on a method of its trainer
        steps_done = getattr(columns.get("trainer_state"), "global_step", None)
        is_training = getattr(getattr(trainer, "model", None), "training", None)
        phase = None if is_training is None else TRAINING if is_training else EVALUATION
        if self._counted[0] != (steps_done, phase):
            self._counted = ((steps_done, phase), Counter())
        lines = []
        for identity, reward in zip(ids, rewards, strict=True):
            record = {
                "rap_id": identity,
                "reward": None if reward is None or math.isnan(reward) else float(reward),
                # The step that these replies are for, as trainers count them: from 1.
                "step": None if steps_done is None else steps_done + 1,
                "attempt": self._counted[1][identity],
                "phase": phase,
                "time": time.time(),
            }
            self._counted[1][identity] += 1
            lines.append(json.dumps(record) + "\n")
        try:
            if self._file is None:
                self._file = self._begin(trainer)
            with self._file.open("a", encoding="utf-8") as file:
                file.write("".join(lines))
        except OSError as error:
            if not self._warned:
                logger.warning(
                    "Rewards cannot be logged in %s, and the training goes on without: %s", self.folder, error
                )
            self._warned = True

    def _begin(self, trainer: Any) -> Path:
        """The file of this process and start, and beside it what is known of the run."""
        folder, rank = Path(self.folder), int(os.environ.get("RANK", "0"))
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"rewards-{rank:05d}-{token_hex(4)}.jsonl"
        options = getattr(trainer, "args", None)
        sampling = {
            name: value for name in _SAMPLING if isinstance(value := getattr(options, name, None), (int, float))
        }
        facts = {
            "function": self.__name__,
            "started": self._started,
            "model": self.model
            or getattr(getattr(getattr(trainer, "model", None), "config", None), "name_or_path", None),
            "sampling": sampling,
            "checkpoints": getattr(options, "output_dir", None),
        }
        file.with_suffix(".json").write_text(json.dumps(facts) + "\n", encoding="utf-8")
        return file


def check_plain(reward_func: Any) -> None:
    """Raise `SettingError` for what is no reward function that can be called and waited for."""
    check(callable(reward_func), "reward_func", reward_func, "a reward function of the trainer")
    called = reward_func if inspect.isroutine(reward_func) else type(reward_func).__call__
    if inspect.iscoroutinefunction(called):
        raise SettingError(f"{name_of(reward_func)} is asynchronous: wrap a plain function that waits for its result.")


def name_of(reward_func: Any) -> str:
    """The name of a reward function, or of its class."""
    name: str = getattr(reward_func, "__name__", type(reward_func).__name__)
    return name
