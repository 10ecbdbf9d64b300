"""docs/prompts.md: its file is a prompt, and its table of trainers is what exports accept."""

import re
from pathlib import Path

import yaml
from blocks import blocks

from hf_rap.exports.trainers import TRAINERS
from hf_rap.rows.presets import PRESETS
from hf_rap.rows.prompts import PromptTemplate

PAGE = (Path(__file__).parents[2] / "docs" / "prompts.md").read_text(encoding="utf-8")


def test_every_preset_is_named():
    """Each to the letter is in the reference."""
    assert [name for name in PRESETS if f"`{name}`" not in PAGE] == []


def test_the_file_of_the_page_is_a_prompt():
    """It has every field."""
    (block,) = blocks("docs/prompts.md", "yaml")
    assert PromptTemplate.from_dict(yaml.safe_load(block.code)) == PromptTemplate(
        "Be brief.", "Question: ", "\nThink, then put the answer in \\boxed{}.", {"enable_thinking": False}, True
    )


def test_what_a_trainer_has_a_place_for_is_what_its_export_accepts():
    """One row for each that has GRPO, or cold starts: whether a system turn and arguments are refused."""
    rows = re.findall(r"^\| ([\w-]+) \| (.+?) \| (yes|refused) \| (.+?) \|$", PAGE, re.MULTILINE)
    told = {name.lower(): (system == "yes", arguments != "refused") for name, _, system, arguments in rows}
    assert told == {
        name: (trainer.accepts.system_turn, trainer.accepts.template_arguments != ())
        for name, trainer in TRAINERS.items()
        if name not in ("universal", "jsonl")
    }
