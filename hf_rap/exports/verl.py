"""verl: a chat of text with placeholders, the answer in a struct, a reward chosen by `data_source`."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_rap.columns import PREFIX

from .base import OTHER_MEDIA, Accepts, Given
from .pictures import Opening
from .writing import DATA_FILE, command, reward_file, setting, write_parquet, write_reward

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

        write_parquet(rows, type(features)(own), target.folder, make)
        write_reward(target.folder, "verl", "compute_score")

    def snippet(self, given: Given) -> str:
        """For `verl.trainer.main_ppo`; the reward has to be named, since verl knows no such data source."""
        file = given.folder / DATA_FILE
        return "# val_files cannot be left out: give rows that are not trained on\n" + command(
            "python3 -m verl.trainer.main_ppo algorithm.adv_estimator=grpo",
            setting("data.train_files", file),
            setting("data.val_files", file),
            f"data.prompt_key={self.prompt_key} data.image_key=images",
            f"data.train_batch_size={given.batch(self.accepts.default_batch)}",
            f"data.max_prompt_length={given.max_prompt_tokens or 1024}",
            # By default a prompt that is too long stops the run in the middle of an epoch.
            "data.filter_overlong_prompts=True",
            *(
                shlex.quote(f"+data.apply_chat_template_kwargs.{name}={json.dumps(value)}")
                for name, value in given.chat_template_kwargs.items()
            ),
            setting("reward.custom_reward_function.path", given.folder / reward_file("verl")),
        )
