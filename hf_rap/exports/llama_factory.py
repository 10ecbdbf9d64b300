"""LLaMA-Factory, which has no GRPO: supervised fine-tuning and cold starts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .base import OTHER_MEDIA, Accepts, Given
from .writing import DATA_FILE, VAL_FILE, plain_images, write_parquet

if TYPE_CHECKING:
    from collections.abc import Iterable

    import datasets

    from .base import Target

NAME = "hf_rap"
# What a model is called -> its template there.
_TEMPLATES = {
    "qwen3-vl": "qwen3_vl_nothink",
    "qwen3_vl": "qwen3_vl_nothink",
    "internvl": "intern_vl",
    "gemma-3": "gemma3",
    "llava-1.5": "llava",
}
_TAGS = {
    "role_tag": "role",
    "content_tag": "content",
    **{f"{role}_tag": role for role in ("user", "assistant", "system")},
}
_ENTRY = {"formatting": "sharegpt", "columns": {"messages": "messages", "images": "images"}, "tags": _TAGS}


_ACCEPTS = Accepts("none", reserved=OTHER_MEDIA, template_arguments=("enable_thinking",), pixels=(1024, 589824))


@dataclass(frozen=True)
class LlamaFactory:
    """The assistant's turn is the bare answer, the only reply that a selection holds of every row."""

    name: str = "llama-factory"
    title: str = "LLaMA-Factory 0.9.5 (SFT and cold start only: it has no GRPO)"
    reads: str = (
        "`messages` (user with `<image>`, assistant with the answer), `images` (bytes), through `dataset_info.json`"
    )
    accepts: Accepts = _ACCEPTS

    def write(self, rows: Iterable[dict[str, Any]], features: datasets.Features, target: Target) -> None:
        """`train.parquet` and the `dataset_info.json` that names it `hf_rap`."""

        def make(row: dict[str, Any]) -> dict[str, Any]:
            reply = {"role": "assistant", "content": row["answer"]}
            return {"id": row["id"], "messages": [*row["messages"], reply], "images": row["images"]}

        write_parquet(
            rows,
            type(features)({"id": features["id"], "messages": features["messages"], "images": plain_images()}),
            target,
            make,
        )
        files = {NAME: DATA_FILE, **({f"{NAME}_val": VAL_FILE} if target.split == "val" else {})}
        info = {name: {"file_name": file, **_ENTRY} for name, file in files.items()}
        (target.folder / "dataset_info.json").write_text(json.dumps(info, indent=2) + "\n", encoding="utf-8")

    def snippet(self, given: Given) -> str:
        """A training YAML."""
        lines: dict[str, Any] = {
            "model_name_or_path": given.model,
            "stage": "sft",
            "do_train": True,
            "finetuning_type": "lora",
            "dataset_dir": str(given.folder),
            "dataset": NAME,
            **({"eval_dataset": f"{NAME}_val", "eval_strategy": "steps", "eval_steps": 50} if given.held_out else {}),
            "template": next((name for part, name in _TEMPLATES.items() if part in given.model.lower()), "qwen2_vl"),
            **given.chat_template_kwargs,
            # Longer ones are cut without a word.
            "cutoff_len": given.prompt_tokens + given.reply_tokens,
            # Its own: larger images are shrunk without a word.
            "image_max_pixels": self.accepts.pixels[1],
            "per_device_train_batch_size": 1,
            "gradient_accumulation_steps": min(8, max(1, given.rows // given.gpus)),
            "learning_rate": 1e-5,
            "num_train_epochs": 3,
            "bf16": True,
            "logging_steps": 1,
            "report_to": "none",
            "output_dir": str(given.output),
        }
        text = "\n".join(f"{_yaml(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in lines.items())
        launch = f"FORCE_TORCHRUN=1 NPROC_PER_NODE={given.gpus} " if given.gpus > 1 else ""
        return f"# as train.yaml, for: {launch}llamafactory-cli train train.yaml\n{text}"


def _yaml(name: str) -> str:
    return name if name.isidentifier() else json.dumps(name)
