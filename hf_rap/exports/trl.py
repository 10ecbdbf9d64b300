"""TRL's GRPOTrainer: a chat of blocks, images beside it, any further column for the reward function."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .base import Accepts, Given
from .pictures import Opening
from .steps import largest_divisor
from .writing import command, option, write_with_scores

if TYPE_CHECKING:
    from collections.abc import Iterable

    import datasets

    from .base import Target


# 1.16.0 hands a batch of both kinds to the processor as None beside lists, which raises.
_ACCEPTS = Accepts(
    "math-verify",
    several_golds=True,
    mixes_text_only=False,
    template_arguments=None,
    opens=Opening(upright=True),
    default_batch=4,
)


@dataclass(frozen=True)
class TRL:
    """`prompt` must be blocks: TRL puts the images into them, and would keep `<image>` as five letters of text."""

    name: str = "trl"
    title: str = "TRL 1.16.0 GRPOTrainer"
    reads: str = "`prompt` (blocks), `images`; every other column goes to the reward function: `solution`, `accepted`"
    accepts: Accepts = _ACCEPTS

    def write(self, rows: Iterable[dict[str, Any]], features: datasets.Features, target: Target) -> None:
        """`train.parquet`."""
        own = {name: features[name] for name in ("id", "prompt", "images", "solution", "problem")}
        write_with_scores(rows, own, features, target)

    def snippet(self, given: Given) -> str:
        """For the command of TRL; `scripts/train_grpo.py` does the same from Python."""
        arguments = ""
        if given.chat_template_kwargs:
            said = json.dumps({"chat_template_kwargs": dict(given.chat_template_kwargs)})
            arguments = f"# its command line takes no dictionary: add --config FILE.yaml with this line\n# {said}\n"
        prompts = given.step(self.accepts)
        replies = prompts * given.group // given.gpus  # of a step, on each GPU
        at_once = largest_divisor(replies, given.group)
        return arguments + command(
            "trl grpo",
            *([f"--num_processes={given.gpus}"] if given.gpus > 1 else []),
            option("dataset_name", given.folder),
            option("model_name_or_path", given.model),
            "--reward_funcs=hf_rap.training.accuracy_reward",
            f"--num_generations={given.group}",
            # As many replies on every GPU as fill a step of whole groups.
            f"--per_device_train_batch_size={at_once}",
            f"--gradient_accumulation_steps={replies // at_once}",
            f"--max_completion_length={given.reply_tokens}",
            "--learning_rate=1e-6",
            # Where learning impact finds the reward of each row; of steps that are not logged nothing is written.
            "--log_completions --logging_steps=1",
            *(
                [
                    f"--eval_strategy=steps --eval_steps=50 --per_device_eval_batch_size={given.group}",
                    "--dataset_test_split=validation",
                ]
                if given.held_out
                else []
            ),
            option("output_dir", given.output),
        )
