"""ms-swift: a chat of text with placeholders; the columns it does not know go to the reward function."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .base import OTHER_MEDIA, Accepts, Given
from .writing import DATA_FILE, command, option, plain_images, reward_file, write_reward, write_with_scores

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
        write_with_scores(rows, {**own, "images": plain_images()}, features, target.folder)
        write_reward(target.folder, "ms_swift", "HfRap")

    def snippet(self, given: Given) -> str:
        """For `swift rlhf`."""
        return command(
            "swift rlhf --rlhf_type grpo --model Qwen/Qwen2.5-VL-3B-Instruct --use_hf true",
            option("dataset", given.folder / DATA_FILE),
            option("external_plugins", given.folder / reward_file("ms_swift")),
            "--reward_funcs hf_rap",
            "--num_generations=8",
            "--per_device_train_batch_size=8",
            f"--gradient_accumulation_steps={given.batch(self.accepts.default_batch)}",
            # Without it a row that fails is left out without a word.
            "--strict true",
            *(shlex.join([f"--{name}", json.dumps(value)]) for name, value in given.chat_template_kwargs.items()),
        )
