"""Chats as servers of the OpenAI API take them, images inside as data URIs: what SkyRL and prime-rl read."""

from __future__ import annotations

import base64
import shlex
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

from .base import Accepts, Given
from .writing import write_lines

if TYPE_CHECKING:
    from collections.abc import Iterable

    import datasets

    from .base import Target


_ACCEPTS = Accepts("none", several_golds=True, template_arguments=None, default_batch=128)


@dataclass(frozen=True)
class OpenAIChat:
    """One file that can be moved; a third larger than the images."""

    name: str = "openai-chat"
    title: str = "SkyRL (commit a956457), prime-rl and others that take chats of the OpenAI API"
    reads: str = "`prompt` (`text` and `image_url` parts), `answer`, `reward_spec` (`ground_truth`), `accepted`, `id`"
    accepts: Accepts = _ACCEPTS

    def write(self, rows: Iterable[dict[str, Any]], features: datasets.Features, target: Target) -> None:  # noqa: ARG002
        """`train.jsonl`."""

        def make(row: dict[str, Any]) -> dict[str, Any]:
            waiting = iter(row["images"])
            chat = [{**turn, "content": [_part(block, waiting) for block in turn["content"]]} for turn in row["prompt"]]
            return {
                "id": row["id"],
                "prompt": chat,
                "answer": row["answer"],
                "reward_spec": {"method": "rule", "ground_truth": row["answer"]},
                "accepted": row["extra_info"]["accepted"],
                "data_source": row["data_source"],
                "problem": row["problem"],
            }

        write_lines(map(make, rows), target)

    def snippet(self, given: Given) -> str:
        """What each is given; their environments and rewards are code of the user's own."""
        train, val = given.folder / "train.jsonl", given.folder / "val.jsonl"
        files = [("train_data", train), *([("val_data", val)] if given.held_out else [])]
        return "\n".join(
            [
                "# SkyRL, with the name of your environment as environment.env_class:",
                " ".join(shlex.quote(f'data.{name}=["{file}"]') for name, file in files)
                + " generator.vision_language_generator=true",
                "# prime-rl, in the load_environment of your environment:",
                f"datasets.load_dataset('json', data_files={str(train)!r}, split='train')",
            ]
        )


def _part(block: dict[str, Any], images: Any) -> dict[str, Any]:
    if block["type"] != "image":
        return {"type": "text", "text": block["text"]}
    return {"type": "image_url", "image_url": {"url": data_uri(next(images)["bytes"])}}


def data_uri(content: bytes) -> str:
    """The file as it is, with its type."""
    from PIL import Image

    with Image.open(BytesIO(content)) as opened:
        kind = Image.MIME.get(opened.format or "", "image/png")
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
