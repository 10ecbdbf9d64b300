"""Prompts by name are those of their sources, to the letter, and prompts of files are read or refused."""

import json
from hashlib import sha256

import pytest

from hf_rap.errors import SettingError
from hf_rap.rows.presets import PRESETS, find_prompt, name_of
from hf_rap.rows.prompts import PromptTemplate

# Of the texts that stand in the files which `Preset.source` names, cut out of them by a program.
DIGESTS = {
    "trl": "9155d3e10e858ed5",
    "easyr1": "f016ce90a2db1f0d",
    "verl": "f016ce90a2db1f0d",
    "open-r1": "05acb2d403b9c8bc",
    "rap": "7bcd95ee2e0d68f7",
}


@pytest.mark.parametrize("name", DIGESTS)
def test_a_preset_says_its_source_to_the_letter(name):
    """TRL says it in a system turn, the others behind the question."""
    template = PRESETS[name].template
    text = template.system if name == "trl" else template.suffix
    assert sha256(text.encode()).hexdigest()[:16] == DIGESTS[name]
    assert template == PromptTemplate(**{"system" if name == "trl" else "suffix": text})


def test_a_name_is_found_and_told():
    """EasyR1 and verl ask alike, so the first name stands for both."""
    assert [name_of(find_prompt(name)) for name in PRESETS] == [
        "easyr1" if name == "verl" else name for name in PRESETS
    ]
    assert name_of(PromptTemplate(suffix="?")) is None


@pytest.mark.parametrize(
    "text",
    [
        'system: Be brief.\nsuffix: " Box it."\nchat_template_kwargs: {enable_thinking: false}\nkeep_system: true\n',
        json.dumps(
            {
                "system": "Be brief.",
                "suffix": " Box it.",
                "chat_template_kwargs": {"enable_thinking": False},
                "keep_system": True,
            }
        ),
    ],
    ids=["yaml", "json"],
)
def test_a_file_holds_the_fields(tmp_path, text):
    """YAML, and JSON, which is YAML; as a path or its text."""
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    expected = PromptTemplate("Be brief.", "", " Box it.", {"enable_thinking": False}, keep_system=True)
    assert find_prompt(tmp_path / "mine.yaml") == find_prompt(str(tmp_path / "mine.yaml")) == expected


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{{ content | trim }} You FIRST think.", "it takes the fields of PromptTemplate"),
        (b"Think first.", "holds str: it takes the fields of PromptTemplate"),
        (b"", "holds NoneType"),
        (b"suffix: [", "is no YAML"),
        (b"\xff\xfe\x00", "is no text"),
        (b"sufix: Box it.", "the fields system, prefix, suffix, .* and not 'sufix'"),
        (b"suffix: 5", "suffix is 5: it takes a text"),
        (b"suffix: See <image>.", "a text without <image>"),
        (b"chat_template_kwargs: {add_generation_prompt: false}", r"variables of a chat template; \['add_gen"),
        (b"chat_template_kwargs: enable_thinking", "chat_template_kwargs is 'enable_thinking': it takes a dictionary"),
        (b"chat_template_kwargs: {day: 2024-01-01}", "JSON cannot hold it"),
        (b"keep_system: maybe", "keep_system is 'maybe': it takes True or False"),
    ],
)
def test_a_file_that_holds_no_prompt_is_refused(tmp_path, content, said):
    """With its name, what is in it, and what it takes."""
    (tmp_path / "bad.yaml").write_bytes(content)
    with pytest.raises(SettingError, match=said) as caught:
        find_prompt(tmp_path / "bad.yaml")
    assert "bad.yaml" in str(caught.value)


@pytest.mark.parametrize("prompt", ["qwen", "missing.yaml", "", "x" * 5000, "a\0b", 5, None])
def test_what_is_neither_a_name_nor_a_file_is_refused(prompt):
    """With all names that there are."""
    with pytest.raises(SettingError, match=r"it takes one of default, trl, .*bare, a PromptTemplate, or a YAML file"):
        find_prompt(prompt)
