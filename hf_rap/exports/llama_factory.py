"""LLaMA-Factory, which has no GRPO: supervised fine-tuning and cold starts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .base import OTHER_MEDIA, Accepts, Given
from .writing import DATA_FILE, plain_images, write_parquet

if TYPE_CHECKING:
    from collections.abc import Iterable

    import datasets

    from .base import Target

_TAGS = {
    "role_tag": "role",
    "content_tag": "content",
    **{f"{role}_tag": role for role in ("user", "assistant", "system")},
}
_INFO = {
    "hf_rap": {
        "file_name": DATA_FILE,
        "formatting": "sharegpt",
        "columns": {"messages": "messages", "images": "images"},
        "tags": _TAGS,
    }
}


_ACCEPTS = Accepts("none", reserved=OTHER_MEDIA, template_arguments=("enable_thinking",))


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
            target.folder,
            make,
        )
        (target.folder / "dataset_info.json").write_text(json.dumps(_INFO, indent=2) + "\n", encoding="utf-8")

    def snippet(self, given: Given) -> str:
        """Lines of a training YAML."""
        return "\n".join(
            [
                "# in the YAML of `llamafactory-cli train`",
                "stage: sft",
                f"dataset_dir: {json.dumps(str(given.folder), ensure_ascii=False)}",
                "dataset: hf_rap",
                "template: qwen2_vl",
                # Its default silently shrinks larger images.
                "image_max_pixels: 589824",
                *(
                    f"{json.dumps(name) if not name.isidentifier() else name}: {json.dumps(value)}"
                    for name, value in given.chat_template_kwargs.items()
                ),
            ]
        )
