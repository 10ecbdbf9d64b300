"""verl: a chat of text with placeholders, the answer in a struct, a reward chosen by `data_source`."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_rap.columns import PREFIX

from .base import OTHER_MEDIA, Accepts, Given
from .pictures import Opening
from .steps import largest_divisor
from .writing import DATA_FILE, VAL_FILE, command, reward_file, setting, without_val, write_parquet, write_reward

if TYPE_CHECKING:
    from collections.abc import Iterable

    import datasets

    from .base import Target


_ACCEPTS = Accepts(
    "mathruler",
    several_golds=True,
    reserved=OTHER_MEDIA,
    template_arguments=None,
    opens=Opening(upright=True),
    default_batch=1024,
    validates=True,
)


@dataclass(frozen=True)
class Verl:
    """The content of a turn must be text: of blocks it skips the images and then miscounts them."""

    prompt_key: str = "prompt"
    name: str = "verl"
    title: str = "verl 0.9.1"
    reads: str = "`prompt` (text with `<image>`), `images`, `reward_model.ground_truth`, `data_source`, `extra_info`"
    accepts: Accepts = _ACCEPTS

    def write(self, rows: Iterable[dict[str, Any]], features: datasets.Features, target: Target) -> None:
        """`train.parquet`. The reward function sees no column but `extra_info`: scores stand in there."""
        scores = {name: feature for name, feature in features.items() if name.startswith(PREFIX)}
        own = {name: features[name] for name in ("id", "data_source", "images", "ability", "reward_model", "problem")}
        own |= {self.prompt_key: features["messages"], "extra_info": features["extra_info"] | scores}
        own["extra_info"]["question"] = features["problem"]  # where the options of a multiple choice stand

        def make(row: dict[str, Any]) -> dict[str, Any]:
            inside = {**row["extra_info"], **{name: row[name] for name in scores}, "question": row["problem"]}
            return {name: row.get(name) for name in own} | {self.prompt_key: row["messages"], "extra_info": inside}

        write_parquet(rows, type(features)(own), target, make)
        write_reward(target.folder, "verl", "compute_score")

    def snippet(self, given: Given) -> str:
        """For `verl.trainer.main_ppo`; the reward has to be named, since verl knows no such data source."""
        prompts = given.step(self.accepts)
        return without_val(given, "data.val_files") + command(
            "python3 -m verl.trainer.main_ppo algorithm.adv_estimator=grpo",
            setting("data.train_files", given.folder / DATA_FILE),
            *([setting("data.val_files", given.folder / VAL_FILE)] if given.held_out else []),
            f"data.prompt_key={self.prompt_key} data.image_key=images",
            f"data.train_batch_size={prompts}",
            f"data.max_prompt_length={given.prompt_tokens} data.max_response_length={given.reply_tokens}",
            # By default a prompt that is too long stops the run in the middle of an epoch.
            "data.filter_overlong_prompts=True",
            *(
                shlex.quote(f"+data.apply_chat_template_kwargs.{name}={json.dumps(value)}")
                for name, value in given.chat_template_kwargs.items()
            ),
            setting("actor_rollout_ref.model.path", given.model),
            f"actor_rollout_ref.actor.ppo_mini_batch_size={prompts}",
            "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=1",
            f"actor_rollout_ref.rollout.name=vllm actor_rollout_ref.rollout.n={given.group}",
            "actor_rollout_ref.rollout.tensor_model_parallel_size=1",
            "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=1",
            # Each of them is dealt as many replies as the others.
            f"actor_rollout_ref.rollout.agent.num_workers={largest_divisor(prompts * given.group, 8)}",
            setting("reward.custom_reward_function.path", given.folder / reward_file("verl")),
            shlex.quote("trainer.logger=[console]") + f" trainer.n_gpus_per_node={given.gpus} trainer.nnodes=1",
            "trainer.save_freq=20 trainer.test_freq=5",
            setting("trainer.default_local_dir", given.output),
            # Where learning impact finds the reward of each row.
            setting("trainer.rollout_data_dir", given.output / "rollouts"),
        )
