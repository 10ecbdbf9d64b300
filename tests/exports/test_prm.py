"""Files for process reward trainers."""

import json

import pytest
from datasets import Dataset, Features, Image, List, Value, load_dataset

from hf_rap.errors import LayoutError, MissingColumnError, SettingError
from hf_rap.exports.internvl_prm import export_internvl_prm
from hf_rap.exports.trl_prm import export_trl_prm

STEPS = [{"step": " Look. ", "score": 0.75}, {"step": "So “3”.", "score": 0.125}, {"step": "B", "score": 0.0}]
ROW = {"rap_id": "f:1", "image": ["a.png"], "question": "<image>\nWhich? Think.", "question_orig": "Which?"}


def ds(*rows):
    return Dataset.from_list([{**ROW, "steps_with_score": STEPS, **row} for row in rows or [{}]])


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_prm_tokens(tmp_path):
    """One number per mark; the meta file names the annotations with their length."""
    path = tmp_path / "train.jsonl"
    assert export_internvl_prm(ds({}, {"image": ["a.png", "b.png"]}), path, root="pictures") == 2
    human = {"from": "human", "value": "Question: Which?\nProcess: Look.<prm>\n\nSo “3”.<prm>\n\nB<prm>"}
    first, second = lines(path)
    assert first == {"image": "a.png", "conversations": [human, {"from": "gpt", "value": [1.0, 1.0, 0.0]}]}
    assert second["image"] == ["a.png", "b.png"]
    meta = {"root": "pictures", "annotation": "train.jsonl", "data_augment": False, "repeat_time": 1, "length": 2}
    assert json.loads((tmp_path / "train.meta.json").read_text()) == {"train": meta}


def test_thresholds_and_soft_labels(tmp_path):
    """2 of 16 is not above 2 of 16."""
    export_internvl_prm(ds(), tmp_path / "hard.jsonl", threshold=0.125)
    export_internvl_prm(ds(), tmp_path / "soft.jsonl", soft=True)
    assert lines(tmp_path / "hard.jsonl")[0]["conversations"][1]["value"] == [1.0, 0.0, 0.0]
    assert lines(tmp_path / "soft.jsonl")[0]["conversations"][1]["value"] == [0.75, 0.125, 0.0]


def test_turns(tmp_path):
    """One turn per step, plus or minus; the image's place is in the first human turn."""
    path = tmp_path / "turns.jsonl"
    export_internvl_prm(ds(), path, form="turns", system="Judge.", threshold=0.2, early_stop=True)
    assert lines(path)[0]["conversations"] == [
        {"from": "system", "value": "Judge."},
        {"from": "human", "value": "### Question:\n<image>\nWhich?\n\n### Solution Process:\nLook."},
        {"from": "gpt", "value": "+"},
        {"from": "human", "value": "So “3”."},
        {"from": "gpt", "value": "-"},
    ]
    export_internvl_prm(ds(), path, form="turns")
    assert [turn["value"] for turn in lines(path)[0]["conversations"][1::2]] == ["+", "+", "-"]


def test_stored_images_become_files(tmp_path):
    """With their bytes as they are, and a name that goes with them."""
    features = Features(
        {
            "rap_id": Value("string"),
            "images": List(Image()),
            "question": Value("string"),
            "steps_with_score": List({"step": Value("string"), "score": Value("float64")}),
        }
    )
    row = {"rap_id": "a/b:1", "images": [{"bytes": b"\x89PNG....", "path": None}], "question": "q"}
    stored = Dataset.from_list([{**row, "steps_with_score": STEPS}], features=features)
    export_internvl_prm(stored, tmp_path / "out" / "train.jsonl")
    assert lines(tmp_path / "out" / "train.jsonl")[0]["image"] == "images/a-b-1-0.png"
    assert (tmp_path / "out" / "images" / "a-b-1-0.png").read_bytes() == b"\x89PNG...."


def test_trl_stepwise(tmp_path):
    """Text alone: placeholders are gone; every step has a flag."""
    plain = {**ROW, "question_orig": None}
    assert export_trl_prm(ds(plain, {}), tmp_path / "train.parquet", threshold=0.5) == 2
    read = load_dataset("parquet", data_files=str(tmp_path / "train.parquet"), split="train")
    assert read.to_list() == [
        {"prompt": prompt, "completions": ["Look.", "So “3”.", "B"], "labels": [True, False, False]}
        for prompt in ("Which? Think.", "Which?")
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"steps_with_score": []}, "Row f:1 has no steps"),
        ({"steps_with_score": [{"step": "a", "score": None}]}, "Row f:1 has no steps"),
        ({"steps_with_score": [{"step": "a <prm>", "score": 1.0}]}, "Row f:1 has the text '<prm>'"),
        ({"question_orig": "What is <prm>?"}, "Row f:1 has the text '<prm>'"),
    ],
)
def test_rows_that_would_mislead_the_trainer_are_refused(tmp_path, row, message):
    """And nothing is left behind."""
    with pytest.raises(LayoutError, match=message):
        export_internvl_prm(ds(row), tmp_path / "train.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_wrong_options_are_refused(tmp_path):
    """Before anything is written."""
    for options, message in (
        ({"form": "xml"}, "form is 'xml': it takes one of prm-token, turns"),
        ({"threshold": 1.0}, r"threshold is 1\.0: it takes a number of 0 or more and below 1"),
        ({"early_stop": True}, "form='turns'"),
        ({"form": "turns", "soft": True}, "form='prm-token'"),
    ):
        with pytest.raises(SettingError, match=message):
            export_internvl_prm(ds(), tmp_path / "train.jsonl", **options)
    with pytest.raises(SettingError, match=r"\.jsonl"):
        export_internvl_prm(ds(), tmp_path / "train.json")
    with pytest.raises(SettingError, match=r"\.parquet"):
        export_trl_prm(ds(), tmp_path / "train.json")
    with pytest.raises(MissingColumnError, match="'steps_with_score'"):
        export_trl_prm(ds().remove_columns("steps_with_score"), tmp_path / "train.parquet")
