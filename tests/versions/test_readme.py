"""A new card over an old README: inserted lines, and nothing else."""

import difflib

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hf_rap.errors import PublishError
from hf_rap.versions.readme import BEGIN, END, default_config, merge_readme, metadata_of

CARD = """\
---
license: mit
pretty_name: user/data-rap
tags:
- hf-rap
configs:
- config_name: selected
  default: true
  data_files: selected/*
- config_name: scored
  data_files: scored/*
dataset_info:
- config_name: selected
  features: []
- config_name: scored
  features: []
---

# New
"""
OURS = metadata_of(CARD)


def removed(old: str, new: str) -> list[str]:
    """Lines of the old text that the new one does not have, in their order."""
    lines = difflib.ndiff(old.splitlines(keepends=True), new.splitlines(keepends=True))
    return [line for line in lines if line.startswith("- ")]


def headed(metadata: str, body: str = "# Mine\n") -> str:
    return f"---\n{metadata}---\n{body}"


def test_without_a_readme_the_card_is_all():
    """Between its two marks, with all of its metadata."""
    merged = merge_readme(None, CARD)
    assert metadata_of(merged) == OURS
    assert merged.endswith(f"---\n\n{BEGIN}\n\n# New\n\n{END}\n")


def test_readme_without_metadata_stays_below_it():
    """Word for word."""
    mine = "# Mine\n\n\n* a list  \n"
    merged = merge_readme(mine, CARD)
    assert metadata_of(merged) == OURS
    assert f"---\n\n{mine}\n{BEGIN}" in merged


@pytest.mark.parametrize("old", [None, "# Mine\n", headed("language: no\ntags: [a]\n"), headed("")])
def test_merging_again_changes_nothing(old):
    """So a rerun makes the same bytes."""
    once = merge_readme(old, CARD)
    assert merge_readme(once, CARD, OURS) == once


@given(st.text(alphabet="ab#|\n é", max_size=60), st.text(alphabet="ab#|\n é", max_size=60))
def test_text_around_the_marks_stays(before, after):
    """To the last blank."""
    old = f"---\na: 1\n---\n{before}{BEGIN}\n\nold\n\n{END}{after}"
    merged = merge_readme(old, CARD, {})
    _, _, body = merged.partition("\n---\n")
    assert body == f"{before}{BEGIN}\n\n# New\n\n{END}{after}"


SPELLINGS = """\
# what this is
language: no  # Norwegian
version: 1.10
mask: 0x10
time: 12:30:00
on: push
quoted: 'it''s'
folded: >-
  one
  two
empty:
nested: {b: [1, 2], a: ~}
tags:   # mine
  - first
  # between
  - "second"
task_categories: [question-answering]
license: apache-2.0
pretty_name: My Data
"""


def test_metadata_keeps_its_spelling():
    """Comments, order, quotes and all that YAML reads as something else; our lines come in between."""
    old = headed(SPELLINGS)
    merged = merge_readme(old, CARD)
    assert removed(old, merged) == []
    assert "  - hf-rap\n  - first\n  # between\n" in merged
    assert metadata_of(merged)["license"] == "apache-2.0"
    assert metadata_of(merged)["pretty_name"] == "My Data"


def test_lines_end_as_they_did():
    """A file from Windows stays one, byte order mark included."""
    old = "\ufeff" + headed(SPELLINGS).replace("\n", "\r\n")
    merged = merge_readme(old, CARD)
    assert removed(old, merged) == []
    assert merged.count("\n") == merged.count("\r\n")


@pytest.mark.parametrize(
    ("written", "merged"),
    [
        ("tags: mine\n", "tags: [hf-rap, mine]\n"),
        ("tags: mine # why\n", "tags: [hf-rap, mine] # why\n"),
        ("tags: [a, 'b']\n", "tags: [hf-rap, a, 'b']\n"),
        ("tags: []\n", "tags: [hf-rap]\n"),
        ("tags:\n- a\n", "tags:\n- hf-rap\n- a\n"),
        ("tags:\n    - a\n", "tags:\n    - hf-rap\n    - a\n"),
        ("tags:\n- a\n- hf-rap\n", "tags:\n- a\n- hf-rap\n"),
        ("tags:\n", "tags:\n- hf-rap\n"),
    ],
)
def test_tags_are_joined_as_they_are_written(written, merged):
    """A line, or a word in brackets."""
    assert merge_readme(headed(written), "---\ntags:\n- hf-rap\n---\n").startswith(f"---\n{merged}---\n")


def test_single_dataset_info_becomes_an_entry_with_its_name():
    """`push_to_hub` writes it alone and without a name where there is one config, and reads none from a list."""
    old = headed("dataset_info:\n  features:\n  - name: a\n    dtype: string  # text\n  splits: []\nlicense: mit\n")
    merged = merge_readme(old, CARD)
    assert removed(old, merged) == []
    assert metadata_of(merged)["dataset_info"][2] == {
        "config_name": "default",
        "features": [{"name": "a", "dtype": "string"}],
        "splits": [],
    }
    flow = merge_readme(headed("dataset_info: {features: []}\n"), CARD)
    assert metadata_of(flow)["dataset_info"][2] == {"config_name": "default", "features": []}
    named = merge_readme(headed("dataset_info:\n  config_name: raw\n  features: []\n"), CARD)
    assert metadata_of(named)["dataset_info"][2] == {"config_name": "raw", "features": []}


def test_ours_of_before_is_replaced():
    """Entries of configs, tags that are written no more, and a licence that nobody has changed."""
    once = merge_readme(headed("configs:\n- config_name: raw  # first\n  default: true\n"), CARD)
    new = CARD.replace("mit", "apache-2.0").replace("- hf-rap", "- other").replace("selected/*", "elsewhere/*")
    twice = metadata_of(merge_readme(once, new, OURS))
    assert twice["license"] == "apache-2.0"
    assert twice["tags"] == ["other"]
    assert [entry["config_name"] for entry in twice["configs"]] == ["selected", "scored", "raw"]
    assert twice["configs"][0] == {"config_name": "selected", "data_files": "elsewhere/*"}
    assert "raw  # first" in merge_readme(once, new, OURS)


def test_what_the_user_has_changed_stays():
    """A licence of ours that is another one now, and a tag that was taken out."""
    mine = (
        merge_readme(None, CARD).replace("license: mit", "license: cc0-1.0").replace("tags:\n- hf-rap\n", "tags: [a]\n")
    )
    merged = metadata_of(merge_readme(mine, CARD, OURS))
    assert merged["license"] == "cc0-1.0"
    assert merged["tags"] == ["a"]


@pytest.mark.parametrize(
    ("configs", "default"),
    [
        ([], None),
        ([{"config_name": "a"}], "a"),
        ([{"config_name": "a"}, {"config_name": "b"}], None),
        ([{"config_name": "a"}, {"config_name": "default"}], "default"),
        ([{"config_name": "a"}, {"config_name": "b", "default": True}], "b"),
    ],
)
def test_default_config_is_that_of_datasets(configs, default):
    """As its own metadata class decides it."""
    from datasets.utils.metadata import MetadataConfigs

    assert default_config(configs) == default
    assert MetadataConfigs({one["config_name"]: one for one in configs}).get_default_config_name() == default


def test_default_of_others_stays():
    """Named `default`, marked as it, or none at all: ours is then no default."""
    for written in (
        "- config_name: default\n",
        "- config_name: a\n  default: true\n",
        "- {config_name: a}\n- {config_name: b}\n",
    ):
        configs = metadata_of(headed("configs:\n" + written))["configs"]
        merged = metadata_of(merge_readme(headed("configs:\n" + written), CARD))["configs"]
        assert default_config(merged) == default_config(configs)


REFUSED = {
    "one config is the default because it is alone": ("---\nconfigs:\n- config_name: raw\n---\n", r"line 3: .*'raw'.*default: true"),
    "a config of our name": ("---\nconfigs:\n- config_name: scored\n---\n", r"line 3: 'configs' has a config 'scored'"),
    "infos of our name": ("---\ndataset_info:\n  config_name: scored\n---\n", r"line 3: 'dataset_info' has a config 'scored'"),
    "configs that are no list": ("---\nconfigs: raw.csv\n---\n", r"line 2: 'configs' is no list"),
    "unreadable": ("---\nlicense: mit\na: [\n---\n", r"line 4: its metadata cannot be read"),
    "a tab": ("---\na:\n\tb: 1\n---\n", r"line 3: its metadata cannot be read \(found character '\\t'"),
    "a field twice": ("---\ntags: [a]\ntags: [b]\n---\n", r"line 3: 'tags' is there twice"),
    "no fields": ("---\n- a\n---\n", "is no list of `name: value` lines"),
    "not ended": ("---\nlicense: mit\n\n# Mine\n", "line 1: metadata begins there, and no line `---` ends it"),
    "empty lines first": ("\n\n---\nlicense: mit\n---\n", "line 3: `---` begins metadata only in the first line"),
    "begin without end": (f"# Mine\n\n{BEGIN}\n", r"line 3: .* there are 1 and 0"),
    "end without begin": (f"# Mine\n{END}\n", r"line 2: .* there are 0 and 1"),
    "twice": (f"{BEGIN}{END}{BEGIN}{END}", r"line 1: .* there are 2 and 2"),
    "the wrong way round": (f"a\n{END}\n{BEGIN}\n", r"line 2: .* in another order"),
    "marks without a manifest": (f"---\na: 1\n---\nx\n{BEGIN}\nold\n{END}\n", r"line 5: there are marks of hf-rap, but no rap\.json"),
    "an anchor": ("---\na: &mine [x]\ntags: *mine\n---\n", r"cannot be added to as it is written \('tags' in line 3\)"),
    "a tag of a list": ("---\ntags: !!seq\n- a\n---\n", r"cannot be added to as it is written \('tags' in line 2\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_added_to_is_refused_with_its_line(case):
    """Nothing is guessed, and nothing of others is lost."""
    readme, message = REFUSED[case]
    with pytest.raises(PublishError, match=message):
        merge_readme(readme, CARD)


_WORDS = st.sampled_from(
    ["no", "1.10", "0x10", "12:30:00", "'q'", '"d"', "plain", "~", "2020-01-01", "[a, b]", "{a: b}"]
)
_FIELD = st.one_of(
    st.tuples(st.sampled_from(["x", "license", "tags", "pretty_name", "on", "language"]), _WORDS).map(": ".join),
    st.lists(_WORDS, min_size=1, max_size=3).map(lambda items: "tags:\n" + "\n".join(f"  - {item}" for item in items)),
    st.lists(st.sampled_from(["a", "b", "default"]), min_size=1, max_size=3, unique=True).map(
        lambda names: "configs:\n" + "\n".join(f"- config_name: {name}  # c\n  x: 1" for name in names)
    ),
    st.just("# a comment"),
    st.just(""),
)


@given(st.lists(_FIELD, max_size=6))
def test_any_metadata_comes_out_as_it_went_in_or_is_refused(fields):
    """Every line of it is there in its order, but for words that became a list; what others say means what it meant."""
    old = headed("".join(f"{field}\n" for field in fields))
    try:
        merged = merge_readme(old, CARD)
    except PublishError:
        return
    before, after = metadata_of(old), metadata_of(merged)
    assert {line[2:].partition(":")[0] for line in removed(old, merged)} <= {"tags"}
    assert {key: value for key, value in before.items() if key not in OURS} == {
        key: value for key, value in after.items() if key not in OURS
    }
    assert default_config(before.get("configs")) in (None, default_config(after["configs"]))
    again = merge_readme(merged, CARD, OURS)
    assert yaml.safe_load(again.split("---\n")[1]) == after
