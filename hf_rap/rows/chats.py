"""Questions that are stored as a chat: lists of turns, in the spellings found in the wild.

[{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Find x."}]}]    blocks (TRL)
[{"role": "user", "content": "<image>Find x."}]                                           text (verl, ms-swift)
[{"from": "human", "value": "<image>Find x."}]                                            ShareGPT
[{"user": "Find x.", "assistant": "3"}]                                                   pairs (the_cauldron, FineVision)

A chat with several questions is asked at one of them; what was said before stands in front of it as text, so that every
engine, trainer and id sees the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Any, NamedTuple

from hf_rap.errors import RowError

from .choices import spelled
from .prompts import IMAGE

FIRST, LAST, EACH = TURNS = ("first", "last", "each")
USERS, ASSISTANTS = ("user", "human"), ("assistant", "gpt")
_PAIRS = (("user", "assistant"), ("human", "gpt"), ("question", "answer"))
_IMAGE_KEYS = ("image", "image_url", "url", "path", "source")


class Turn(NamedTuple):
    """What one side says, its images as `<image>`, and those that its blocks hold; "other" sides are system and tools."""

    side: str
    text: str
    images: tuple[Any, ...] = ()


def turns_of(value: Any) -> list[tuple[str, Any]] | None:
    """(role, content) of each turn of a chat; None when the value is no chat."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = spelled(value, list)
    for role, content in (("role", "content"), ("from", "value")):
        if (
            isinstance(value, Mapping) and isinstance(value.get(role), list) and content in value
        ):  # how old `Sequence` shows its structs
            sides, said = value[role], value[content]
            same = isinstance(said, list) and len(said) == len(sides)
            return list(zip(sides, said, strict=True)) if same else None
        if isinstance(value, list) and value and all(isinstance(turn, Mapping) and role in turn for turn in value):
            return [(turn[role], turn.get(content)) for turn in value]
    for user, assistant in _PAIRS:
        sides = [value.get(user), value.get(assistant)] if isinstance(value, Mapping) else []
        lengths = {len(cell) if isinstance(cell, list) else None for cell in sides}
        if len(lengths) == 1 and None not in lengths:
            value = [
                dict(zip((user, assistant), pair, strict=True))
                for pair in zip(value[user], value[assistant], strict=True)
            ]
        if isinstance(value, list) and value and all(isinstance(pair, Mapping) and user in pair for pair in value):
            return [turn for pair in value for turn in (("user", pair[user]), ("assistant", pair.get(assistant)))]
    return None


def read_chat(value: Any) -> list[Turn] | None:
    """The turns of a chat; turns of one side that follow each other are one, joined by newlines. None for no chat.

    Raises:
        RowError: `media_unsupported`: a block holds video or audio.
    """
    turns = turns_of(value)
    if turns is None:
        return None
    for _, content in turns:
        _check_media(content)
    sides = [(_side(role), *flatten_content(content)) for role, content in turns]
    joined = []
    for side, group in groupby((turn for turn in sides if turn[0] != "other"), key=lambda turn: turn[0]):
        members = list(group)
        images = tuple(image for _, _, inside in members for image in inside)
        joined.append(Turn(side, "\n".join(text for _, text, _ in members), images))
    return joined


def user_content(value: Any) -> tuple[str, list[Any]] | None:
    """The text of the user's turns in a chat, joined by newlines, and their images; None when the value is no chat."""
    turns = turns_of(value)
    if turns is None:
        return None
    contents = [flatten_content(content) for role, content in turns if role in USERS]
    return "\n".join(text for text, _ in contents), [image for _, images in contents for image in images]


def system_text(value: Any) -> str | None:
    """The text of the system turns in a chat, joined by newlines; None without any, or where the value is no chat."""
    texts = [flatten_content(content)[0] for role, content in turns_of(value) or () if role in ("system", "developer")]
    return "\n".join(texts).strip() or None


def user_text(value: Any) -> Any:
    """The text of a question, which may be a chat; what is neither stays as it is."""
    content = user_content(value)
    return value if content is None else content[0]


def question_at(chat: list[Turn], turns: str | None, *, has_gold: bool) -> tuple[str, list[Any], str | None]:
    """The question of a chat with what was said before it, its images, and what the assistant replied (None: nothing).

    Args:
        chat: of `read_chat`.
        turns: which of several questions: "first", or "last".
        has_gold: the gold answer is a reply of the chat, so only questions with a reply count.

    Raises:
        RowError: `several_turns`: there are several, and nobody said which.
    """
    places = [place for place, turn in enumerate(chat) if turn.side == "user"]
    if not places:
        return "", [], None
    if has_gold:
        places = [place for place in places if place + 1 < len(chat)] or places
    if len(places) > 1 and turns not in (FIRST, LAST):
        raise RowError(
            "several_turns",
            f"the chat has {len(places)} questions: say which is asked, Layout(turns='first'), 'last', or 'each' for a row "
            "per answered one (--turns on the command line)",
        )
    place = places[0] if turns == FIRST else places[-1]
    images = [image for turn in chat[: place + 1] for image in turn.images]
    reply = chat[place + 1].text if place + 1 < len(chat) else None
    return transcript(chat[: place + 1]), images, reply


def transcript(turns: list[Turn]) -> str:
    """A question with the turns before it; the question alone where nothing was said before.

    >>> print(transcript([Turn("user", "<image>What colour?"), Turn("assistant", "red"), Turn("user", "How many?")]))
    User: <image>What colour?
    Assistant: red
    User: How many?
    """
    if len(turns) == 1:
        return turns[0].text
    return "\n".join(f"{turn.side.capitalize()}: {turn.text}" for turn in turns)


def flatten_content(content: Any) -> tuple[str, list[Any]]:
    """The text of a turn, and the images its blocks hold."""
    if not isinstance(content, list):
        return "" if content is None else str(content), []
    text, images = [], []
    for block in content:
        if not isinstance(block, Mapping):
            text.append(str(block or ""))
        elif "image" in str(block.get("type")):  # image, image_url (OpenAI), input_image
            text.append(IMAGE)
            images += [block[key] for key in _IMAGE_KEYS if block.get(key) is not None][:1]
        else:
            text.append(str(block.get("text") or ""))
    return "".join(text), images


def _check_media(content: Any) -> None:
    for block in content if isinstance(content, list) else ():
        kind = str(block.get("type")) if isinstance(block, Mapping) else ""
        if "video" in kind or "audio" in kind:
            raise RowError(
                "media_unsupported", f"the chat has a block of type {kind!r}, and only images and text are read"
            )


def _side(role: Any) -> str:
    return "user" if role in USERS else "assistant" if role in ASSISTANTS else "other"
