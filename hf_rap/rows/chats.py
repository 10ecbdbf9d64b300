"""Questions that are stored as a chat: lists of turns, in the spellings found in the wild.

[{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Find x."}]}]    blocks (TRL)
[{"role": "user", "content": "<image>Find x."}]                                           text (verl, ms-swift)
[{"from": "human", "value": "<image>Find x."}]                                            ShareGPT
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .prompts import IMAGE


def turns_of(value: Any) -> list[tuple[str, Any]] | None:
    """(role, content) of each turn of a chat; None when the value is no chat."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    for role, content in (("role", "content"), ("from", "value")):
        if (
            isinstance(value, Mapping) and isinstance(value.get(role), list) and content in value
        ):  # how old `Sequence` shows its structs
            return list(zip(value[role], value[content], strict=True))
        if isinstance(value, list) and value and all(isinstance(turn, Mapping) and role in turn for turn in value):
            return [(turn[role], turn.get(content)) for turn in value]
    return None


def user_content(value: Any) -> tuple[str, list[Any]] | None:
    """The text of the user's turns in a chat, joined by newlines, and their images; None when the value is no chat."""
    turns = turns_of(value)
    if turns is None:
        return None
    contents = [flatten_content(content) for role, content in turns if role in ("user", "human")]
    return "\n".join(text for text, _ in contents), [image for _, images in contents for image in images]


def system_text(value: Any) -> str | None:
    """The text of the system turns in a chat, joined by newlines; None without any, or where the value is no chat."""
    texts = [flatten_content(content)[0] for role, content in turns_of(value) or () if role in ("system", "developer")]
    return "\n".join(texts).strip() or None


def user_text(value: Any) -> Any:
    """The text of a question, which may be a chat; what is neither stays as it is."""
    content = user_content(value)
    return value if content is None else content[0]


def flatten_content(content: Any) -> tuple[str, list[Any]]:
    """The text of a turn, and the images its blocks hold."""
    if not isinstance(content, list):
        return str(content or ""), []
    text, images = [], []
    for block in content:
        if not isinstance(block, Mapping):
            text.append(str(block or ""))
        elif "image" in str(block.get("type")):  # image, image_url (OpenAI), input_image
            text.append(IMAGE)
            images += [block[key] for key in ("image", "image_url", "url", "path") if block.get(key) is not None][:1]
        else:
            text.append(str(block.get("text") or ""))
    return "".join(text), images
