"""ms-swift: a chat of text with placeholders; the columns it does not know go to the reward function."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .base import OTHER_MEDIA, Accepts, Given
from .steps import largest_divisor
from .writing import DATA_FILE, VAL_FILE, command, option, plain_images, reward_file, write_reward, write_with_scores

if TYPE_CHECKING:
    from collections.abc import Iterable

    import datasets

    from .base import Target


_ACCEPTS = Accepts(
    "math-verify", several_golds=True, reserved=OTHER_MEDIA, template_arguments=("enable_thinking",), default_batch=4
)


@dataclass(frozen=True)
class MsSwift:
    """`solution` has to be there under this name."""

    name: str = "ms-swift"
    title: str = "ms-swift 4.6.0 (GRPO)"
    reads: str = "`messages` (text with `<image>`), `images` (bytes); `solution`, `accepted` and scores go to the reward function"
    accepts: Accepts = _ACCEPTS

    def write(self, rows: Iterable[dict[str, Any]], features: datasets.Features, target: Target) -> None:
        """`train.parquet`."""
        own = {name: features[name] for name in ("id", "messages", "solution", "problem")}
        write_with_scores(rows, {**own, "images": plain_images()}, features, target)
        write_reward(target.folder, "ms_swift", "HfRap")

    def snippet(self, given: Given) -> str:
        """For `swift rlhf`."""
        prompts = given.step(self.accepts)
        replies = prompts * given.group // given.gpus  # of a step, on each GPU
        at_once = largest_divisor(replies, given.group)
        swift = "swift rlhf --rlhf_type grpo --use_hf true"
        return command(
            f"NPROC_PER_NODE={given.gpus} {swift}" if given.gpus > 1 else swift,
            shlex.join(["--model", given.model]),
            option("dataset", given.folder / DATA_FILE),
            # Without it a hundredth of the rows would be taken away to validate on.
            "--split_dataset_ratio 0",
            *(
                [
                    option("val_dataset", given.folder / VAL_FILE),
                    f"--eval_strategy steps --eval_steps 50 --per_device_eval_batch_size {given.group}",
                ]
                if given.held_out
                else []
            ),
            option("external_plugins", given.folder / reward_file("ms_swift")),
            "--reward_funcs hf_rap",
            f"--num_generations={given.group}",
            f"--per_device_train_batch_size={at_once}",
            f"--gradient_accumulation_steps={replies // at_once}",
            f"--max_length {given.prompt_tokens} --max_completion_length {given.reply_tokens}",
            "--tuner_type full --torch_dtype bfloat16 --learning_rate 1e-6 --log_completions true --logging_steps 1",
            # Without it a row that fails is left out without a word.
            "--strict true",
            *(shlex.join([f"--{name}", json.dumps(value)]) for name, value in given.chat_template_kwargs.items()),
            option("output_dir", given.output),
        )
