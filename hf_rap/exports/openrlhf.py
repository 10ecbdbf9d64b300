"""OpenRLHF: a question with placeholders, and one text that goes to the reward function as label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_rap.columns import PREFIX

from .base import Accepts, Given
from .pictures import Opening
from .writing import DATA_FILE, VAL_FILE, command, option, reward_file, write_parquet, write_reward

if TYPE_CHECKING:
    from collections.abc import Iterable

    import datasets

    from .base import Target


# "," separates datasets and reward files, "@" a folder inside one.
_ACCEPTS = Accepts("none", path_without=",@", opens=Opening(upright=True), default_batch=1024)


@dataclass(frozen=True)
class OpenRLHF:
    """All images are held in memory, decoded. A missing image column would read as rows without images."""

    label_key: str = "label"
    name: str = "openrlhf"
    title: str = "OpenRLHF 0.11.2"
    reads: str = "`prompt` (blocks), `images`, `label`, `datasource`; `problem` is the bare question"
    accepts: Accepts = _ACCEPTS

    def write(self, rows: Iterable[dict[str, Any]], features: datasets.Features, target: Target) -> None:
        """`train.parquet`."""
        names = {
            "id": "id",
            "prompt": "prompt",
            "problem": "problem",
            "images": "images",
            self.label_key: "answer",
            "datasource": "data_source",
        }
        names |= {name: name for name in features if name.startswith(PREFIX)}
        write_parquet(
            rows,
            type(features)({own: features[name] for own, name in names.items()}),
            target,
            lambda row: {own: row[name] for own, name in names.items()},
        )
        write_reward(target.folder, "openrlhf", "reward_func")

    def snippet(self, given: Given) -> str:
        """For `openrlhf.cli.train_ppo_ray`. max_images_per_prompt is 0, text only, unless it is set."""
        prompts = given.step(self.accepts)
        return command(
            "python3 -m openrlhf.cli.train_ppo_ray",
            option("actor.model_name_or_path", given.model),
            option("data.prompt_dataset", given.folder / DATA_FILE),
            *(
                [
                    option("eval.dataset", given.folder / VAL_FILE),
                    f"--eval.steps=5 --eval.n_samples_per_prompt={given.group}",
                ]
                if given.held_out
                else []
            ),
            "--data.input_key=prompt",
            f"--data.label_key={self.label_key}",
            "--data.image_key=images",
            "--data.apply_chat_template",
            f"--data.max_images_per_prompt={max(1, given.max_images)}",
            f"--data.max_len={given.prompt_tokens + given.reply_tokens} --rollout.max_new_tokens={given.reply_tokens}",
            option("reward.remote_url", given.folder / reward_file("openrlhf")),
            f"--rollout.batch_size={prompts} --rollout.n_samples_per_prompt={given.group} --rollout.micro_batch_size=1",
            f"--train.batch_size={prompts * given.group} --train.micro_batch_size=1",
            # It has no critic for models that see; the mean of a group takes its place.
            "--algo.advantage.estimator=group_norm --algo.kl.init_coef=0",
            f"--actor.num_gpus_per_node={given.gpus} --ref.num_gpus_per_node={given.gpus}",
            f"--vllm.num_engines={given.gpus} --vllm.tensor_parallel_size=1 --vllm.gpu_memory_utilization=0.6",
            "--train.colocate_all --vllm.enable_sleep --ds.enable_sleep --ds.zero_stage=3",
            "--actor.gradient_checkpointing_enable",
            option("ckpt.output_dir", given.output),
            option("ckpt.path", given.output / "checkpoints"),
        )
