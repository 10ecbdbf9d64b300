"""How a row is asked: from a question to the chat messages of the two arms, with its images and on its text alone."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

from hf_rap.errors import SettingError
from hf_rap.options import check, check_flags, check_text, shown

IMAGE = "<image>"  # the placeholder of an image inside a question

# Appended to every question unless the user gives another prompt; the models of the paper
# were prompted to think first and to box the answer (EasyR1's math prompt asks for the same).
DEFAULT_INSTRUCTION = "\nThink inside <think></think>, then give the final answer inside \\boxed{}."

# Asks for the answer without any thinking, which then stands between lead and tail. The evidence for this form is in
# docs/likelihood.md.
AT_ONCE = "\nGive only the final answer inside \\boxed{}."
ANSWER_LEAD = "\\boxed{"
ANSWER_TAIL = "}"

# What `apply_chat_template` takes for itself; the rest goes to the chat template.
_NO_VARIABLES = {
    *("conversation", "messages", "chat_template", "tools", "documents", "images", "videos", "audio", "text"),
    *("add_generation_prompt", "continue_final_message", "tokenize", "padding", "truncation", "max_length"),
    *("return_tensors", "return_dict", "return_assistant_tokens_mask", "tokenizer_kwargs", "processor_kwargs"),
    *("load_audio_from_video", "sanitize_control_tokens"),
}


@dataclass(frozen=True)
class PromptTemplate:
    r"""What stands around a question. The same object asks, reads attention, and gives a trainer the prompt that was scored.

    Args:
        system: text of a system turn. None sends none; the chat template of a model may then put one of its own.
        prefix: text before the question.
        suffix: text behind it: the instruction. Behind a question that ends with an image it begins without white space.
        chat_template_kwargs: arguments of the model's chat template, such as `{"enable_thinking": False}`.
        keep_system: a row whose question is a chat with a system turn is asked with that one, in the place of `system`.

    Raises:
        SettingError: a text holds an image placeholder, or an argument is none of a chat template.

    Examples:
        >>> PromptTemplate(suffix=" Answer in one word.").text("What is in <image>")
        'What is in <image>Answer in one word.'

    """

    system: str | None = None
    prefix: str = ""
    suffix: str = ""
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    keep_system: bool = False

    def __post_init__(self) -> None:
        for name in ("system", "prefix", "suffix"):
            text = getattr(self, name)
            check_text(name, text, none=name == "system", empty=name != "system")
            check(IMAGE not in (text or ""), name, text, f"a text without {IMAGE}: pictures are of the question")
        check_flags(keep_system=self.keep_system)
        arguments = self.chat_template_kwargs
        fine = isinstance(arguments, Mapping) and all(isinstance(name, str) for name in arguments)
        check(fine, "chat_template_kwargs", arguments, 'a dictionary such as {"enable_thinking": False}')
        reserved = sorted(_NO_VARIABLES & arguments.keys())
        check(not reserved, "chat_template_kwargs", arguments, f"variables of a chat template; {reserved} is none")
        try:  # in one order and of plain values, so that equal templates have equal hashes
            plain = json.loads(json.dumps(dict(arguments), sort_keys=True))
        except (TypeError, ValueError) as error:
            raise SettingError(f"chat_template_kwargs is {arguments!r}, and JSON cannot hold it: {error}.") from error
        object.__setattr__(self, "chat_template_kwargs", plain)

    def __hash__(self) -> int:
        return hash(json.dumps(self.as_dict(), sort_keys=True))

    def as_dict(self) -> dict[str, Any]:
        """The fields that say something, as JSON-able values."""
        defaults = PromptTemplate()
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value != getattr(defaults, name)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The template with these fields.

        Raises:
            SettingError: there is no such field, or a value that it does not take.
        """
        names = [field.name for field in fields(cls)]
        unknown = [name for name in values if name not in names]
        check(
            not unknown,
            "prompt",
            dict(values),
            f"the fields {', '.join(names)}, and not {shown(', '.join(map(str, unknown)))}",
        )
        return cls(**values)

    def settings(self) -> dict[str, Any]:
        """What `rap_settings` says of it: the text behind the question as `instruction`, all else as `prompt`.

        Earlier releases knew no more than the instruction, and wrote it like that.
        """
        more = {name: value for name, value in self.as_dict().items() if name != "suffix"}
        return {"instruction": self.suffix, **({"prompt": more} if more else {})}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self | None:
        """The template of a row's `rap_settings`; None where they do not tell."""
        if "instruction" not in settings:
            return None
        return cls.from_dict({"suffix": settings["instruction"], **settings.get("prompt", {})})

    def of_row(self, system: str | None) -> PromptTemplate:
        """The template that a row with this system turn is asked with: the same for rows of all datasets."""
        if not self.keep_system:
            return self
        return replace(self, system=system or self.system, keep_system=False)

    def messages(self, question: str, *, with_images: bool = True, system: str | None = None) -> list[dict[str, Any]]:
        """The chat of one arm: the question with an image block wherever it says `<image>`, or on its text alone.

        Args:
            question: with a placeholder for each of its images.
            with_images: or without them and their placeholders.
            system: the row's own system turn.
        """
        blocks = self._blocks(question) if with_images else self._text_blocks(question)
        turn = self.of_row(system).system
        first = [] if turn is None else [{"role": "system", "content": [{"type": "text", "text": turn}]}]
        return [*first, {"role": "user", "content": blocks}]

    def text(self, question: str) -> str:
        """The user's turn as text with placeholders, as trainers take it that make blocks of their own."""
        return "".join(block.get("text", IMAGE) for block in self._blocks(question))

    @property
    def words(self) -> str:
        """All that it says, for `keeps_format`."""
        return "\n".join((self.system or "", self.prefix, self.suffix))

    def _blocks(self, question: str) -> list[dict[str, str]]:
        blocks: list[dict[str, str]] = []
        for number, text in enumerate(question.split(IMAGE)):
            if number:
                blocks.append({"type": "image"})
            if text.strip():
                blocks.append({"type": "text", "text": text})
        return self._around(blocks)

    def _text_blocks(self, question: str) -> list[dict[str, str]]:
        text = re.sub(f" *{re.escape(IMAGE)} *", " ", question).strip()
        return self._around([{"type": "text", "text": text}])

    def _around(self, blocks: list[dict[str, str]]) -> list[dict[str, str]]:
        """Prefix and suffix join the first and the last text, as a user would type them."""
        if self.prefix and blocks and blocks[0]["type"] == "text":
            blocks[0] = {"type": "text", "text": self.prefix + blocks[0]["text"]}
        elif self.prefix:
            blocks.insert(0, {"type": "text", "text": self.prefix})
        if blocks and blocks[-1]["type"] == "text":
            blocks[-1] = {"type": "text", "text": blocks[-1]["text"] + self.suffix}
        elif self.suffix:
            blocks.append({"type": "text", "text": self.suffix.lstrip()})
        return blocks


BARE = PromptTemplate()
DEFAULT_PROMPT = PromptTemplate(suffix=DEFAULT_INSTRUCTION)


def prompt_of_replies(settings: Mapping[str, Any]) -> PromptTemplate:
    """The template that the replies of a row with these `rap_settings` were given to; the usual one where they do not tell."""
    return PromptTemplate.from_settings(settings) or DEFAULT_PROMPT


_THINK = re.compile(r"\s*<\s*think\s*>")
_THINK_END = re.compile(r"<\s*/\s*think\s*>")
# What an instruction asks for behind the thoughts, by the word that asks: how it opens, and how it ends.
_PARTS = {
    r"\boxed": (re.compile(r"\\boxed\{"), re.compile(r"\}")),
    "<answer>": (re.compile(r"<\s*answer\s*>"), re.compile(r"<\s*/\s*answer\s*>")),
}


def keeps_format(reply: str, instruction: str) -> bool | None:
    r"""Whether a reply has the form that the instruction asks for; None where it asks for none.

    An instruction that names `<think>` wants the reply to begin with a thought that ends, one that names `\boxed` or
    `<answer>` wants such an answer, behind the thought if there is to be one. White space inside and around the tags
    does not matter. Whether the answer is right is another question.

    Source: the format reward that EasyR1 and the authors of arXiv 2506.04755 train with (Mrshenshen/RAP,
    verl/utils/reward_score/math.py): it says the same of every reply to the default instruction.

    Examples:
        >>> keeps_format(r"<think>3 + 1</think> \boxed{4}", DEFAULT_INSTRUCTION), keeps_format("4", DEFAULT_INSTRUCTION)
        (True, False)

    """
    parts = [part for word, part in _PARTS.items() if word in instruction]
    thinks = "<think>" in instruction
    if not thinks and not parts:
        return None
    start = 0
    if thinks:
        begin = _THINK.match(reply)
        end = _THINK_END.search(reply, begin.end()) if begin else None
        if end is None:
            return False
        start = end.end()
    starts = [opening.search(reply, start) for opening, _ in parts]
    return all(
        opened is not None and ending.search(reply, opened.end()) is not None
        for opened, (_, ending) in zip(starts, parts, strict=True)
    )
