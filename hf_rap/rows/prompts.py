"""From a question to the chat messages of the two arms: with its images, and on its text alone."""

from __future__ import annotations

import re

IMAGE = "<image>"  # the placeholder of an image inside a question

# Appended to every question unless the user gives another instruction; the models of the paper
# were prompted to think first and to box the answer (EasyR1's math prompt asks for the same).
DEFAULT_INSTRUCTION = "\nThink inside <think></think>, then give the final answer inside \\boxed{}."

# Asks for the answer without any thinking, which then stands between lead and tail. The evidence for this form is in
# docs/likelihood.md.
AT_ONCE = "\nGive only the final answer inside \\boxed{}."
ANSWER_LEAD = "\\boxed{"
ANSWER_TAIL = "}"


def messages_of(question: str, instruction: str, *, with_images: bool) -> list[dict[str, object]]:
    """The chat of one arm: the question with its images, or on its text alone."""
    return (image_messages if with_images else text_messages)(question, instruction)


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


def image_messages(question: str, instruction: str = DEFAULT_INSTRUCTION) -> list[dict[str, object]]:
    """The question with an image block wherever it says `<image>`."""
    blocks: list[dict[str, str]] = []
    for number, text in enumerate(question.split(IMAGE)):
        if number:
            blocks.append({"type": "image"})
        if text.strip():
            blocks.append({"type": "text", "text": text})
    return _chat(blocks, instruction)


def text_messages(question: str, instruction: str = DEFAULT_INSTRUCTION) -> list[dict[str, object]]:
    """The question alone: images and their placeholders removed."""
    text = re.sub(f" *{re.escape(IMAGE)} *", " ", question).strip()
    return _chat([{"type": "text", "text": text}], instruction)


def _chat(blocks: list[dict[str, str]], instruction: str) -> list[dict[str, object]]:
    """One user turn; the instruction joins the last text, as a user would type it."""
    if blocks and blocks[-1]["type"] == "text":
        blocks[-1] = {"type": "text", "text": blocks[-1]["text"] + instruction}
    elif instruction:
        blocks.append({"type": "text", "text": instruction.lstrip()})
    return [{"role": "user", "content": blocks}]
