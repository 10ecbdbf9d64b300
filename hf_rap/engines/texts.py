"""Text in and text out of a model: the prompt of a request, and a reply from its tokens. Needs a processor and no weights."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from functools import cached_property, lru_cache, partial
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_rap.errors import EngineError, RowError, logger_of

from . import template_trial
from .base import Completion
from .time_limit import within

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from .base import Reply, Request, Sampling

logger = logger_of(__name__)

SECONDS = 10.0  # that a chat template may take for one prompt; a long chat takes some milliseconds
# How a thought begins and ends in a reply.
THINKING = ("<think>", "</think>")
_PAIRS = 1 << 16  # of tokens whose text is remembered


def too_long(prompt_tokens: int, new_tokens: int, context_tokens: int | None) -> RowError | None:
    """The error of a prompt beside which a reply does not fit into the model's context; None where it does."""
    if context_tokens is None or prompt_tokens + new_tokens <= context_tokens:
        return None
    return RowError(
        "too_long",
        f"the prompt has {prompt_tokens} tokens and the reply may have {new_tokens}, but the model's "
        f"context is {context_tokens}; shorten the question or lower max_new_tokens",
    )


def beyond_context(prompt_tokens: int, text_tokens: int, context_tokens: int | None) -> RowError | None:
    """The same of a text that is there, behind its prompt."""
    if context_tokens is None or prompt_tokens + text_tokens <= context_tokens:
        return None
    return RowError(
        "too_long",
        f"the prompt has {prompt_tokens} tokens and the text behind it {text_tokens}, but the model's context is "
        f"{context_tokens}",
    )


def other_prompt(reply: Reply, prompt_tokens: int) -> RowError | None:
    """The error of a reply whose prompt had another number of tokens when it was generated."""
    if reply.prompt_tokens is None or reply.prompt_tokens == prompt_tokens:
        return None
    return RowError(
        "image_tokens_changed",
        f"the prompt has {prompt_tokens} tokens here, but had {reply.prompt_tokens} when the reply was generated; use the "
        "same processor options (pixel limits), chat template and instruction",
    )


def not_finite(numbers: Sequence[float], what: str = "log-probabilities") -> RowError | None:
    """The error of a text of which a model gives numbers that are none, as one does that overflows in half precision."""
    return None if all(map(isfinite, numbers)) else overflowed(what)


def overflowed(what: str) -> RowError:
    """The error of a text for which a model gives no finite numbers."""
    return RowError(
        "engine_failed",
        f"the model gives {what} that are not finite numbers; with another dtype (bfloat16, float32) it may not",
    )


def render(processor: Any, chat: list[dict[str, Any]], **arguments: Any) -> str:
    """A chat in the chat template of a model, up to where its reply begins.

    Raises:
        TimeoutError: the template takes more than `SECONDS`; anything else that it may raise.
    """
    call = partial(processor.apply_chat_template, chat, tokenize=False, add_generation_prompt=True, **arguments)
    text: str = within(SECONDS, call, "the chat template of the model")
    return text


@lru_cache(maxsize=64)
def _refuse_endless(template: str, seconds: float) -> None:
    """Raise `EngineError` for a chat template that takes for ever or fills the memory, which a process of its own finds out.

    Not on Windows, which has no such limits.
    """
    if os.name == "nt":
        return
    command = [sys.executable, "-P", str(Path(template_trial.__file__))]
    special = {"bos_token": "<s>", "eos_token": "</s>"}
    asked = json.dumps({"template": template, "special": special, "seconds": seconds})
    try:
        ended = subprocess.run(  # noqa: S603 - our own file
            command, input=asked, capture_output=True, text=True, check=False, timeout=60 + seconds
        ).returncode
    except subprocess.TimeoutExpired:
        ended = -signal.SIGPROF
    if ended in (template_trial.TOO_LARGE, -signal.SIGPROF):
        most = f"{seconds:g} s" if ended < 0 else f"{template_trial.MEMORY >> 30} GB of memory"
        raise EngineError(
            f"The chat template of this model takes more than {most} for a question of four words, so it is not used. Set "
            "another one with processor.chat_template."
        )


class Texts:
    """What every engine that has the processor of its model does alike.

    Args:
        processor: that of the model; needs a chat template.
        ends: tokens that end a reply, beside the tokenizer's own.
    """

    def __init__(self, processor: Any, ends: Collection[int] | int | None) -> None:
        if getattr(processor, "chat_template", None) is None:
            raise EngineError(
                f"{type(processor).__name__} has no chat template, so no prompt can be built. Use an "
                "instruction-tuned model, or set one with processor.chat_template."
            )
        if isinstance(processor.chat_template, str):
            _refuse_endless(processor.chat_template, SECONDS)
        self.processor = processor
        self.end_ids = {ends} if isinstance(ends, int) else set(ends or ())
        self.end_ids |= {processor.tokenizer.eos_token_id} - {None}
        self._variables: dict[str, bool] = {}  # names that were looked for in the chat template

    def whole_prompt(self, request: Request) -> str:
        """The prompt with the beginning of the reply, where the request has one."""
        return self.prompt(request) + self.clean(request.prefix)

    def adds_special_tokens(self, prompt: str) -> bool:
        """Whether the tokenizer has to put its token for a beginning before a prompt: unless the chat template has."""
        begin = self.processor.tokenizer.bos_token
        return not (begin and prompt.startswith(begin))

    def prompt(self, request: Request) -> str:
        """The prompt of a request; a chat template that leaves the system turn out is refused."""
        messages = self.defuse(request.messages)
        arguments = {name: value for name, value in request.chat_template_kwargs.items() if self._reads(name)}
        text = render(self.processor, messages, **arguments)
        for part in (part for turn in messages if turn["role"] == "system" for part in turn["content"]):
            if part["text"].strip() not in text:
                raise EngineError(
                    "The chat template of this model leaves the system turn out: give a prompt without one "
                    "(prefix and suffix stand in the user's turn)."
                )
        return text

    def _reads(self, name: str) -> bool:
        """The chat template has a variable of this name; said once where it has none, since then it changes nothing."""
        if name not in self._variables:
            self._variables[name] = re.search(rf"\b{re.escape(name)}\b", str(self.processor.chat_template)) is not None
            if not self._variables[name]:
                logger.warning("The chat template of this model does not read %r, so it changes nothing.", name)
        return self._variables[name]

    def defuse(self, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The messages with no control token in any text."""
        return [
            {
                **message,
                "content": [
                    {**part, "text": self.clean(part["text"])} if part["type"] == "text" else part
                    for part in message["content"]
                ],
            }
            for message in messages
        ]

    def clean(self, text: str) -> str:
        """The text without control tokens.

        A zero-width space after the first character of, say, `<|im_end|>` keeps the text readable
        and makes it ordinary text to the tokenizer.
        """
        for control in self._controls:
            text = text.replace(control, f"{control[0]}\u200b{control[1:]}")
        return text

    @cached_property
    def _controls(self) -> list[str]:
        """Control tokens of more than a character, longest first."""
        tokenizer = self.processor.tokenizer
        controls = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
        controls |= set(tokenizer.all_special_tokens)
        return sorted((control for control in controls if len(control) > 1), key=len, reverse=True)

    def completion(self, tokens: Sequence[int], sampling: Sampling, prefix: str = "") -> Completion:
        """A reply from the tokens that were generated, what follows its end included."""
        end = next((index for index, token in enumerate(tokens) if token in self.end_ids), None)
        reply = list(tokens if end is None else tokens[: end + 1])
        return Completion(
            text=self._text_after(prefix, reply) if prefix else self.decode(reply).strip(),
            tokens=len(reply),
            truncated=end is None and len(tokens) >= sampling.max_new_tokens,
            token_ids=tuple(reply),
        )

    def decode(self, tokens: Sequence[int]) -> str:
        """The text as the model wrote it, with its control tokens: in some models those are the ends of a thought or a box.

        Left out are the tokens that begin, end and pad a text, and the marks of a turn at the very end.
        """
        said = self.without_ends(tokens)
        while said and said[-1] in self._turn_ids:
            said.pop()
        text: str = self.processor.tokenizer.decode(said, skip_special_tokens=False)
        return text

    def without_ends(self, tokens: Sequence[int]) -> list[int]:
        """The tokens but those that begin, end and pad a text."""
        tokenizer = self.processor.tokenizer
        silent = self.end_ids | {tokenizer.bos_token_id, tokenizer.pad_token_id}
        return [token for token in tokens if token not in silent]

    @cached_property
    def _turn_ids(self) -> set[int]:
        """The control tokens that every prompt has: who speaks, and where a turn ends."""
        chat = [{"role": "user", "content": [{"type": "text", "text": "a"}]}]
        text = render(self.processor, chat)
        tokenizer = self.processor.tokenizer
        special = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
        return special & set(tokenizer(text, add_special_tokens=False).input_ids)

    def reply_tokens(self, text: str) -> list[int]:
        """The tokens of a reply; what spells a control token in it is text."""
        ids: list[int] = self.processor.tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids
        return ids

    def other_tokens(self, reply: Reply) -> RowError | None:
        """The error of a reply whose ids do not spell it: they are of one tokenizer, and mean other words in another."""
        if reply.token_ids is None or self._bare(self.decode(reply.token_ids)) == self._bare(reply.text):
            return None
        return RowError(
            "tokens_changed",
            "the token ids do not spell the reply with this model's tokenizer; read it with the model that wrote it, or leave "
            "the ids out",
        )

    def _bare(self, text: str) -> str:
        """The text without control tokens, ends of thoughts and white space, which servers leave out or put in."""
        for mark in (*THINKING, *self.processor.tokenizer.all_special_tokens):
            text = text.replace(mark, "")
        return "".join(text.split())

    def token_texts(self, ids: Sequence[int]) -> list[str]:
        """The text of each token where it stands: some tokenizers drop the space before a lone token."""
        before = [None, *ids]
        return [self._text_behind(*pair) for pair in zip(before, ids, strict=False)]

    @cached_property
    def _text_behind(self) -> Callable[[int | None, int], str]:
        """The text of a token behind another one, or at the start."""

        @lru_cache(maxsize=_PAIRS)
        def text_behind(before: int | None, token: int) -> str:
            decode = self.processor.tokenizer.decode
            if before is None:
                return str(decode([token]))
            return str(decode([before, token]))[len(decode([before])) :]

        return text_behind

    def spelled(self, reply: Reply) -> tuple[list[int], int]:
        """The tokens of a reply's prefix and text, and how many of them belong to the prefix alone.

        They are cut together, as a model would write them: where a tokenizer joins the end of the prefix with the start of
        the text, that joint token is one of the text. A reply that brings the tokens that the model wrote is spelled with
        these, but for those that end it.

        Raises:
            RowError: the text has no tokens, is spelled with one for what is unknown, or is not what its ids spell.
        """
        prefix = reply.request.prefix
        before = self.reply_tokens(prefix) if prefix else []
        if reply.token_ids is not None:
            error = self.other_tokens(reply)
            written = self.without_ends(reply.token_ids)
            if error is not None:
                raise error
            if not written:
                raise RowError("text_empty", "the reply has no tokens but those that end it")
            return [*before, *written], len(before)
        tokens = self.reply_tokens(prefix + reply.text)
        pairs = zip(before, tokens, strict=False)
        first = next(
            (place for place, (of_prefix, of_both) in enumerate(pairs) if of_prefix != of_both),
            min(len(before), len(tokens)),
        )
        unknown = self.processor.tokenizer.unk_token_id
        if len(tokens) == first:
            raise RowError("text_empty", "the tokenizer makes no token of the text")
        if unknown is not None and unknown in tokens[first:]:
            raise RowError("text_unknown", "the tokenizer has no token for a part of the text")
        return tokens, first

    def _text_after(self, prefix: str, tokens: list[int]) -> str:
        """The text of the tokens as it follows the prefix.

        Decoded with the prefix in front: alone, many tokenizers drop the space before the first word.
        """
        before = self.processor.tokenizer(self.clean(prefix), add_special_tokens=False)["input_ids"]
        start, whole = self.decode(before), self.decode(before + tokens)
        return whole[len(start) :] if whole.startswith(start) else " " + self.decode(tokens)
