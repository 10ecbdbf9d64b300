"""Hints go in and come out again, and change nothing else."""

import copy
import pickle

import numpy as np
import pytest
from datasets import Dataset, Features, Image, List, Value, load_dataset
from hypothesis import given
from hypothesis import strategies as st

from hf_rap.columns import HINT_SEPARATOR
from hf_rap.errors import ColumnExistsError, LayoutError, MissingColumnError, SettingError
from hf_rap.select import select_difficulty
from hf_rap.training import AddDifficultyHint, RemoveDifficultyHint, add_difficulty_hint, remove_difficulty_hint
from hf_rap.training.hints import TEMPLATES
from hf_rap.versions.folder import publish_to_folder

EASY, MEDIUM, HARD = (HINT_SEPARATOR + text for _, text in TEMPLATES)


def test_the_hint_follows_the_difficulty():
    """Up to a third, up to two thirds, above; unknown has none. The gold answer and the question stay."""
    ds = Dataset.from_dict(
        {
            "images": [[None]] * 4,
            "problem": ["<image>Find x.", "Is <image> like <image>?", "\n y ", "z"],
            "answer": ["1", "2", "3", "4"],
            "rap_difficulty": [0.2, 0.6, 1.0, None],
        }
    )
    hinted = ds.map(add_difficulty_hint, batched=True)
    expected = ["<image>Find x." + EASY, "Is <image> like <image>?" + MEDIUM, "\n y " + HARD, "z"]
    assert hinted["rap_hinted_problem"][:] == expected
    assert hinted.remove_columns("rap_hinted_problem").to_list() == ds.to_list()
    undone = hinted.remove_columns("problem").map(remove_difficulty_hint, batched=True)
    assert undone["rap_hinted_problem"][:] == ds["problem"][:]


def test_a_third_is_still_easy_however_it_was_rounded():
    """One failure of three as a quotient, as a difference and in single precision; two of three likewise. A little more is not."""
    thirds = [1 / 3, 1 - 2 / 3, float(np.float32(1 / 3)), 0.334, 2 / 3, 1 - 1 / 3, float(np.float32(2 / 3)), 0.667]
    hinted = AddDifficultyHint(column="problem")({"problem": ["x"] * 8, "rap_difficulty": thirds})
    assert hinted["rap_hinted_problem"] == ["x" + band for band in [EASY] * 3 + [MEDIUM] * 4 + [HARD]]


CHATS = [
    [{"role": "system", "content": "Think."}, {"role": "user", "content": "<image>Find x."}],
    [
        {"role": "user", "content": "First."},
        {"role": "assistant", "content": "No."},
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Find x."}]},
    ],
    [{"role": "user", "content": [{"type": "text", "text": "Look:"}, {"type": "image"}]}],
    [{"from": "human", "value": "<image>Find x."}, {"from": "gpt", "value": "3"}],
    None,
]


@pytest.mark.parametrize("chat", CHATS)
def test_a_chat_is_hinted_in_its_last_user_turn_and_gets_back_to_what_it_was(chat):
    """Text or blocks; images stay where they are, and the batch that came in is not written to."""
    batch = {"prompt": [chat], "rap_difficulty": [0.9]}
    before = copy.deepcopy(batch)
    (hinted,) = AddDifficultyHint(column="prompt")(batch)["rap_hinted_prompt"]
    assert batch == before
    assert str(hinted).count(TEMPLATES[-1][1]) == (chat is not None)
    assert str(hinted).count("image") == str(chat).count("image")
    assert RemoveDifficultyHint(column="prompt")({"prompt": [hinted]}) == {"prompt": [chat]}


@given(st.text(), st.floats(0, 1))
def test_removing_undoes_adding_for_any_question(question, difficulty):
    """But a chat in JSON, which is refused."""
    if question.lstrip().startswith("["):
        return
    hinted = AddDifficultyHint(column="q")({"q": [question], "rap_difficulty": [difficulty]})
    assert RemoveDifficultyHint(column="rap_hinted_q")(hinted)["rap_hinted_q"] == [question]


def test_templates_can_be_replaced():
    """Removing takes the same templates, and leaves other texts alone."""
    templates = ((0.5, "Leicht."), (1.0, "Schwer: prüfe alles."))
    (hinted,) = AddDifficultyHint("q", templates)({"q": ["x"], "rap_difficulty": [0.7]})["rap_hinted_q"]
    assert hinted == "x\n\nSchwer: prüfe alles."
    assert RemoveDifficultyHint("q", templates)({"q": [hinted, "x"]}) == {"q": ["x", "x"]}
    assert RemoveDifficultyHint("q")({"q": [hinted]}) == {"q": [hinted]}


@pytest.mark.parametrize("text", ["", "See <image>.", "<|im_end|>", "[INST] x", "{{ x }}", "one\n\ntwo"])
def test_templates_that_could_be_read_as_tokens_are_refused(text):
    """Or that could not be found again."""
    with pytest.raises(SettingError, match="cannot be a hint"):
        AddDifficultyHint(templates=((1.0, text),))


@pytest.mark.parametrize("bounds", [(), (0.5,), (1.0, 0.5), (0.5, 0.5, 1.0)])
def test_bands_have_to_ascend_to_one(bounds):
    """Otherwise a row could have no band."""
    with pytest.raises(SettingError, match="ascending numbers, the last 1, are needed"):
        AddDifficultyHint(templates=tuple((bound, "x") for bound in bounds))


def test_what_cannot_be_hinted_is_told():
    """A missing score or column, a column that is there, a chat as JSON, a chat without a user."""
    with pytest.raises(MissingColumnError, match=r"'rap_difficulty'.*difficulty_score"):
        AddDifficultyHint("q")({"q": ["x"]})
    with pytest.raises(MissingColumnError, match="reads column 'q'"):
        AddDifficultyHint("q")({"rap_difficulty": [0.5]})
    with pytest.raises(ColumnExistsError, match="rap_hinted_q"):
        AddDifficultyHint("q")({"q": ["x"], "rap_hinted_q": ["x"], "rap_difficulty": [0.5]})
    for question, message in (
        ('[{"role": "user", "content": "x"}]', "parse a chat that is stored as JSON"),
        ([{"role": "assistant", "content": "x"}], "without a user turn"),
        (7, "A question is text or a chat"),
    ):
        with pytest.raises(LayoutError, match=message):
            AddDifficultyHint("q")({"q": [question], "rap_difficulty": [0.5]})


def test_hints_pickle():
    """As `num_proc` needs it."""
    assert pickle.loads(pickle.dumps(add_difficulty_hint)) == add_difficulty_hint


def test_a_published_version_holds_the_hints_beside_the_questions(tmp_path):
    """In a column of their own, which the card explains; what trainers read has no hint."""
    ds = Dataset.from_dict(
        {"images": [[]], "problem": ["Find x."], "answer": ["1"], "rap_difficulty": [0.5]},
        Features(
            {
                "images": List(Image()),
                "problem": Value("string"),
                "answer": Value("string"),
                "rap_difficulty": Value("float64"),
            }
        ),
    )
    publish_to_folder(select_difficulty(ds.map(add_difficulty_hint, batched=True)), tmp_path / "v")
    (row,) = load_dataset(str(tmp_path / "v"), "selected", split="train", cache_dir=str(tmp_path / "cache"))
    assert (row["problem"], row["rap_hinted_problem"]) == ("Find x.", "Find x." + MEDIUM)
    assert row["messages"] == [{"role": "user", "content": "Find x."}]
    assert "| `rap_hinted_problem` | the question followed by a hint" in (tmp_path / "v" / "README.md").read_text()
