"""Whether a reply keeps the format that its prompt asks for."""

import random

import pytest

from hf_rap.rows.prompts import AT_ONCE, DEFAULT_INSTRUCTION, keeps_format

OPEN_R1 = "Reason inside <think> </think>, answer inside <answer> </answer>."


@pytest.mark.parametrize(
    ("reply", "kept"),
    [
        (r"<think>3 and 1</think>\boxed{4}", True),
        ("  < think >\n3 and 1\n< / think >\n\nIt is \\boxed{\\frac{1}{2}}, so there.", True),
        (r"\boxed{4}", False),  # no thought
        (r"Well. <think>3 and 1</think> \boxed{4}", False),  # something before it
        (r"<think>3 and 1 \boxed{4}", False),  # it does not end
        (r"<think>\boxed{4}</think> It is 4.", False),  # the box is inside
        (r"<think>3 and 1</think> It is \boxed{4", False),  # the box does not end
        (r"<think>a</think> no <think>b</think> \boxed{4}", True),
        ("", False),
    ],
)
def test_the_default_instruction_asks_for_a_thought_and_a_box(reply, kept):
    """A thought in tags first, and behind it a box; whatever is in it."""
    assert keeps_format(reply, DEFAULT_INSTRUCTION) is kept


@pytest.mark.parametrize(
    ("instruction", "reply", "kept"),
    [
        ("", r"<think>3</think>\boxed{3}", None),
        (" Answer with a single number.", "4", None),
        (AT_ONCE, r"\boxed{4}", True),
        (AT_ONCE, "4", False),
        (OPEN_R1, "<think>a</think><answer>4</answer>", True),
        (OPEN_R1, r"<think>a</think>\boxed{4}", False),
        (OPEN_R1, "<answer>4</answer><think>a</think>", False),
        (r" Put \boxed{} inside <answer></answer>.", r"<answer>\boxed{4}</answer>", True),
        (r" Put \boxed{} inside <answer></answer>.", "<answer>4</answer>", False),
    ],
)
def test_other_instructions_ask_for_what_they_name(instruction, reply, kept):
    """Null where nothing is asked for, which is not the same as a format that is not kept."""
    assert keeps_format(reply, instruction) is kept


def test_it_is_the_format_of_the_authors_reward():
    """On 20,000 replies put together from its parts: spaces around <, > and / taken away, a thought first, a box behind it."""
    rng = random.Random(0)
    parts = ["<think>", "</think>", " < think > ", "< / think>", r"\boxed{", "}", "4", "\n", " so ", "<", ">"]
    kept = 0
    for _ in range(20_000):
        reply = "".join(rng.choice(parts) for _ in range(rng.randint(0, 14)))
        plain = reply
        for mark in "<>/":
            plain = mark.join(part.strip() for part in plain.split(mark)) if mark in plain else plain
        ends = [place for place in range(len(plain)) if plain.startswith("</think>", place)]
        boxes = [place for place in range(len(plain)) if plain.startswith(r"\boxed{", place)]
        expected = plain.startswith("<think>") and any(
            7 <= end < box and "}" in plain[box:] for end in ends for box in boxes
        )
        assert keeps_format(reply, DEFAULT_INSTRUCTION) is expected, reply
        kept += expected
    assert kept > 100


def test_a_long_reply_costs_no_time():
    """A megabyte of half-open tags and boxes."""
    for text in ("<think>" * 150_000, "<think>" + "</think>" * 130_000, "<think></think>" + r"\boxed{" * 140_000):
        assert keeps_format(text, DEFAULT_INSTRUCTION) is False
