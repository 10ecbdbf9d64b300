"""EasyR1 and its forks: question, images and answer in three columns that the config names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_rap.columns import PREFIX

from .base import Accepts, Given
from .pictures import Opening
from .writing import DATA_FILE, command, reward_file, setting, write_parquet, write_reward

if TYPE_CHECKING:
    from collections.abc import Iterable

    import datasets

    from .base import Target


# "@" in a path names a split.
_ACCEPTS = Accepts("mathruler", path_without="@", system_turn=False, opens=Opening(upright=True), default_batch=512)


@dataclass(frozen=True)
class EasyR1:
    """Give it the file: of a folder it takes the type from the first entry and reads everything as that."""

    name: str = "easyr1"
    title: str = "EasyR1 (commit b44b311)"
    reads: str = "`prompt_text` with `<image>`, `images`, `answer`; `problem` is the bare question"
    accepts: Accepts = _ACCEPTS

    def write(self, rows: Iterable[dict[str, Any]], features: datasets.Features, target: Target) -> None:
        """`train.parquet`. `onlyid` is for RAP's fork, whose evaluation reads it of every row."""
        scores = {name: feature for name, feature in features.items() if name.startswith(PREFIX)}
        own = {name: features[name] for name in ("id", "prompt_text", "problem", "images", "answer")}
        write_parquet(
            rows,
            type(features)({**own, "onlyid": features["id"], **scores}),
            target.folder,
            lambda row: {name: row[name] for name in (*own, *scores)} | {"onlyid": row["id"]},
        )
        write_reward(target.folder, "easyr1", "compute_score")

    def snippet(self, given: Given) -> str:
        """For `python -m verl.trainer.main` in a checkout of EasyR1."""
        file = given.folder / DATA_FILE
        words = [
            "python -m verl.trainer.main config=examples/config.yaml",
            setting("data.train_files", file),
            setting("data.val_files", file),
            # Its own format_prompt comes on top unless it is switched off.
            f"data.prompt_key={'prompt_text data.format_prompt=null' if given.prompted else 'problem'}",
            "data.answer_key=answer data.image_key=images",
            f"data.rollout_batch_size={given.batch(self.accepts.default_batch)}",
            f"worker.actor.global_batch_size={given.batch(self.accepts.default_batch)}",
            f"worker.rollout.limit_images={max(1, given.max_images)}",
            setting("worker.reward.reward_function", f"{given.folder / reward_file('easyr1')}:compute_score"),
        ]
        if given.max_prompt_tokens:
            words.append(f"data.max_prompt_length={given.max_prompt_tokens}")
        return "# val_files cannot be left out: give rows that are not trained on\n" + command(*words)
