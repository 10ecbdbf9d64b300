"""How a question becomes a chat, and whether a reply keeps the format that its prompt asks for."""

import json
import pickle
import random

import pytest
from datasets.fingerprint import Hasher

from hf_rap.errors import SettingError
from hf_rap.rows.presets import PRESETS, asks_for
from hf_rap.rows.prompts import AT_ONCE, DEFAULT_INSTRUCTION, PromptTemplate, keeps_format

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


@pytest.mark.parametrize("name", ["default", "rap"])
def test_it_is_the_format_of_the_authors_reward(name):
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
        assert keeps_format(reply, asks_for(PRESETS[name].template)) is expected, reply
        kept += expected
    assert kept > 100


def test_a_long_reply_costs_no_time():
    """A megabyte of half-open tags and boxes."""
    for text in ("<think>" * 150_000, "<think>" + "</think>" * 130_000, "<think></think>" + r"\boxed{" * 140_000):
        assert keeps_format(text, DEFAULT_INSTRUCTION) is False


QUESTIONS = [
    "Find x.",
    "<image>Find x.",
    "Find x in <image>",
    "Compare <image> with <image> .\n",
    "<image>\n<image>Which? ",
    "<image><image>",
    " <image> ",
]
AROUND = PromptTemplate("Be brief.", "Q: ", "\nThink.", {"enable_thinking": False})


@pytest.mark.parametrize("template", [PromptTemplate(), PromptTemplate(suffix="\nThink."), AROUND])
@pytest.mark.parametrize("question", QUESTIONS)
def test_the_text_cut_at_its_placeholders_is_the_chat_that_was_asked(question, template):
    """So trainers that make blocks of a text (verl, EasyR1) ask what hf_rap has asked."""
    cut = template.text(question).split("<image>")
    blocks = [{"type": "text", "text": cut[0]}] if cut[0] else []
    for text in cut[1:]:
        blocks += [{"type": "image"}, *([{"type": "text", "text": text}] if text else [])]
    *system, user = template.messages(question)
    assert user == {"role": "user", "content": blocks}
    assert [turn["content"][0]["text"] for turn in system] == ([] if template.system is None else ["Be brief."])


def test_prefix_and_suffix_join_the_words_of_the_question():
    """In both arms; the text arm loses images and their placeholders, and no word of the prompt."""
    image, text = (AROUND.messages("Look at <image> here.", with_images=arm)[1]["content"] for arm in (True, False))
    assert image == [
        {"type": "text", "text": "Q: Look at "},
        {"type": "image"},
        {"type": "text", "text": " here.\nThink."},
    ]
    assert text == [{"type": "text", "text": "Q: Look at here.\nThink."}]


@pytest.mark.parametrize(
    ("template", "own", "sent"),
    [
        (PromptTemplate(), "Mine.", None),
        (PromptTemplate(system="Ours."), "Mine.", "Ours."),
        (PromptTemplate(keep_system=True), "Mine.", "Mine."),
        (PromptTemplate(keep_system=True), None, None),
        (PromptTemplate(system="Ours.", keep_system=True), "Mine.", "Mine."),
        (PromptTemplate(system="Ours.", keep_system=True), None, "Ours."),
    ],
)
def test_a_row_keeps_its_system_turn_when_asked(template, own, sent):
    """Only then, and in the place of the template's; the template of one row says the same without the dataset."""
    for asked, system in ((template, own), (template.of_row(own), None)):
        turns = asked.messages("Find x.", system=system)
        found = [turn["content"][0]["text"] for turn in turns if turn["role"] == "system"]
        assert found == ([] if sent is None else [sent])


@pytest.mark.parametrize("template", [*(preset.template for preset in PRESETS.values()), AROUND])
def test_settings_tell_the_template(template):
    """Through JSON; what stands behind the question is written as earlier releases wrote it."""
    settings = json.loads(json.dumps({"model": "m", **template.settings()}))
    assert PromptTemplate.from_settings(settings) == template
    assert settings["instruction"] == template.suffix
    assert PromptTemplate.from_settings({"model": "m"}) is None


def test_settings_of_earlier_releases_are_the_same_template():
    """They knew the instruction alone, so their runs go on."""
    assert PromptTemplate(suffix=" Box it.").settings() == {"instruction": " Box it."}
    assert PromptTemplate.from_settings({"instruction": " Box it."}) == PromptTemplate(suffix=" Box it.")


def test_equal_templates_have_one_hash():
    """Whatever the order of their arguments: the cache of `map` and sets know them as one."""
    one, other = (
        PromptTemplate(chat_template_kwargs=dict(pairs)) for pairs in ([("a", 1), ("b", 2)], [("b", 2), ("a", 1)])
    )
    assert (one, hash(one), Hasher.hash(one)) == (other, hash(other), Hasher.hash(other))
    assert pickle.loads(pickle.dumps(one)) == one
    assert Hasher.hash(one) != Hasher.hash(PromptTemplate(chat_template_kwargs={"a": 1}))


def test_arguments_that_json_cannot_hold_are_refused():
    """They would be lost on the way to a server, and in the settings."""
    with pytest.raises(SettingError, match=r"^chat_template_kwargs is \{'x': .*JSON cannot hold it"):
        PromptTemplate(chat_template_kwargs={"x": object()})


@pytest.mark.parametrize(
    ("name", "reply", "kept"),
    [
        ("trl", "<think>\nOne.\n</think>\nFour.", True),
        ("trl", "Four.", False),
        ("open-r1", "<think>One.</think> <answer>4</answer>", True),
        ("open-r1", "<think>One.</think> 4", False),
        ("qwen-thinking", "One.</think> \\boxed{4}", True),
        ("rap", "<think>One.</think> \\boxed{4}", True),  # as the reward of the release, though its words ask for more
        ("rap", "<think>One.</think><answer>4</answer>", False),
        ("bare", "4", None),
    ],
)
def test_the_format_is_the_one_that_the_preset_asks_for(name, reply, kept):
    """Wherever it asks: in the system turn, too."""
    assert keeps_format(reply, asks_for(PRESETS[name].template)) is kept
