"""The recipe of a bake-off: a YAML file, read whole and checked before anything runs.

model: Qwen/Qwen2.5-VL-3B-Instruct
pool: hiyouga/geometry3k#train
held_out: hiyouga/geometry3k#test
selections:
  rap: {method: rap}
  band: {method: difficulty}
trl: {learning_rate: 1.0e-5, num_generations: 8, per_device_train_batch_size: 8}
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from hf_rap.errors import SettingError
from hf_rap.options import check, check_whole
from hf_rap.select.methods import find_method

if TYPE_CHECKING:
    from pathlib import Path

WHOLE, RANDOM = "whole pool", "random"  # always among the arms
BUILT_IN = "shortcuts"  # as model, pool or held_out: benchmarks/shortcuts.py
# Words of the fields' types: what YAML gives for them, and what it is called.
_TYPES = {
    "str": (str, "a text"),
    "int": (int, "a whole number"),
    "float": ((int, float), "a number"),
    "dict": (dict, "fields"),
    "None": (type(None), "null"),
}
# Settings of TRL that the bake-off sets itself.
OURS = (
    *("output_dir", "max_steps", "num_train_epochs", "seed", "max_completion_length", "temperature", "use_cpu"),
    *("logging_steps", "save_strategy", "save_total_limit"),
)


@dataclass(frozen=True)
class Recipe:
    """What is compared, and how each arm is trained.

    Attributes:
        model: a Hub id or a folder; "shortcuts" is a small one, made in the work folder.
        pool: what `load_source` takes; "shortcuts" is planted.
        held_out: the rows to measure on: what `load_source` takes, "shortcuts", or a number of rows, which are taken out of
            the pool by chance and never trained on.
        selections: name -> options of `select_cognitive`. Rules that need a budget and have none get the size of the
            first selection, which random has, too.
        title: for the page.
        kind: a column of the held-out rows; results are also given for each of its values.
        pool_rows: so many rows of the pool, drawn by the seed; null takes all.
        held_out_rows: the first so many; null takes all.
        attempts: replies per row and arm that the pool is scored with, and per held-out row at each measurement (`measured_attempts`).
        max_new_tokens: of a reply, in scoring, training and measuring.
        temperature: the same.
        seeds: of pool, replies and trainer: 0 to seeds - 1.
        steps: of each arm, at least; those whose rows cost less go on until all have spent equally many tokens.
        every: steps between measurements.
        dtype: of the model.
        processor_options: for `AutoProcessor`.
        lora: options of peft's `LoraConfig`; null trains all weights.
        trl: options of TRL's `GRPOConfig`.

    """

    model: str
    pool: str
    held_out: str | int
    selections: dict[str, dict[str, Any]]
    title: str = "a bake-off"
    kind: str | None = None
    pool_rows: int | None = None
    held_out_rows: int | None = None
    attempts: int = 5
    measured_attempts: int = 2
    max_new_tokens: int = 512
    temperature: float = 1.0
    seeds: int = 3
    steps: int = 100
    every: int = 25
    dtype: str = "float32"
    processor_options: dict[str, Any] = field(default_factory=dict)
    lora: dict[str, Any] | None = None
    trl: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("attempts", "measured_attempts", "max_new_tokens", "seeds", "steps", "every"):
            check_whole(name, getattr(self, name), least=1)
        for name in ("pool_rows", "held_out_rows"):
            check_whole(name, getattr(self, name), least=1, none=True)
        check(bool(self.selections), "selections", self.selections, "at least one, as NAME: {method: rap}")
        for name, options in self.selections.items():
            if name in (WHOLE, RANDOM):
                raise SettingError(f"The selection {name!r} is always among the arms: leave it out of the recipe.")
            check(isinstance(options, dict), f"selections.{name}", options, "options, as {method: rap}")
            find_method(options.get("method", "rap"))
        if self.trl:
            check_no_ours(self.trl)

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of all arms, controls first."""
        return (WHOLE, RANDOM, *self.selections)


def check_no_ours(trl: dict[str, Any]) -> None:
    """Raises `SettingError` for an option of TRL that the bake-off sets, or that TRL does not have."""
    from trl import GRPOConfig

    known = {each.name for each in dataclasses.fields(GRPOConfig)}
    for name in trl:
        if name in OURS:
            raise SettingError(
                f"trl.{name} is set by the bake-off itself: leave it out, and see the recipe's own fields."
            )
        if name not in known:
            raise SettingError(f"trl.{name} is no option of TRL's GRPOConfig.")


def read_recipe(path: Path) -> Recipe:
    """The recipe in a YAML file.

    Raises:
        SettingError: it cannot be read, lacks a field, has one that is unknown or of another type, or a value out of range.

    """
    try:
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingError(f"The recipe {path} cannot be read: {error}") from error
    if not isinstance(fields, dict):
        raise SettingError(f"The recipe {path} holds {type(fields).__name__}: it takes fields, as `model: Qwen/...`.")
    try:
        return recipe_of(fields)
    except SettingError as error:
        raise SettingError(f"The recipe {path}: {error}") from error


def recipe_of(fields: dict[str, Any]) -> Recipe:
    """The recipe of these fields; raises `SettingError`, see `read_recipe`."""
    known = {each.name: each for each in dataclasses.fields(Recipe)}
    unknown = [name for name in fields if name not in known]
    if unknown:
        raise SettingError(f"{unknown[0]!r} is no field of a recipe: there are {', '.join(known)}.")
    needed = [name for name in ("model", "pool", "held_out", "selections") if name not in fields]
    if needed:
        raise SettingError(f"it lacks {', '.join(needed)}.")
    for name, value in fields.items():
        written = known[name].type.split("[")[0].split(" | ") + ["None"] * known[name].type.endswith("None")
        kinds, words = zip(*(_TYPES[word] for word in dict.fromkeys(written)), strict=True)
        if isinstance(value, bool) or not isinstance(value, kinds):
            raise SettingError(f"{name} is {value!r}: it takes {' or '.join(words)}.")
    return Recipe(**fields)
