"""A new card over an old README."""

import yaml
from hypothesis import given
from hypothesis import strategies as st

from hf_rap.versions.readme import BEGIN, END, merge_readme

CARD = "---\nlicense: mit\ntags:\n- hf-rap\nconfigs:\n- config_name: selected\n  default: true\n---\n\n# New\n"


def parts(text: str) -> tuple[dict, str]:
    _, head, body = text.split("---\n", 2)
    return yaml.safe_load(head), body.strip()


def test_without_a_readme_the_card_is_all():
    """Between its two marks."""
    head, body = parts(merge_readme(None, CARD))
    assert body == f"{BEGIN}\n\n# New\n\n{END}"
    assert head == {"license": "mit", "tags": ["hf-rap"], "configs": [{"config_name": "selected", "default": True}]}


def test_merging_again_changes_nothing():
    """So a rerun makes the same bytes."""
    once = merge_readme("# Mine\n", CARD)
    assert merge_readme(once, CARD) == once


@given(st.text(alphabet="ab#-|\n é", max_size=60), st.text(alphabet="ab#|\n é", max_size=60))
def test_text_around_the_marks_stays(before, after):
    """Whatever it is, but for blank lines at its ends."""
    old = f"---\na: 1\n---\n{before}\n\n{BEGIN}\n\nold\n\n{END}\n{after}"
    merged = merge_readme(old, CARD)
    _, _, rest = merged.partition("\n---\n")
    assert rest.partition(BEGIN)[0].strip() == before.strip()
    assert rest.partition(END)[2].strip() == after.strip()
    assert "old" not in rest


def test_metadata_is_merged():
    """Ours goes before; lists are joined; our own configs of earlier are replaced."""
    old = (
        "---\nlicense: apache-2.0\nlanguage: en\ntags: mine\nconfigs:\n- config_name: control\n- config_name: raw\n"
        "  default: true\ndataset_info:\n  features: []\n---\n"
    )
    head, _ = parts(merge_readme(old, CARD))
    assert head["license"] == "mit"
    assert head["language"] == "en"
    assert head["tags"] == ["hf-rap", "mine"]
    assert head["configs"] == [{"config_name": "selected", "default": True}, {"config_name": "raw"}]


def test_broken_metadata_does_not_stop_publishing():
    """The Hub refuses it anyway; the text stays."""
    head, body = parts(merge_readme("---\na: [\n---\n# Mine\n", CARD))
    assert head["license"] == "mit"
    assert body.startswith("# Mine")
