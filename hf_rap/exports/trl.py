"""TRL's GRPOTrainer: a chat of blocks, images beside it, any further column for the reward function."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .base import Accepts, Given
from .pictures import Opening
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
        write_with_scores(rows, own, features, target.folder)

    def snippet(self, given: Given) -> str:
        """For the command of TRL; `scripts/train_grpo.py` does the same from Python."""
        arguments = ""
        if given.chat_template_kwargs:
            said = json.dumps({"chat_template_kwargs": dict(given.chat_template_kwargs)})
            arguments = f"# its command line takes no dictionary: add --config FILE.yaml with this line\n# {said}\n"
        return arguments + command(
            "trl grpo",
            option("dataset_name", given.folder),
            "--model_name_or_path=Qwen/Qwen2.5-VL-3B-Instruct",
            "--reward_funcs=hf_rap.training.accuracy_reward",
            # One prompt with its group of replies per device, as many prompts as accumulation steps.
            "--num_generations=8",
            "--per_device_train_batch_size=8",
            f"--gradient_accumulation_steps={given.batch(self.accepts.default_batch)}",
        )
