"""A chat completion as servers send it -> replies.

{"choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": "Three."}}],
 "usage": {"prompt_tokens": 9, "completion_tokens": 3}}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .base import Completion
from .endpoint_http import RefusedError, TransientError, well_formed

if TYPE_CHECKING:
    from .endpoint_ask import Ask

# A reply that ended so is not what the model had to say: it was broken off, or somebody has taken it away.
_NO_REPLY = ("abort", "error", "content_filter")


def read_answer(answer: Mapping[str, Any], ask: Ask) -> list[Completion]:
    """The completions in an answer; tokens are null where several replies share one count.

    Raises:
        TransientError: it is no chat completion.
        RefusedError: the server has ended a reply itself, or sent another number of them.
    """
    try:
        usage = answer.get("usage") or {}
        tokens = usage.get("completion_tokens") if ask.replies == 1 else None
        choices = answer["choices"]
        broken = [choice["finish_reason"] for choice in choices if choice.get("finish_reason") in _NO_REPLY]
        if broken:
            raise RefusedError(
                f"the server ended {len(broken)} of {len(choices)} replies with finish_reason {broken[0]!r}, which is no reply"
            )
        read = [
            Completion(
                text_of(choice["message"], ask.prefix, cut),
                tokens,
                cut,
                usage.get("prompt_tokens"),
                _token_ids(choice),
            )
            for choice in choices
            for cut in [choice.get("finish_reason") == "length"]
        ]
    except (TypeError, AttributeError, KeyError) as error:
        raise TransientError(
            f"the server's answer is not a chat completion ({type(error).__name__}: {error})"
        ) from error
    if not read:
        raise TransientError("the server's answer has no choices")
    if len(read) != ask.replies:
        raise RefusedError(f"the server sent {len(read)} replies, asked for {ask.replies}")
    return read


def _token_ids(choice: Mapping[str, Any]) -> tuple[int, ...] | None:
    """The tokens of the reply, from servers that tell them: vLLM, asked by `return_token_ids`."""
    ids = choice.get("token_ids")
    return tuple(ids) if isinstance(ids, list) and all(isinstance(token, int) for token in ids) else None


def text_of(message: Mapping[str, Any], prefix: str, cut: bool = False) -> str:
    """The reply; a chain of thought that the server has split off stands before it again.

    One that was cut off inside the thought has no end of it: it would look finished, and could not go on.
    """
    thought = message.get("reasoning_content") or message.get("reasoning")
    content = message.get("content") or ""
    if isinstance(content, list):  # parts, as Mistral's servers send them
        thought = thought or _joined(content, "thinking")
        content = _joined(content, "text")
    if not isinstance(content, str):
        raise TypeError(f"content is a {type(content).__name__}")
    if thought:
        begun = prefix.rfind("<think>") > prefix.rfind("</think>")
        end = "" if cut and not content.strip() else "</think>"
        content = f"{thought}{end}{content}" if begun else f"<think>{thought}{end}{content}"
    content = well_formed(content)
    return content if prefix else content.strip()


def _joined(parts: list[Any], kind: str) -> str:
    """The texts of the parts of one kind: {"type": "text", "text": "..."}, {"type": "thinking", "thinking": [parts]}."""
    if not all(isinstance(part, Mapping) and part.get("type") in ("text", "thinking") for part in parts):
        raise TypeError("content has a part that is neither text nor thinking")
    texts = [part[kind] for part in parts if part["type"] == kind]
    return "".join(_joined(text, "text") if isinstance(text, list) else text for text in texts)
