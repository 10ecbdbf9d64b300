"""A chat completion as servers send it -> replies.

{"choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": "Three."}}],
"usage": {"prompt_tokens": 9, "completion_tokens": 3}}
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from hf_rap.errors import RowError

from .base import Completion, LogLikelihood

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .endpoint_ask import Ask

# A reply that ended so is not what the model had to say: it was broken off, or somebody has taken it away.
_NO_REPLY = ("abort", "error", "content_filter")
# Where no logit is a number the most likely token is the first of the vocabulary, which is "!" in those of GPT-2 and Qwen.
_SUSPICIOUS = 16


class RefusedError(ValueError):
    """The server has understood the request and will not answer it."""


class OddError(ValueError):
    """A field of an answer is not what it should be; the message goes on behind "the server's answer"."""


class UntoldError(ValueError):
    """The server does not tell what was asked of the tokens of a prompt."""


_MOST_TOKENS = 1 << 31  # more would not fit into the columns


def read_answer(answer: Mapping[str, Any], ask: Ask, masked: Callable[[str], str]) -> list[Completion]:
    """The completions in an answer; tokens are null where several replies share one count.

    Args:
        answer: JSON, whatever it holds.
        ask: what was asked.
        masked: what is to be done to every text.

    Raises:
        OddError: it is no chat completion.
        RefusedError: it has another number of replies, the server has ended one of them itself, or one is no reply of a model
            that works.
    """
    usage = _field(answer, "usage", dict)
    tokens, prompt_tokens = (_count(usage or {}, name) for name in ("completion_tokens", "prompt_tokens"))
    choices = _field(answer, "choices", list)
    if not choices:
        raise OddError("has no choices")
    if len(choices) != ask.replies:
        raise RefusedError(f"the server sent {len(choices)} replies, asked for {ask.replies}")
    read = []
    for choice in choices:
        if not isinstance(choice, dict):
            raise OddError("is not a chat completion (a choice is none)")
        message = _field(choice, "message", dict)
        if message is None:
            raise OddError("is not a chat completion (no message)")
        reason = _field(choice, "finish_reason", str)
        if reason in _NO_REPLY:
            raise RefusedError(f"the server ended a reply with finish_reason {reason!r}, which is no reply")
        cut = reason == "length"
        text = masked(text_of(message, ask.prefix, cut))
        if cut and len(text) >= _SUSPICIOUS and set(text.removeprefix("<think>")) == {"!"}:
            raise RefusedError(
                "the server's reply is nothing but '!' up to the limit, as models write that overflow in half precision: "
                "let it serve the model in bfloat16 or float32"
            )
        read.append(Completion(text, tokens if ask.replies == 1 else None, cut, prompt_tokens, _token_ids(choice)))
    return read


def read_likelihood(answer: Mapping[str, Any], given: str) -> LogLikelihood:
    """How likely the text at the end of a prompt is, from the log-probabilities of the prompt's tokens, as vLLM sends them.

    {"prompt_logprobs": [null, {"17": {"logprob": -0.5, "rank": 1, "decoded_token": " red"}}, ...], ...}

    The tokens that count are the last ones that cover the text; one that joins it with what stands before is one of them.

    Raises:
        OddError: it is no such answer.
        UntoldError: there are none in it.
        RowError: "tokens_changed": the prompt does not end with the text, as of chat templates that rewrite a turn.
    """
    entries = _field(answer, "prompt_logprobs", list)
    if entries is None:
        raise UntoldError
    logprobs: list[float] = []
    texts: list[str] = []
    covered = ""
    for entry in reversed(entries):
        if len(covered) >= len(given) or entry is None:
            break
        # The token that stands there comes first; others, where a server tells some, are likelier ones.
        token = next(iter(entry.values()), None) if isinstance(entry, dict) else None
        logprob, text = (token.get("logprob"), token.get("decoded_token")) if isinstance(token, dict) else (None, None)
        if not isinstance(logprob, (int, float)) or not math.isfinite(logprob) or not isinstance(text, str):
            raise OddError("is not a chat completion (prompt_logprobs are no tokens with log-probabilities)")
        logprobs.insert(0, float(logprob))
        texts.insert(0, text)
        covered = text + covered
    if not covered.endswith(given):
        raise RowError(
            "tokens_changed", "by what the server tells, the prompt does not end with the tokens of the reply"
        )
    return LogLikelihood(math.fsum(logprobs), len(logprobs), tuple(logprobs), tuple(texts))


def _field(values: Mapping[str, Any], name: str, kind: type) -> Any:
    """A field of this type, or None."""
    value = values.get(name)
    if value is not None and not isinstance(value, kind):
        raise OddError(f"is not a chat completion ({name} is a {type(value).__name__})")
    return value


def _count(usage: Mapping[str, Any], name: str) -> int | None:
    """A number of tokens; some servers write 12.0."""
    value = usage.get(name)
    if value is None:
        return None
    fine = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not fine or value != int(value) or not 0 <= value < _MOST_TOKENS:
        raise OddError(f"is not a chat completion ({name} is no number of tokens)")
    return int(value)


def _token_ids(choice: Mapping[str, Any]) -> tuple[int, ...] | None:
    """The tokens of the reply, from servers that tell them: vLLM, asked by `return_token_ids`."""
    ids = choice.get("token_ids")
    fine = isinstance(ids, list) and all(type(token) is int and 0 <= token < _MOST_TOKENS for token in ids)
    return tuple(ids) if fine and isinstance(ids, list) else None


def text_of(message: Mapping[str, Any], prefix: str, cut: bool = False) -> str:
    """The reply; a chain of thought that the server has split off stands before it again.

    One that was cut off inside the thought has no end of it: it would look finished, and could not go on.
    """
    thought = _field(message, "reasoning_content", str) or _field(message, "reasoning", str)
    content = message.get("content")
    if isinstance(content, list):  # parts, as Mistral's servers send them
        thought = thought or _joined(content, "thinking")
        content = _joined(content, "text")
    else:
        content = _field(message, "content", str) or ""
    if thought:
        begun = prefix.rfind("<think>") > prefix.rfind("</think>")
        end = "" if cut and not content.strip() else "</think>"
        content = f"{thought}{end}{content}" if begun else f"<think>{thought}{end}{content}"
    return content if prefix else content.strip()


def _joined(parts: list[Any], kind: str) -> str:
    """The texts of the parts of one kind: {"type": "text", "text": "..."}, {"type": "thinking", "thinking": [parts]}."""
    texts = []
    for part in parts:
        if not isinstance(part, dict) or part.get("type") not in ("text", "thinking"):
            raise OddError("is not a chat completion (content has a part that is neither text nor thinking)")
        if part["type"] == kind:
            inside = part.get(kind)
            texts.append(
                _joined(inside, "text") if kind == "thinking" and isinstance(inside, list) else _field(part, kind, str)
            )
    return "".join(text or "" for text in texts)
