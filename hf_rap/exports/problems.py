"""What is wrong with a row for a trainer, and what can be mended without changing what it asks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_rap.errors import RowError
from hf_rap.rows.prompts import BARE
from hf_rap.verify import read_gold
from hf_rap.verify.finding import stated_last
from hf_rap.verify.mathematics import is_parsed_by_math_verify

from .asked import prompt_in
from .pictures import scale, size_of, within, written_as_scored

if TYPE_CHECKING:
    from hf_rap.rows.prompts import PromptTemplate

    from .base import Accepts
    from .limits import Limits

AS_SCORED = "image written as it was scored"
# <|image_pad|>, <|im_start|> and their like; those of InternVL and Gemma. A tokenizer reads them inside of a text, too.
_TOKEN = re.compile(
    r"<\|[A-Za-z]\w{2,}\|>|<(?:IMG_CONTEXT|(?:image|audio)_soft_token|(?:start|end)_of_(?:image|turn))>"
)


@dataclass(frozen=True)
class Checked:
    """What is wrong with a row, and what can be or was mended; `row` as it would be handed over."""

    row: dict[str, Any]
    problem: tuple[str, str] | None
    fixed: tuple[str, ...] = ()
    fixable: tuple[str, ...] = ()


def check_row(
    row: dict[str, Any], accepts: Accepts, limits: Limits, arguments: dict[str, Any] | None, *, fix: bool
) -> Checked:
    """A row against what a trainer takes; `arguments` of the chat template are those of the rows before."""
    mended, repairs = mend(row, accepts, limits)
    if fix:
        row = mended
    problem = _problem(row, accepts, limits, arguments)
    if fix:
        return Checked(row, problem, fixed=() if problem else tuple(repairs))
    helps = bool(repairs) and _problem(mended, accepts, limits, arguments) is None
    return Checked(row, problem, fixable=tuple(repairs) if helps else ())


def _problem(
    row: dict[str, Any], accepts: Accepts, limits: Limits, arguments: dict[str, Any] | None
) -> tuple[str, str] | None:
    """Code and message of the first thing that is wrong with a row; `arguments` are those of the rows before."""
    return (
        _gold_problem(row, accepts, limits)
        or _image_problem(row["images"], limits)
        or _prompt_problem(prompt_in(row) or BARE, accepts, arguments)
        or _question_problem(row, accepts, limits)
    )


def _prompt_problem(
    prompt: PromptTemplate, accepts: Accepts, arguments: dict[str, Any] | None
) -> tuple[str, str] | None:
    """What of the prompt that was scored cannot be trained."""
    hint = "export with another prompt=... (--prompt), or to another trainer"
    if prompt.system is not None and not accepts.system_turn:
        return "system_turn", f"it was asked with a system turn, which its loader does not have: {hint}"
    given, known = dict(prompt.chat_template_kwargs), accepts.template_arguments
    without = sorted(given.keys() - known) if known is not None else []
    if without:
        return (
            "template_arguments",
            f"its chat template was given {', '.join(without)}, which this trainer has no place for: {hint}",
        )
    if arguments is not None and given != arguments:
        values = f"its chat template was given {given or 'nothing'}, and that of rows before {arguments or 'nothing'}"
        return "template_arguments", f"{values}, where a training run has one for all: export them apart"
    return None


def _gold_problem(row: dict[str, Any], accepts: Accepts, limits: Limits) -> tuple[str, str] | None:
    golds = row["extra_info"]["accepted"]
    try:
        read_gold(golds or row["answer"], question=row["problem"], options=row["extra_info"].get("options") or None)
    except RowError as error:
        return error.code, error.message
    if len(golds) > 1 and not accepts.several_golds:
        return "several_golds", f"{len(golds)} accepted answers ({', '.join(golds)[:80]}), but its reward sees one text"
    if limits.usual_verifier and not usual_verifier_reads(row["answer"], accepts):
        return "gold_unreadable_there", f"{accepts.verifier} cannot read the answer {row['answer'][:80]!r}"
    return None


def _image_problem(images: list[dict[str, Any]], limits: Limits) -> tuple[str, str] | None:
    if limits.max_images and len(images) > limits.max_images:
        return "too_many_images", f"{len(images)} images; the limit is {limits.max_images}"
    for number, image in enumerate(images, 1):
        width, height = size_of(image)
        if scale(width, height, limits.min_pixels, limits.max_pixels) is not None:
            bounds = f"from {limits.min_pixels or 1:,}" + (f" to {limits.max_pixels:,}" if limits.max_pixels else " on")
            return (
                "image_size",
                f"image {number} has {width} x {height} = {width * height:,} pixels; taken are {bounds}",
            )
    return None


def _question_problem(row: dict[str, Any], accepts: Accepts, limits: Limits) -> tuple[str, str] | None:
    for word in accepts.reserved:
        if any(word in turn["content"] for turn in row["messages"]):
            return "reserved_word", f"the question says {word}, which its loader takes for a placeholder"
    if token := _TOKEN.search(row["problem"]):
        return (
            "reserved_word",
            f"the question says {token[0]}, which a model takes for a token of its own: an image or a turn that is not there",
        )
    if limits.max_prompt_tokens and limits.prompt_tokens:
        arguments = (prompt_in(row) or BARE).chat_template_kwargs
        tokens = limits.prompt_tokens(row["prompt"], row["images"], **arguments)
        if tokens > limits.max_prompt_tokens:
            return "prompt_too_long", f"{tokens:,} tokens; the limit is {limits.max_prompt_tokens:,}"
    return None


def mend(row: dict[str, Any], accepts: Accepts, limits: Limits) -> tuple[dict[str, Any], list[str]]:
    """The row with what can be changed without changing what it asks, and what that was."""
    repairs = []
    images = [written_as_scored(image, accepts.opens) for image in row["images"]]
    if images != row["images"]:
        repairs.append(AS_SCORED)
    sized = [within(image, limits.min_pixels, limits.max_pixels) for image in images]
    if sized != images:
        repairs.append("image resized to the pixel limits")
    if repairs:
        row = {**row, "images": sized}
    answer = row["answer"]
    if answer and accepts.verifier == "mathruler" and (short := stated_last(answer)):
        repairs.append("answer taken out of its solution")
        golds = [short, *row["extra_info"]["accepted"][1:]]
        row = {
            **row,
            "answer": short,
            "solution": short,
            "reward_model": {**row["reward_model"], "ground_truth": short},
            "extra_info": {**row["extra_info"], "accepted": golds},
        }
    return row, repairs


def usual_verifier_reads(answer: str | None, accepts: Accepts) -> bool:
    """The trainer's own reward can compare with this answer.

    math-verify has to parse something out of it, else TRL skips the row and ms-swift gives 0.
    mathruler compares normalised texts: a whole solution never equals the answer of a reply.
    """
    if accepts.verifier == "math-verify":
        return is_parsed_by_math_verify(answer or "")
    return accepts.verifier == "none" or not stated_last(answer or "")
