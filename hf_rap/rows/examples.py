"""One row of every layout that is recognised, as its datasets have it, and the table of them in docs/reference/layouts.md.

`<picture>` stands for a cell of an Image column, or the path of a file.
"""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from .recognition import recognise_layout

if TYPE_CHECKING:
    from collections.abc import Mapping

PICTURE = "<picture>"
_TURN = {"role": "user", "content": "<image>Find x."}
_STATES = ["Nevada", "Maine"]


class Example(NamedTuple):
    """A layout, datasets that have it, and one of its rows."""

    name: str
    datasets: str
    row: dict[str, Any]
    layout: Mapping[str, Any] = MappingProxyType({})
    """Fields of `Layout` that have to be said."""


EXAMPLES = (
    Example(
        "geometry3k", "hiyouga/geometry3k, EasyR1", {"images": [PICTURE], "problem": "<image>Find x.", "answer": "3"}
    ),
    Example(
        "verl",
        "verl's own sets",
        {"prompt": [_TURN], "images": [PICTURE], "reward_model": {"ground_truth": "3"}, "data_source": "geo"},
    ),
    Example("trl", "sets for TRL", {"prompt": [_TURN], "images": [PICTURE], "solution": "3"}),
    Example("ms-swift", "sets for ms-swift", {"messages": [_TURN], "images": [PICTURE], "solution": "3"}),
    Example("openrlhf", "sets for OpenRLHF", {"prompt": "<image>Find x.", "images": [PICTURE], "label": "3"}),
    Example(
        "multimodal-open-r1",
        "lmms-lab/multimodal-open-r1-8k-verified",
        {
            "image": PICTURE,
            "problem": "Find x.",
            "solution": "<think>...</think><answer>3</answer>",
            "original_question": "Find x.",
            "original_answer": "It is 3.",
        },
    ),
    Example("mm-eureka", "MM-Eureka", {"id": "1", "conversations": [_TURN], "answer": "3", "image_urls": [PICTURE]}),
    Example(
        "mm-eureka-qwen",
        "MM-Eureka for Qwen",
        {"id": "1", "message": json.dumps([_TURN]), "answer": "3", "images": [PICTURE]},
    ),
    Example(
        "sharegpt",
        "LLaVA, ShareGPT",
        {
            "image": PICTURE,
            "conversations": [{"from": "human", "value": "<image>Find x."}, {"from": "gpt", "value": "3"}],
        },
    ),
    Example(
        "the_cauldron",
        "HuggingFaceM4/the_cauldron, FineVision",
        {"images": [PICTURE], "texts": [{"user": "Find x.", "assistant": "3"}]},
    ),
    Example(
        "sharegpt",
        "chats with several questions",
        {
            "image": PICTURE,
            "conversations": [
                *({"from": "human", "value": "<image>What colour?"}, {"from": "gpt", "value": "red"}),
                *({"from": "human", "value": "How many?"}, {"from": "gpt", "value": "3"}),
            ],
        },
        {"turns": "last"},
    ),
    Example(
        "plain",
        "TextVQA, DocVQA, VQAv2",
        {"question": "Which brand?", "image": PICTURE, "answers": ["nokia", "Nokia phone"]},
    ),
    Example(
        "plain", "answers as structs", {"question": "Which?", "image": PICTURE, "answer": {"text": "two", "label": "B"}}
    ),
    Example(
        "scienceqa",
        "lmms-lab/ScienceQA-IMG",
        {"question": "Which is north?", "image": PICTURE, "choices": _STATES, "answer": 1, "hint": "", "lecture": ""},
    ),
    Example(
        "a-okvqa",
        "HuggingFaceM4/A-OKVQA",
        {
            "question": "Which?",
            "image": PICTURE,
            "choices": _STATES,
            "correct_choice_idx": 1,
            "direct_answers": "['Maine']",
        },
    ),
    Example(
        "sat", "array/SAT", {"question": "Which?", "image": PICTURE, "answers": _STATES, "correct_answer": "Maine"}
    ),
    Example(
        "plain",
        "MMMU/MMMU, EMMA",
        {
            "question": "In <image 1>, what is <image 2>?",
            "options": "['$6', '$7']",
            "answer": "B",
            "image_1": PICTURE,
            "image_2": PICTURE,
            "image_3": None,
        },
    ),
    Example(
        "plain",
        "BLINK-Benchmark/BLINK",
        {"question": "Which is nearer?", "image_1": PICTURE, "image_2": PICTURE, "choices": _STATES, "answer": "(B)"},
    ),
    Example(
        "plain",
        "lmms-lab/MMBench",
        {"question": "Which?", "image": PICTURE, "A": "Nevada", "B": "Maine", "C": None, "answer": "B"},
    ),
    Example(
        "plain",
        "lmms-lab/SEED-Bench",
        {"question": "Which?", "image": [PICTURE], "choice_a": "Nevada", "choice_b": "Maine", "answer": "B"},
    ),
    Example(
        "plain",
        "We-Math",
        {"question": "Which?", "image_path": PICTURE, "option": "A. Nevada; B. Maine", "answer": "B"},
    ),
    Example(
        "plain",
        "AI4Math/MathVista",
        {
            "question": "Find x.",
            "image": "images/1.jpg",
            "decoded_image": PICTURE,
            "choices": ["135°", "140°"],
            "answer": "140°",
        },
    ),
    Example(
        "plain",
        "lmms-lab/ai2d",
        {"question": "Which?", "image": PICTURE, "options": _STATES, "answer": "1"},
        {"answers_as": "index0"},
    ),
)


def table() -> str:
    """The examples as a table of Markdown: what is read from each row, and what has to be said."""
    lines = ["| layout | datasets | a row | question, images, options, answer | say |", "|---|---|---|---|---|"]
    for example in EXAMPLES:
        layout = recognise_layout(example.row)
        columns = (
            layout.question,
            ", ".join(layout.image_columns) or "in the chat",
            ", ".join(layout.choice_columns) or "-",
            layout.answer,
        )
        flags = " ".join(f"`--{name.replace('_', '-')} {value}`" for name, value in example.layout.items()) or "-"
        row = json.dumps(example.row, ensure_ascii=False).replace("|", "\\|")
        lines.append(f"| {example.name} | {example.datasets} | `{row}` | {'; '.join(columns)} | {flags} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())  # noqa: T201 - this is what it is run for
