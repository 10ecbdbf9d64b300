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
