"""MM-EUREKA (its qwen branch): the chat as JSON inside JSON, images by absolute path."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .base import Accepts, Given
from .pictures import Opening
from .writing import command, option, write_json_lines

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import datasets

    from .base import Target


_ACCEPTS = Accepts("math-verify", path_without=",@", opens=Opening(on_white=("RGBA",)), default_batch=128)


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

        write_json_lines(rows, target.folder, make)

    def snippet(self, given: Given) -> str:
        """For `openrlhf.cli.train_ppo_ray` of its checkout."""
        return command(
            "python -m openrlhf.cli.train_ppo_ray",
            option("prompt_data", given.folder / "train.jsonl"),
            "--input_key=message",
            "--label_key=answer",
            "--apply_chat_template",
            f"--rollout_batch_size={given.batch(self.accepts.default_batch)}",
        )
