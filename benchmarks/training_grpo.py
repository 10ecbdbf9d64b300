"""One run of TRL's GRPOTrainer, with its tokens counted and its model kept at given steps."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoModelForImageTextToText, AutoProcessor, PrinterCallback, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from hf_rap.rows.prompts import DEFAULT_PROMPT
from hf_rap.training import accuracy_reward

if TYPE_CHECKING:
    from pathlib import Path

    import datasets


@dataclass(frozen=True)
class Recipe:
    """How every arm is trained: 64 replies per step, on policy, without a KL term; the rest is TRL's default."""

    learning_rate: float = 1e-4
    group: int = 8  # replies per prompt
    prompts_per_step: int = 8
    temperature: float = 1.0
    max_new_tokens: int = 48
    warmup: int = 5

    @property
    def replies_per_step(self) -> int:
        """Replies that are sampled for one step of the optimiser."""
        return self.group * self.prompts_per_step


class Budget(TrainerCallback):
    """Stops when so many steps were made and each of the token budgets is reached.

    The model is kept at those points, every `every` steps until `steps`, and every four times as many after that.

    Attributes:
        tokens: sampled so far; the reward function adds to it.
        tokens_at: step -> tokens sampled until its end.
        reached: token budget -> the first step that reaches it.

    """

    def __init__(self, steps: int, budgets: tuple[int, ...], every: int) -> None:
        self.steps, self.every = steps, every
        self.tokens = 0
        self.tokens_at: dict[int, int] = {}
        self.reached: dict[int, int | None] = dict.fromkeys(budgets)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The counts of this step; every reply of it has been graded."""
        step = state.global_step
        self.tokens_at[step] = self.tokens
        new = [budget for budget, at in self.reached.items() if at is None and self.tokens >= budget]
        self.reached.update(dict.fromkeys(new, step))
        every = self.every if step <= self.steps else 4 * self.every
        control.should_save = bool(new) or step == self.steps or step % every == 0
        control.should_training_stop = step >= self.steps and None not in self.reached.values()


def train(
    start: str, rows: datasets.Dataset, folder: Path, budget: Budget, *, recipe: Recipe, seed: int, cpu: bool
) -> dict[str, Any]:
    """Trains on `rows` until the budget is spent; `folder/checkpoint-STEP` are the models.

    Returns `tokens_at` and `reached` of the budget, and from TRL's own log, per step, the share of the groups whose
    replies all had the same reward (`no_signal`) and the mean reward (`reward`).

    Raises:
        ValueError: there are fewer rows than one step takes; TRL would end without a step.

    """
    if len(rows) < recipe.prompts_per_step:
        raise ValueError(
            f"There are {len(rows)} rows to train on, and one step takes {recipe.prompts_per_step}: "
            "give a larger pool (--rows) or smaller steps (--prompts-per-step)."
        )
    logging.getLogger("trl").setLevel(logging.ERROR)
    torch.manual_seed(seed)
    processor = AutoProcessor.from_pretrained(start)
    processor.tokenizer.padding_side = "left"

    def accuracy(completions: list[Any], completion_ids: list[list[int]], **columns: Any) -> list[float | None]:
        budget.tokens += sum(map(len, completion_ids))
        return accuracy_reward(completions, **columns)

    config = GRPOConfig(
        output_dir=str(folder),
        per_device_train_batch_size=recipe.replies_per_step,
        num_generations=recipe.group,
        max_steps=10**6,
        max_completion_length=recipe.max_new_tokens,
        temperature=recipe.temperature,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=recipe.warmup,
        beta=0.0,
        seed=seed,
        bf16=False,
        gradient_checkpointing=False,
        use_cpu=cpu,
        logging_steps=1,
        save_strategy="no",
        save_only_model=True,
        report_to=[],
        disable_tqdm=True,
        log_level="error",
    )
    trainer = GRPOTrainer(
        model=AutoModelForImageTextToText.from_pretrained(start, dtype="float32"),
        reward_funcs=accuracy,
        args=config,
        train_dataset=with_prompts(rows),
        processing_class=processor,
        callbacks=[budget],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    log = [entry for entry in trainer.state.log_history if "reward" in entry]
    return {
        "recipe": asdict(recipe),
        "tokens_at": budget.tokens_at,
        "reached": budget.reached,
        "mean_lengths": [entry["completions/mean_length"] for entry in log],
        "no_signal": [entry["frac_reward_zero_std"] for entry in log],
        "reward": [entry["reward"] for entry in log],
    }


def with_prompts(rows: datasets.Dataset) -> datasets.Dataset:
    """The columns that TRL and the reward read: the question as it was asked when the rows were scored."""
    rows = rows.select_columns(["id", "images", "problem", "answer"])
    return rows.map(lambda problem: {"prompt": DEFAULT_PROMPT.messages(problem)}, input_columns="problem")
