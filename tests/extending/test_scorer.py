"""A scorer from outside: a function with its columns beside it."""

import json
import pickle
import sys
from pathlib import Path

import pytest
from datasets import Dataset
from datasets.fingerprint import Hasher

from hf_rap import add_scores, publish_to_folder, select_cognitive, select_top
from hf_rap.columns import Column
from hf_rap.errors import MissingColumnError, SettingError
from hf_rap.scorers.function import scorer

sys.path.insert(0, str(Path(__file__).parent))
from my_scores import longest

ROWS = {
    "problem": ["a?", "b?", "c?"],
    "answer": ["1", "2", "3"],
    "images": [[], [], []],
    "rap_cde": [0.8, 0.9, 0.1],
    "rap_image_tokens": [[3, 9], [], [4]],
}


def test_it_goes_through_map_and_add_scores():
    """The same numbers and types, also in two processes."""
    ds = Dataset.from_dict(ROWS)
    for scored in (
        ds.map(longest, batched=True),
        ds.map(longest, batched=True, batch_size=1, num_proc=2),
        add_scores(ds, longest),
    ):
        assert scored["rap_longest"][:] == [9, None, 4]
        assert scored.features["rap_longest"].dtype == "int32"


def test_it_pickles_and_its_code_is_part_of_the_cache_key():
    """Other code under the same name is another key."""
    assert pickle.loads(pickle.dumps(longest)) is longest

    def made(limit):
        @scorer(reads=["a"], writes=[Column("rap_b", "int32", "")])
        def same_name(batch):
            return {"rap_b": [value + 1 if limit else value + 2 for value in batch["a"]]}

        return same_name

    def other():
        @scorer(reads=["a"], writes=[Column("rap_b", "int32", "")])
        def same_name(batch):
            return {"rap_b": [value + 3 for value in batch["a"]]}

        return same_name

    assert Hasher.hash(made(1)) != Hasher.hash(other())


def test_it_ranks_and_stands_on_the_card(tmp_path):
    """By its own name, with its summary; no paper is cited for it."""
    ds = add_scores(Dataset.from_dict(ROWS), longest)
    selection = select_top(ds, by="rap_longest", count=1, per=None)
    assert selection.selected["problem"] == ["a?"]
    card = (publish_to_folder(selection, tmp_path / "v").path / "README.md").read_text()
    assert "the highest `rap_longest`." in card
    assert "| `rap_longest` | 2 | 1 | 4 |" in card
    assert "arXiv" not in card.split("## Citation")[1]
    assert json.loads((tmp_path / "v" / "rap.json").read_text())["facts"]["scores"]["rap_longest"]["max"] == 9


def test_it_is_on_the_card_of_any_selection(tmp_path):
    """Beside the score that decides."""
    ds = add_scores(Dataset.from_dict(ROWS), longest)
    card = publish_to_folder(select_cognitive(ds, replace_easy=False), tmp_path / "v").path / "README.md"
    assert "| `rap_longest` | 2 | 1 |" in card.read_text()


@pytest.mark.parametrize(
    ("makes", "error", "says"),
    [
        (lambda: scorer(reads=[], writes=[Column("longest", "int32", "")]), SettingError, "begin with rap_"),
        (
            lambda: scorer(reads=["a"], writes=[Column("rap_b", "int32", "")])(lambda batch: {"rap_c": [1]})(
                {"a": [1]}
            ),
            SettingError,
            r"gives \['rap_c'\], but writes=\['rap_b'\] was declared",
        ),
        (lambda: longest({"a": [1]}), MissingColumnError, "rap_image_tokens"),
    ],
)
def test_what_is_missing_is_said(makes, error, says):
    """In a sentence."""
    with pytest.raises(error, match=says):
        makes()
