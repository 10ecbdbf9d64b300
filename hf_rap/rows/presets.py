r"""Prompts that trainers and releases use, word for word, by name; and prompts of a user's own, from a file.

A file is YAML (or JSON) with the fields of `PromptTemplate`:

    system: Think inside <think></think>, then answer.
    suffix: " Put the final answer in \\boxed{}."
    chat_template_kwargs: {enable_thinking: false}
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from warnings import warn

from hf_rap.errors import RapDeprecationWarning, SettingError, first_line
from hf_rap.options import GOES_AWAY, ForeignError, check, check_text, read_yaml

from .prompts import AT_ONCE, BARE, DEFAULT_PROMPT, PromptTemplate

if TYPE_CHECKING:
    import os

# EasyR1's math prompt and verl's are the same sentence, one space behind the question.
_THINK_FIRST = (
    " You FIRST think about the reasoning process as an internal monologue and then provide the final answer. The "
    r"reasoning process MUST BE enclosed within <think> </think> tags. The final answer MUST BE put in \boxed{}."
)
_TRL = (
    "A conversation between user and assistant. The user asks a question, and the assistant solves it. The assistant "
    "first thinks about the reasoning process in the mind and then provides the user with the answer. The reasoning "
    "process and answer are enclosed within <think></think> tags, i.e., <think>\nThis is my reasoning.\n</think>\nThis "
    "is my answer."
)
_OPEN_R1 = "  Output the thinking process in <think> </think> and final answer (number) in <answer> </answer> tags."
# Its last two characters are a backslash and an n: the release has a raw string there.
_RAP = (
    " You should first thinks about the reasoning process in the mind and then provides the user with the answer. Your "
    "answer must be in latex format and wrapped in $...$. If the question is a **multiple-choice question**, provide the "
    r"final option letter in the format: <answer> $\boxed{option letter}$ </answer>. The reasoning process and answer are "
    "enclosed within <think> </think> and <answer> </answer> tags, respectively, i.e., <think> Since $1+1=2$, so the "
    r"answer is $2$. </think><answer> $\boxed{2}$ </answer>, which means your output should start with <think> and end "
    r"with </answer>. The final answer MUST BE put in \boxed{}.\n"
)
_QWEN = "\nPlease reason step by step, and put your final answer within \\boxed{}."


@dataclass(frozen=True)
class Preset:
    """A prompt that has a name, and where its words come from."""

    template: PromptTemplate
    source: str
    asks_for: str | None = None
    """Names the parts of a reply, see `keeps_format`, where the reward of the source asks for others than the words."""


PRESETS: dict[str, Preset] = {
    "default": Preset(DEFAULT_PROMPT, "hf-rap's own"),
    "trl": Preset(
        PromptTemplate(system=_TRL), "TRL, examples/scripts/grpo_vlm.py (commit f2cd577); its image stands first"
    ),
    "easyr1": Preset(PromptTemplate(suffix=_THINK_FIRST), "EasyR1, examples/format_prompt/math.jinja (commit b44b311)"),
    "verl": Preset(PromptTemplate(suffix=_THINK_FIRST), "verl, examples/data_preprocess/geo3k.py (commit b178a3c)"),
    "open-r1": Preset(
        PromptTemplate(suffix=_OPEN_R1),
        "EvolvingLMMs-Lab/open-r1-multimodal, src/open_r1/grpo.py, rows with an image (commit 232b7ba)",
    ),
    "qwen-thinking": Preset(
        PromptTemplate(suffix=_QWEN, chat_template_kwargs={"enable_thinking": True}),
        "model cards of Qwen3, best practices for mathematics; on a line of its own",
    ),
    "rap": Preset(
        PromptTemplate(suffix=_RAP),
        r"Mrshenshen/RAP, verl/trainer/main.py, which overrules data.format_prompt (commit 84cc32a); its reward asks for "
        r"a thought and a \boxed{}, not for <answer>",
        asks_for=r"<think> \boxed",
    ),
    "at-once": Preset(PromptTemplate(suffix=AT_ONCE), "hf-rap's own, for `hf_rap.Likelihood`"),
    "bare": Preset(BARE, "the question alone"),
}


_LONGEST_FILE = 100_000  # characters; YAML of that length takes a second
_TAKES = (
    'it takes the fields of PromptTemplate, such as `suffix: " Answer in one word."`. What stands around the content of a '
    "jinja template is prefix and suffix."
)


def find_prompt(prompt: PromptTemplate | str | os.PathLike[str]) -> PromptTemplate:
    """The template itself, the one of this name, or the one in this file.

    Raises:
        SettingError: it is neither, or the file holds no prompt.

    >>> find_prompt("verl") == find_prompt("easyr1")
    True
    """
    if isinstance(prompt, PromptTemplate):
        return prompt
    if isinstance(prompt, str) and prompt in PRESETS:
        return PRESETS[prompt].template
    takes = f"one of {', '.join(PRESETS)}, a PromptTemplate, or a YAML file of its fields"
    try:
        is_file = Path(prompt).is_file()
    except (TypeError, OSError, ValueError):  # no path at all, or a text that is too long for one
        is_file = False
    check(is_file, "prompt", prompt, takes)
    return read_prompt(prompt)


def read_prompt(path: str | os.PathLike[str]) -> PromptTemplate:
    """The template in a YAML or JSON file.

    Raises:
        SettingError: it cannot be read, or holds something else.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        check(len(text) <= _LONGEST_FILE, "prompt", str(path), f"a file of at most {_LONGEST_FILE:,} characters")
        values = read_yaml(text)
    except ForeignError as error:
        raise SettingError(f"The prompt {path} {error}: {_TAKES}") from error
    except (OSError, ValueError) as error:
        if isinstance(error, SettingError):
            raise
        raise SettingError(f"The prompt {path} is no text ({first_line(error)}): {_TAKES}") from error
    if not isinstance(values, dict):
        raise SettingError(f"The prompt {path} holds {type(values).__name__}: {_TAKES}")
    try:
        return PromptTemplate.from_dict(values)
    except SettingError as error:
        raise SettingError(f"The prompt {path}: {error}") from error


def name_of(template: PromptTemplate) -> str | None:
    """The first name that a template has; None for one of a user's own."""
    return next((name for name, preset in PRESETS.items() if preset.template == template), None)


def asks_for(template: PromptTemplate) -> str:
    """The instruction that `keeps_format` judges a reply to this prompt by: its words, or what its source rewards."""
    rewarded = (preset.asks_for for preset in PRESETS.values() if preset.asks_for and preset.template == template)
    return next(rewarded, template.words)


def prompt_or_instruction(prompt: Any, instruction: str | None) -> PromptTemplate:
    """The prompt that was given, or that of the old option `instruction`, which is said to go away; in `__post_init__`."""
    if instruction is None:
        return find_prompt(prompt)
    check_text("instruction", instruction)
    warn(
        f"instruction= is now prompt=PromptTemplate(suffix=...); the old name goes away in version {GOES_AWAY}.",
        RapDeprecationWarning,
        stacklevel=4,
    )
    return PromptTemplate(suffix=instruction)


def presets_table() -> str:
    """Every preset as Markdown: what it sends around the question, and whose words these are."""
    rows = []
    for name, preset in PRESETS.items():
        template = preset.template
        sent = [f"system turn: {_code(template.system)}"] if template.system is not None else []
        sent += [f"before: {_code(template.prefix)}"] if template.prefix else []
        sent += [f"behind: {_code(template.suffix)}"] if template.suffix else []
        sent += [f"chat template: `{key}={value}`" for key, value in template.chat_template_kwargs.items()]
        rows.append(f"| `{name}` | {'<br>'.join(sent) or 'nothing'} | {preset.source.replace('<', '&lt;')} |")
    return "\n".join(["| `--prompt` | around the question | from |", "|---|---|---|", *rows])


def _code(text: str | None) -> str:
    """As a literal, so that spaces at the ends, line breaks and backslashes are seen."""
    return f"<code>{json.dumps(text, ensure_ascii=False).replace('&', '&amp;').replace('<', '&lt;')}</code>"
