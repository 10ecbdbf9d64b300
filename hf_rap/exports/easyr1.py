"""EasyR1 and its forks: question, images and answer in three columns that the config names."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_rap.columns import PREFIX
from hf_rap.rows.prompts import BARE, IMAGE, PromptTemplate

from .base import Accepts, Given
from .pictures import Opening
from .writing import DATA_FILE, VAL_FILE, command, reward_file, setting, without_val, write_parquet, write_reward

if TYPE_CHECKING:
    from collections.abc import Iterable

    import datasets

    from .base import Target


PROMPT_FILE = "format_prompt.jinja"

# "@" in a path names a split.
_ACCEPTS = Accepts(
    "mathruler",
    path_without="@",
    system_turn=False,
    opens=Opening(upright=True),
    pixels=(262144, 4194304),
    default_batch=512,
    deals_prompts=True,
    validates=True,
)


@dataclass(frozen=True)
class EasyR1:
    """Give it the file: of a folder it takes the type from the first entry and reads everything as that."""

    name: str = "easyr1"
    title: str = "EasyR1 (commit b44b311)"
    reads: str = (
        "`problem` with `<image>`, `images`, `answer`; the prompt is in `format_prompt.jinja`, and in `prompt_text`"
    )
    accepts: Accepts = _ACCEPTS

    def write(self, rows: Iterable[dict[str, Any]], features: datasets.Features, target: Target) -> None:
        """`train.parquet`, and the prompt of all rows as a file for its config.

        `problem` is the question as `PromptTemplate.text` reads it, so that the file gives `prompt_text` again. `onlyid` is for
        RAP's fork, whose evaluation reads it of every row.
        """
        scores = {name: feature for name, feature in features.items() if name.startswith(PREFIX)}
        own = {name: features[name] for name in ("id", "prompt_text", "problem", "images", "answer")}
        write_parquet(
            rows,
            type(features)({**own, "onlyid": features["id"], **scores}),
            target,
            lambda row: (
                {name: row[name] for name in (*own, *scores)}
                | {"onlyid": row["id"], "problem": BARE.text(row["problem"])}
            ),
        )
        write_reward(target.folder, "easyr1", "compute_score")
        if target.prompt is not None:
            (target.folder / PROMPT_FILE).write_text(format_prompt(target.prompt), encoding="utf-8")

    def snippet(self, given: Given) -> str:
        """For `python -m verl.trainer.main` in a checkout of EasyR1."""
        prompts = given.step(self.accepts)
        return without_val(given, "data.val_files") + command(
            "python3 -m verl.trainer.main config=examples/config.yaml",
            setting("data.train_files", given.folder / DATA_FILE),
            *([setting("data.val_files", given.folder / VAL_FILE)] if given.held_out else []),
            *_prompt_words(given),
            "data.answer_key=answer data.image_key=images",
            # Its filter leaves out longer prompts without a word; images below data.min_pixels are enlarged first.
            f"data.max_prompt_length={given.prompt_tokens} data.max_response_length={given.reply_tokens}",
            f"data.rollout_batch_size={prompts} worker.actor.global_batch_size={prompts}",
            "worker.actor.micro_batch_size_per_device_for_update=1",
            "worker.actor.micro_batch_size_per_device_for_experience=1",
            setting("worker.actor.model.model_path", given.model),
            f"worker.rollout.n={given.group} worker.rollout.limit_images={max(1, given.max_images)}",
            f"worker.rollout.max_num_batched_tokens={max(8192, given.prompt_tokens + given.reply_tokens)}",
            "worker.rollout.tensor_parallel_size=1",
            setting("worker.reward.reward_function", f"{given.folder / reward_file('easyr1')}:compute_score"),
            # Of its own it also logs to Weights & Biases, which asks for a key.
            shlex.quote("trainer.logger=[console,file]") + f" trainer.n_gpus_per_node={given.gpus}",
            setting("trainer.save_checkpoint_path", given.output),
        )


def _prompt_words(given: Given) -> list[str]:
    """Its own format_prompt comes on top unless it is another file, or switched off."""
    if given.prompt is not None:
        return ["data.prompt_key=problem", setting("data.format_prompt", given.folder / PROMPT_FILE)]
    return ["data.prompt_key=prompt_text data.format_prompt=null" if given.prompted else "data.prompt_key=problem"]


def format_prompt(prompt: PromptTemplate) -> str:
    r"""The Jinja template that gives the user's turn of a question in `content`.

    >>> format_prompt(PromptTemplate(suffix="\nThink."))
    '{{ content }}{% if content.endswith("<image>") %}{{ "Think." }}{% else %}{{ "\\nThink." }}{% endif %}'
    """

    def literal(text: str) -> str:
        return f"{{{{ {json.dumps(text, ensure_ascii=False)} }}}}" if text else ""

    behind_image, behind = literal(prompt.suffix.lstrip()), literal(prompt.suffix)
    if behind != behind_image:
        behind = f'{{% if content.endswith("{IMAGE}") %}}{behind_image}{{% else %}}{behind}{{% endif %}}'
    return f"{literal(prompt.prefix)}{{{{ content }}}}{behind}"
