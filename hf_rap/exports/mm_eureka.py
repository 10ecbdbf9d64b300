"""MM-EUREKA (its qwen branch): the chat as JSON inside JSON, images by absolute path."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .base import Accepts, Given
from .pictures import Opening
from .writing import command, option, reward_file, write_json_lines, write_reward

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import datasets

    from .base import Target


_ACCEPTS = Accepts(
    "math-verify",
    path_without=",@",
    opens=Opening(on_white=("RGBA",)),
    pixels=(3136, 501760),
    default_batch=128,
    deals_prompts=True,
)


@dataclass(frozen=True)
class MMEureka:
    """Its loader knows no relative paths: the folder must stay where it is exported to."""

    name: str = "mm-eureka"
    title: str = "MM-EUREKA (qwen branch, commit bccddd7)"
    reads: str = "`message` (a JSON string of the chat, images as `file://` paths inside), `answer`, `id`"
    accepts: Accepts = _ACCEPTS

    def write(self, rows: Iterable[dict[str, Any]], features: datasets.Features, target: Target) -> None:  # noqa: ARG002
        """`train.jsonl` and `images/`; the paths inside are those of the finished folder."""

        def make(row: dict[str, Any], paths: list[Path]) -> dict[str, Any]:
            waiting = iter(paths)
            # The path as it is, not percent-encoded: the reader cuts off `file://` and opens the rest.
            chat = [
                {
                    **turn,
                    "content": [
                        {**block, "image": f"file://{target.final / next(waiting)}"}
                        if block["type"] == "image"
                        else block
                        for block in turn["content"]
                    ],
                }
                for turn in row["prompt"]
            ]
            return {"id": row["id"], "message": json.dumps(chat, ensure_ascii=False), "answer": row["answer"]}

        write_json_lines(rows, target, make)
        write_reward(target.folder, "mm_eureka", "reward_func")

    def snippet(self, given: Given) -> str:
        """For `openrlhf.cli.train_ppo_ray` of its checkout, which has no rows to validate on."""
        prompts = given.step(self.accepts)
        return command(
            "python3 -m openrlhf.cli.train_ppo_ray",
            option("pretrain", given.model),
            option("prompt_data", given.folder / "train.jsonl"),
            "--input_key=message",
            "--label_key=answer",
            "--apply_chat_template",
            option("remote_rm_url", given.folder / reward_file("mm_eureka")),
            f"--rollout_batch_size={prompts} --n_samples_per_prompt={given.group} --micro_rollout_batch_size=1",
            f"--train_batch_size={prompts * given.group} --micro_train_batch_size=1",
            f"--prompt_max_len={given.prompt_tokens} --generate_max_len={given.reply_tokens}",
            "--advantage_estimator=group_norm --init_kl_coef=0",
            f"--actor_num_gpus_per_node={given.gpus} --ref_num_gpus_per_node={given.gpus}",
            f"--vllm_num_engines={given.gpus} --vllm_tensor_parallel_size=1 --vllm_gpu_memory_utilization=0.3",
            "--colocate_all_models --vllm_enable_sleep --zero_stage=1 --bf16 --flash_attn --gradient_checkpointing",
            "--disable_fast_tokenizer --adam_offload --freeze_prefix visual",
            option("save_path", given.output),
            option("ckpt_path", given.output / "checkpoints"),
        )
