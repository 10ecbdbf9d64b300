"""One arm of a bake-off: trained by TRL's GRPOTrainer and measured on the way; a killed one goes on from its last measurement."""

from __future__ import annotations

import json
import logging
import shutil
from typing import TYPE_CHECKING, Any

import torch
from training_data import Clock
from transformers import AutoModelForImageTextToText, AutoProcessor, PrinterCallback, TrainerCallback

from hf_rap.engines.base import Request, Sampling
from hf_rap.engines.loaded_model import LoadedModel
from hf_rap.errors import RowError, SettingError
from hf_rap.system import whole_file
from hf_rap.training import accuracy_reward

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import datasets
    from bakeoff_recipe import Recipe


class Measuring:
    """Replies to held-out rows with their image, as rewards: the same rows and the same random numbers at every call."""

    def __init__(self, rows: datasets.Dataset, processor: Any, recipe: Recipe) -> None:
        self.processor, self.batch_size = processor, 64 if not torch.cuda.is_available() else None
        self.rows = rows
        self.sampling = Sampling(recipe.temperature, max_new_tokens=recipe.max_new_tokens)
        self.requests = [
            Request(str(row["id"]), "image", chat(row["prompt"]), tuple(row["images"]), recipe.measured_attempts)
            for row in rows
        ]
        self.golds = {name: rows[name] for name in ("solution", "accepted", "problem") if name in rows.column_names}

    def __call__(self, model: Any) -> dict[str, Any]:
        """`rewards`, a list per row, null where nobody knows; `tokens` of the replies; seconds."""
        clock = Clock()
        own, training = model.generation_config, model.training
        answers = LoadedModel(model, self.processor, batch_size=self.batch_size).complete(self.requests, self.sampling)
        model.generation_config = own
        model.train(training)
        tokens, rewards = 0, []
        for place, answer in enumerate(answers):
            replies = [] if isinstance(answer, RowError) else answer
            tokens += sum(reply.tokens for reply in replies)
            golds = {name: [column[place]] * len(replies) for name, column in self.golds.items()}
            rewards.append(accuracy_reward([reply.text for reply in replies], **golds))
        return {"rewards": rewards, "tokens": tokens, **clock.lap()}


def chat(turns: Any) -> list[dict[str, Any]]:
    """A chat as it was before Parquet gave every block the fields of all of them."""
    blocks = [
        [{name: value for name, value in block.items() if value is not None} for block in turn["content"]]
        for turn in turns
    ]
    return [{"role": turn["role"], "content": content} for turn, content in zip(turns, blocks, strict=True)]


class Arm(TrainerCallback):
    """Counts tokens, measures every so many steps, and stops when steps and tokens are both spent.

    Attributes:
        tokens: sampled so far; the reward function adds to it.
        tokens_at: step -> tokens sampled until its end.
        measured: step -> what `Measuring` gave.

    """

    def __init__(self, steps: int, budget: int, every: int, measure: Any, folder: Path) -> None:
        self.steps, self.budget, self.every = steps, budget, every
        self.measure, self.folder = measure, folder
        self.tokens = 0
        self.tokens_at: dict[str, int] = {}
        self.measured: dict[str, Any] = {}
        self.seconds = {"wall_seconds": 0.0, "cpu_seconds": 0.0}
        self.clock = Clock()

    def go_on(self, step: int) -> None:
        """Takes up what was counted and measured until the end of `step`."""
        said = json.loads((self.folder / "progress.json").read_text())
        self.tokens_at = {each: tokens for each, tokens in said["tokens_at"].items() if int(each) <= step}
        self.measured = {each: found for each, found in said["measured"].items() if int(each) <= step}
        self.tokens = self.tokens_at[str(step)]
        self.seconds = said["seconds"]

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Loading is not counted."""
        self.clock.lap()

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """The counts of this step; every reply of it has been graded."""
        step = state.global_step
        self.tokens_at[str(step)] = self.tokens
        control.should_training_stop = done = step >= self.steps and self.tokens >= self.budget
        if not (done or step == self.steps or step % self.every == 0):
            return
        self.seconds = {name: self.seconds[name] + more for name, more in self.clock.lap().items()}
        self.measured[str(step)] = self.measure(model)
        self.clock.lap()
        progress = {"tokens_at": self.tokens_at, "measured": self.measured, "seconds": self.seconds}
        with whole_file(self.folder / "progress.json") as partial:
            partial.write_text(json.dumps(progress))
        control.should_save = not done


def train(
    model: str,
    rows: datasets.Dataset,
    held_out: datasets.Dataset,
    folder: Path,
    recipe: Recipe,
    *,
    budget: int,
    seed: int,
) -> dict[str, Any]:
    """Trains on `rows` for `recipe.steps` and until `budget` tokens are sampled; `folder` is gone when it is done.

    Returns `tokens_at` and `measured`, the `seconds` of training alone, and from TRL's own log, per step, `reward` and the share of
    the groups whose replies all had the same reward (`no_signal`).

    Raises:
        SettingError: there are fewer rows than one step takes; TRL would end without a step.

    """
    from trl import GRPOConfig, GRPOTrainer

    logging.getLogger("trl").setLevel(logging.ERROR)
    torch.manual_seed(seed)
    processor = AutoProcessor.from_pretrained(model, **recipe.processor_options)
    processor.tokenizer.padding_side = "left"
    usual = {
        "beta": 0.0,
        "lr_scheduler_type": "constant",
        "gradient_checkpointing": False,
        "bf16": False,
        "report_to": [],
        "disable_tqdm": True,
        "log_level": "error",
    }
    config = GRPOConfig(
        **{**usual, **recipe.trl},
        output_dir=str(folder),
        max_steps=10**6,
        max_completion_length=recipe.max_new_tokens,
        temperature=recipe.temperature,
        seed=seed,
        use_cpu=not torch.cuda.is_available(),
        logging_steps=1,
        save_strategy="no",
        save_total_limit=1,
    )
    prompts = config.per_device_train_batch_size * config.gradient_accumulation_steps // config.num_generations
    if len(rows) < prompts:
        raise SettingError(
            f"There are {len(rows)} rows to train on, and one step takes {prompts}: give a larger pool (pool_rows) or "
            "smaller steps (trl.per_device_train_batch_size)."
        )
    weights = AutoModelForImageTextToText.from_pretrained(model, dtype=recipe.dtype)
    arm = Arm(recipe.steps, budget, recipe.every, Measuring(held_out, processor, recipe), folder)

    def accuracy(completions: list[Any], completion_ids: list[list[int]], **columns: Any) -> list[float | None]:
        arm.tokens += sum(map(len, completion_ids))
        return accuracy_reward(completions, **columns)

    trainer = GRPOTrainer(
        model=weights,
        reward_funcs=accuracy,
        args=config,
        train_dataset=rows,
        processing_class=processor,
        peft_config=adapter_of(recipe),
        callbacks=[arm],
    )
    trainer.remove_callback(PrinterCallback)
    kept = last_checkpoint(folder)
    if kept is not None:
        arm.go_on(int(kept.name.split("-")[1]))
    trainer.train(resume_from_checkpoint=str(kept) if kept else None)
    log = [entry for entry in trainer.state.log_history if "reward" in entry]
    shutil.rmtree(folder)
    return {
        "tokens_at": arm.tokens_at,
        "measured": arm.measured,
        "training": arm.seconds,
        "reward": [entry["reward"] for entry in log],
        "no_signal": [entry["frac_reward_zero_std"] for entry in log],
    }


def adapter_of(recipe: Recipe) -> Any:
    if recipe.lora is None:
        return None
    from peft import LoraConfig

    return LoraConfig(**recipe.lora)


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint for which the progress is known."""
    if not (folder / "progress.json").exists():
        return None
    known = json.loads((folder / "progress.json").read_text())["measured"]
    whole = [path for path in folder.glob("checkpoint-*") if (path / "trainer_state.json").exists()]
    steps: Sequence[Path] = sorted(whole, key=lambda path: int(path.name.split("-")[1]))
    return next((path for path in reversed(steps) if path.name.split("-")[1] in known), None)
