"""Whole configurations of a trainer with the numbers of a paper: nothing of them is left to a default that matters.

The numbers stand in `hf_rap.papers.NUMBERS`; batches are theirs where the rows fill them, and the largest below that divide
where they do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_rap.options import check_choice
from hf_rap.papers import NUMBERS, TABLES, Result, Table

from .steps import largest_divisor, prompts_per_step
from .writing import DATA_FILE, VAL_FILE, reward_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .base import Given

__all__ = [
    "ALGORITHMS",
    "CONFIGS",
    "RECIPES",
    "WEIGHTED",
    "Batches",
    "Plan",
    "Result",
    "Table",
    "all_numbers",
    "easyr1_config",
    "numbers_of",
    "published_batches",
    "published_table",
    "trl_config",
]

ALGORITHMS = ("grpo", "rloo", "dapo")
RECIPES = MappingProxyType({"rap": "rap", "difficulty-prior": "difficulty"})  # name -> how its numbers begin
WEIGHTED = "reward_trl.weighted_accuracy"  # of the file that stands beside the configurations


class Batches(NamedTuple):
    """Prompts of a step and of an update, and replies that go through a GPU at once."""

    prompts: int
    update: int
    at_once: int
    at_once_to_read: int


@dataclass(frozen=True)
class Plan:
    """One training run.

    Args:
        given: rows, model and machine.
        numbers: of the paper, see `numbers_of`.
        algorithm: one of `ALGORITHMS`.
        prompt_key: EasyR1: the column that is asked.
        format_prompt: EasyR1: the file of the prompt; None where the column holds it.
        name: of the run; its checkpoints go to a folder of that name beside the export.
        weighted: TRL: hard prompts weigh more, by the reward function `WEIGHTED`.
    """

    given: Given
    numbers: Mapping[str, Any]
    algorithm: str
    name: str
    prompt_key: str = "problem"
    format_prompt: str | None = None
    weighted: bool = False

    @property
    def output(self) -> str:
        """Where checkpoints go."""
        top = self.given.folder.parent
        return str(top.with_name(f"{top.name}-out") / self.name)

    @property
    def batches(self) -> Batches:
        """For these rows on these GPUs."""
        given = self.given
        return published_batches(given.rows, given.gpus, given.group, self.numbers, wanted=given.rollout_batch)

    @property
    def prompt_tokens(self) -> int:
        """As published, or more where a row has more: trainers leave out longer ones without a word."""
        return max(int(self.numbers["max_prompt_tokens"]), self.given.prompt_tokens)


def numbers_of(recipe: str) -> dict[str, Any]:
    """The numbers of a recipe's training, by their names without its own.

    Raises:
        SettingError: there is no training of that name.
    """
    check_choice("recipe", recipe, tuple(RECIPES))
    start = f"{RECIPES[recipe]}."
    return {name.removeprefix(start): number.value for name, number in NUMBERS.items() if name.startswith(start)}


def all_numbers() -> dict[str, Any]:
    """Every number of the recipes by its name."""
    return {name: number.value for name, number in NUMBERS.items()}


def published_table(recipe: str) -> Table | str:
    """The results that a paper has published, or why none could be read."""
    return TABLES[recipe]


def published_batches(
    rows: int, gpus: int, group: int, numbers: Mapping[str, Any], *, wanted: int | None = None
) -> Batches:
    """As published where the rows fill a step of it, else all of the rows that the GPUs can share.

    Raises:
        ExportError: there are too few rows for so many GPUs, or `wanted` prompts do not divide.

    >>> [published_batches(rows, 1, 5, numbers_of("rap"))[:2] for rows in (2, 72, 5095)]
    [(2, 2), (72, 72), (512, 128)]
    """
    if wanted or rows < gpus:  # says what does not divide
        prompts = prompts_per_step(rows, gpus, group, most=numbers["rollout_batch"], dealt=True, wanted=wanted)
    else:
        prompts = min(rows, numbers["rollout_batch"])
        # By fours, so that replies go through together: fewer rows than that wait for the next epoch.
        prompts -= prompts % (4 * gpus if prompts >= 16 * gpus else gpus)
    update = gpus * largest_divisor(prompts // gpus, max(1, numbers["update_batch"] // gpus))
    return Batches(
        prompts,
        update,
        largest_divisor(update * group // gpus, numbers["replies_at_once"]),
        largest_divisor(prompts * group // gpus, numbers["replies_read_at_once"]),
    )


def easyr1_config(plan: Plan) -> dict[str, Any]:
    """For `python3 -m verl.trainer.main config=FILE` in a checkout of EasyR1 (commit b44b311)."""
    given, numbers, batches = plan.given, plan.numbers, plan.batches
    dapo = plan.algorithm == "dapo"
    algorithm: dict[str, Any] = {
        "adv_estimator": "rloo" if plan.algorithm == "rloo" else "grpo",
        "disable_kl": dapo,
        "use_kl_loss": not dapo,
        "kl_penalty": "low_var_kl",
        "kl_coef": 0.0 if dapo else numbers["kl"],
        "online_filtering": dapo,
        # By the answer: the reward for the form would keep a group in that is wrong throughout.
        "filter_key": "accuracy",
        "filter_low": numbers["dapo_filter_low"],
        "filter_high": numbers["dapo_filter_high"],
    }
    actor: dict[str, Any] = {
        "global_batch_size": batches.update,
        "micro_batch_size_per_device_for_update": batches.at_once,
        "micro_batch_size_per_device_for_experience": batches.at_once_to_read,
        "max_grad_norm": numbers["gradient_norm"],
        "padding_free": True,
        "dynamic_batching": True,
        "ulysses_size": 1,
        "clip_ratio_low": numbers["dapo_clip_low" if dapo else "clip_low"],
        "clip_ratio_high": numbers["dapo_clip_high" if dapo else "clip_high"],
        "model": {
            "model_path": given.model,
            "enable_gradient_checkpointing": True,
            "trust_remote_code": False,
            "freeze_vision_tower": False,
        },
        "optim": {
            "lr": numbers["learning_rate"],
            "weight_decay": numbers["weight_decay"],
            "strategy": "adamw",
            "lr_warmup_ratio": 0.0,
        },
        "fsdp": {"enable_full_shard": True, "enable_cpu_offload": False, "enable_rank0_init": True},
        "offload": {"offload_params": False, "offload_optimizer": False},
    }
    reward = {
        "reward_function": f"{given.folder / reward_file('easyr1')}:compute_score",
        "reward_function_kwargs": {"format_weight": numbers["format_reward"]},
        "skip_special_tokens": True,
    }
    rollout = {
        "temperature": numbers["temperature"],
        "n": given.group,
        "limit_images": max(1, given.max_images),
        "gpu_memory_utilization": 0.6,
        "enforce_eager": False,
        "enable_chunked_prefill": False,
        "tensor_parallel_size": 2 if given.gpus % 2 == 0 else 1,
        "max_num_batched_tokens": max(8192, plan.prompt_tokens + numbers["max_new_tokens"]),
        "val_override_config": {"temperature": numbers["temperature"], "n": 1},
    }
    return {
        "data": {
            "train_files": str(given.folder / DATA_FILE),
            "val_files": str(given.folder / VAL_FILE) if given.held_out else "",
            "prompt_key": plan.prompt_key,
            "answer_key": "answer",
            "image_key": "images",
            "max_prompt_length": plan.prompt_tokens,
            "max_response_length": numbers["max_new_tokens"],
            "rollout_batch_size": batches.prompts,
            "mini_rollout_batch_size": batches.update if dapo else None,
            "val_batch_size": -1,
            "format_prompt": plan.format_prompt,
            "shuffle": True,
            "seed": 1,
            "min_pixels": numbers["min_pixels"],
            "max_pixels": numbers["max_pixels"],
            "filter_overlong_prompts": True,
        },
        "algorithm": algorithm,
        "worker": {
            "actor": actor,
            "rollout": rollout,
            "ref": {
                "fsdp": {"enable_full_shard": True, "enable_cpu_offload": False, "enable_rank0_init": True},
                "offload": {"offload_params": False},
            },
            "reward": reward,
        },
        "trainer": {
            "total_epochs": numbers["episodes"],
            "project_name": given.folder.parent.name,
            "experiment_name": plan.name,
            "logger": ["console", "file"],
            "nnodes": 1,
            "n_gpus_per_node": given.gpus,
            "val_freq": 5,
            "val_before_train": False,
            "val_only": False,
            "val_generations_to_log": 3,
            "save_freq": 5,
            "save_limit": -1,
            "save_checkpoint_path": plan.output,
            "load_checkpoint_path": None,
        },
    }


def trl_config(plan: Plan) -> dict[str, Any]:
    """For `trl grpo --config FILE`, or `trl rloo --config FILE` (TRL 1.16.0).

    It has no online filtering, which is a part of DAPO: what stands here are its clipping, loss and absent KL.
    """
    given, numbers, batches = plan.given, plan.numbers, plan.batches
    at_once = batches.at_once
    replies = given.group // given.gpus if given.group % given.gpus == 0 else given.group  # of a reading of one group
    accuracy = WEIGHTED if plan.weighted else "hf_rap.training.accuracy_reward"
    config: dict[str, Any] = {
        "dataset_name": str(given.folder),
        "model_name_or_path": given.model,
        "output_dir": plan.output,
        "reward_funcs": [accuracy, "hf_rap.training.format_reward"],
        "reward_weights": [1 - numbers["format_reward"], numbers["format_reward"]],
        "num_generations": given.group,
        "temperature": numbers["temperature"],
        "max_completion_length": numbers["max_new_tokens"],
        # Replies of an update and of a step, on each GPU.
        "per_device_train_batch_size": at_once,
        "gradient_accumulation_steps": batches.update * given.group // given.gpus // at_once,
        "steps_per_generation": batches.prompts * given.group // given.gpus // at_once,
        "num_train_epochs": numbers["episodes"],
        "learning_rate": numbers["learning_rate"],
        "lr_scheduler_type": "constant",
        "weight_decay": numbers["weight_decay"],
        "max_grad_norm": numbers["gradient_norm"],
        "beta": numbers["kl"],
        "epsilon": numbers["clip_low"],
        "epsilon_high": numbers["clip_high"],
        "gradient_checkpointing": True,
        "bf16": True,
        "seed": 1,
        "logging_steps": 1,
        "log_completions": True,
        "save_strategy": "steps",
        "save_steps": 5,
        **_evaluation(given, replies),
    }
    if given.chat_template_kwargs:
        config["chat_template_kwargs"] = dict(given.chat_template_kwargs)
    if plan.algorithm == "grpo":
        # Over the tokens of what goes through at once, as the release averages.
        config |= {"loss_type": "bnpo", "scale_rewards": "none" if plan.weighted else "group"}
    if plan.algorithm == "dapo":
        config |= {"loss_type": "dapo", "scale_rewards": "none" if plan.weighted else "group", "beta": 0.0}
        config |= {"epsilon": numbers["dapo_clip_low"], "epsilon_high": numbers["dapo_clip_high"]}
    return config


def _evaluation(given: Given, replies: int) -> dict[str, Any]:
    if not given.held_out:
        return {"eval_strategy": "no"}
    return {
        "eval_strategy": "steps",
        "eval_steps": 5,
        "per_device_eval_batch_size": replies,
        "dataset_test_split": "validation",
    }


CONFIGS: Mapping[str, Callable[[Plan], dict[str, Any]]] = {"easyr1": easyr1_config, "trl": trl_config}
