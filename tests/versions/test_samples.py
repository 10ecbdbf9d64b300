"""The rows that a card shows."""

import io

import pytest
from datasets import Dataset, Features, Image, List, Value
from PIL import Image as Pictures

from hf_rap.rows.recognition import recognise_layout
from hf_rap.select import select_cognitive, select_difficulty, select_limr, select_top
from hf_rap.versions.samples import THUMBNAIL_SIDE, sample_rows


def picture(width: int, height: int) -> dict:
    file = io.BytesIO()
    Pictures.new("RGB", (width, height), (9, 99, 199)).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


COLUMNS = {
    "rap_id": Value("string"),
    "images": List(Image()),
    "problem": Value("string"),
    "answer": Value("string"),
    "rap_cde": Value("float64"),
    "rap_difficulty": Value("float64"),
    "rap_limr": Value("float64"),
    "rap_bis": Value("float64"),
    "rap_error": Value("string"),
    "steps_with_score": List({"step": Value("string"), "score": Value("float64")}),
}


def dataset(rows: int, **columns) -> Dataset:
    """Rows whose scores tell their column: cde counts in hundredths, difficulty in tenths, and so on."""
    values = {
        "rap_id": [f"row-{number}" for number in range(rows)],
        "images": [[picture(8, 6)]] * rows,
        "problem": [f"<image>How many in {number}?" for number in range(rows)],
        "answer": [str(number) for number in range(rows)],
        "rap_cde": [number / 100 for number in range(rows)],
        "rap_difficulty": [number / 10 for number in range(rows)],
        "rap_limr": [1 - number / 10 for number in range(rows)],
        "rap_bis": [0.1234567 + number / 10 for number in range(rows)],
        **columns,
    }
    return Dataset.from_dict(values, Features({name: COLUMNS[name] for name in values}))


def samples_of(selection, per_side: int = 10):
    return sample_rows(selection, recognise_layout(selection.scored.features), per_side)


@pytest.mark.parametrize(
    ("select", "name", "values"),
    [
        (lambda ds: select_cognitive(ds, min_cde=0.02, replace_easy=False), "rap_cde", [0.03, 0.0, 0.01, 0.02]),
        (lambda ds: select_difficulty(ds, low=0.0, high=0.75), "rap_difficulty", [0.3, 0.0, 0.1, 0.2]),
        (lambda ds: select_limr(ds, min_limr=0.95), "rap_limr", [1.0, 0.9, 0.8, 0.7]),
        (lambda ds: select_top(ds, count=1, per=None), "rap_bis", [0.423457, 0.123457, 0.223457, 0.323457]),
        (lambda ds: select_top(ds, by="rap_limr", count=1, per=None), "rap_limr", [1.0, 0.9, 0.8, 0.7]),
        (lambda ds: select_top(ds, by="rap_cde", count=1, per=None), "rap_cde", [0.03, 0.0, 0.01, 0.02]),
    ],
    ids=["rap", "difficulty", "limr", "top", "top by limr", "top by cde"],
)
def test_each_row_shows_the_score_that_decided(select, name, values):
    """One kept row first, then three that were dropped; six decimals."""
    samples, _ = samples_of(select(dataset(4)))
    if name == "rap_difficulty":  # three are kept
        assert {sample["score"]["value"] for sample in samples} == set(values)
    else:
        assert [sample["score"]["value"] for sample in samples] == values
        assert [sample["kept"] for sample in samples] == [True, False, False, False]
    assert {sample["score"]["name"] for sample in samples} == {name}


def test_every_reason_gets_its_turn():
    """Of 16 rows below the threshold and 2 without a score, 4 dropped rows are shown: both of the 2; in row order."""
    scores = [None if number in (5, 11) else 0.9 if number > 17 else 0.1 for number in range(20)]
    selection = select_cognitive(dataset(20, rap_cde=scores), replace_easy=False)
    samples, _ = samples_of(selection, per_side=4)
    dropped = [sample for sample in samples if not sample["kept"]]
    assert [sample["index"] for sample in samples if sample["kept"]] == [18, 19]
    assert len(dropped) == 4
    assert [sample["index"] for sample in dropped if sample["reason"] == "not_scored"] == [5, 11]
    assert [sample["index"] for sample in dropped] == sorted(sample["index"] for sample in dropped)
    assert [sample["score"]["value"] for sample in dropped if sample["reason"] == "not_scored"] == [None, None]


def test_rows_of_one_reason_are_drawn_by_the_seed():
    """Not the first ones; the same again, and others with another seed."""
    chosen = []
    for seed in (0, 0, 1):
        samples, _ = samples_of(select_cognitive(dataset(30), min_cde=0.5, replace_easy=False, seed=seed), per_side=5)
        chosen.append([sample["index"] for sample in samples])
    assert chosen[0] == chosen[1]
    assert chosen[0] != chosen[2]
    assert all(len(rows) == 5 and rows != [0, 1, 2, 3, 4] for rows in chosen)


def test_pictures_are_small_and_named_by_decision_and_place():
    """The longer side is at most 160 pixels; small ones stay; a row without one has none, and costs no number."""
    images = [[picture(320, 200), picture(8, 6)], [], [picture(8, 6)]]
    problems = ["<image><image>Equal?", "What is 1 + 1?", "<image>?"]
    selection = select_cognitive(
        dataset(3, images=images, problem=problems, rap_cde=[0.9, 0.1, 0.2]), replace_easy=False
    )
    samples, files = samples_of(selection)
    assert [(sample["index"], sample["image"], sample["images"]) for sample in samples] == [
        (0, "samples/kept-00.png", 2),
        (1, None, 0),
        (2, "samples/dropped-01.png", 1),
    ]
    sizes = {name: Pictures.open(io.BytesIO(file)).size for name, file in files.items()}
    assert sizes == {"samples/kept-00.png": (THUMBNAIL_SIDE, 100), "samples/dropped-01.png": (8, 6)}


def test_a_row_that_cannot_be_read_is_shown_without_its_picture():
    """Its text is there, its reason says why; the others have their answers."""
    images = [[{"bytes": b"broken", "path": None}], [picture(8, 6)]]
    samples, files = samples_of(select_cognitive(dataset(2, images=images, rap_cde=[0.1, 0.9]), replace_easy=False))
    kept, dropped = samples
    assert (kept["id"], kept["question"], kept["answer"]) == ("row-1", "<image>How many in 1?", "1")
    assert (dropped["id"], dropped["question"], dropped["answer"]) == ("row-0", "<image>How many in 0?", None)
    assert (dropped["image"], dropped["images"]) == (None, 1)
    assert list(files) == ["samples/kept-00.png"]


def test_several_answers_and_steps_are_one_line():
    """Null answers are left out, a step without a score says so; rows without steps have none."""
    steps = [[{"step": "2 + 3", "score": 0.5}, {"step": "= 5", "score": None}], None]
    ds = dataset(2, steps_with_score=steps, rap_bis=[0.3, 0.2]).remove_columns("answer")
    ds = ds.add_column("answer", [["5", None, "five"], ["6"]])
    samples, _ = samples_of(select_top(ds, count=1, per=None))
    assert [sample["steps"] for sample in samples] == ["2 + 3 (0.50) / = 5 (unknown)", None]
    assert [sample["answer"] for sample in samples] == ["5, five", "6"]
