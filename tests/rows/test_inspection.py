"""What inspect_dataset finds before any model runs."""

import io

import pytest
from datasets import Dataset, Features, Image, IterableDataset, List, Value
from PIL import Image as PILImage

from hf_rap import inspect_dataset
from hf_rap.demo import make_planted
from hf_rap.errors import LayoutError, SourceError

FEATURES = Features(
    {"id": Value("string"), "images": List(Image()), "problem": Value("string"), "answer": Value("string")}
)


def png():
    """The bytes of a small picture."""
    file = io.BytesIO()
    PILImage.new("RGB", (8, 8)).save(file, format="PNG")
    return {"bytes": file.getvalue(), "path": None}


def test_each_problem_is_named_with_its_row():
    """One row of each fault; the usable one is not listed."""
    rows = [
        {"id": "fine", "images": [png()], "problem": "<image>a", "answer": "3"},
        {"id": "gold", "images": [png()], "problem": "<image>a", "answer": ""},
        {"id": "broken", "images": [{"bytes": b"x", "path": None}], "problem": "<image>a", "answer": "3"},
        {"id": "places", "images": [png()], "problem": "<image><image>a", "answer": "3"},
        {"id": "empty", "images": [png()], "problem": " ", "answer": "3"},
        {"id": "text", "images": [], "problem": "a", "answer": "3"},
        {"id": "text", "images": [], "problem": "a", "answer": None},
    ]
    found = inspect_dataset(Dataset.from_list(rows, features=FEATURES))
    assert [(problem.index, problem.row_id, problem.code) for problem in found.problems] == [
        (1, "gold", "gold_unreadable"),
        (2, "broken", "image_unreadable"),
        (3, "places", "placeholder_mismatch"),
        (4, "empty", "question_missing"),
        (5, "text", "no_image"),
        (6, "text", "no_image"),
        (6, "text", "gold_unreadable"),
    ]
    assert (found.rows, found.usable, found.duplicates) == (7, 1, 1)
    assert found.images_per_row == {0: 2, 1: 2}
    assert found.codes["gold_unreadable"] == 2


def test_a_stream_is_inspected_like_a_table():
    """Its columns known or not; a broken picture stays one row's fault where they are."""
    rows = [
        {"id": "fine", "images": [png()], "problem": "<image>a", "answer": "3"},
        {"id": "broken", "images": [{"bytes": b"x", "path": None}], "problem": "<image>a", "answer": "3"},
        {"id": "text", "images": [], "problem": "a", "answer": ""},
    ]
    ds = Dataset.from_list(rows, features=FEATURES)
    assert inspect_dataset(ds.to_iterable_dataset()) == inspect_dataset(ds)
    assert inspect_dataset(IterableDataset.from_generator(lambda: iter(rows))) == inspect_dataset(ds)
    with pytest.raises(SourceError, match="no rows"):
        inspect_dataset(IterableDataset.from_generator(lambda: iter(())))


def test_planted_rows_are_as_planted():
    """Of 60 planted rows exactly the 3 with unreadable golds are not usable."""
    found = inspect_dataset(make_planted(60))
    assert (found.usable, found.codes, found.layout.name) == (57, {"gold_unreadable": 3}, "geometry3k")


def test_rows_of_a_selection_are_the_ones_inspected():
    """A dataset with an indices mapping is read through it."""
    planted = make_planted(60)
    unreadable = planted.filter(lambda kind: kind == "gold_unreadable", input_columns="kind")
    assert inspect_dataset(unreadable).usable == 0


def test_no_rows_and_unknown_columns_are_refused():
    """Both say what was found."""
    with pytest.raises(SourceError, match="has no rows"):
        inspect_dataset(make_planted(60).select([]))
    with pytest.raises(LayoutError, match="No known layout has these columns: x"):
        inspect_dataset(Dataset.from_dict({"x": [1]}))
