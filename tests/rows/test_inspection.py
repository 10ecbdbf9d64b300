"""What inspect_dataset finds before any model runs."""

import io

import pytest
from datasets import Dataset, Features, Image, IterableDataset, List, Value
from PIL import Image as PILImage

from hf_rap import inspect_dataset
from hf_rap.demo import make_planted
from hf_rap.errors import LayoutError, SourceError
from hf_rap.rows.inspection import inspect_row
from hf_rap.rows.prompts import PromptTemplate

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
        {"id": "text", "images": [], "problem": "a", "answer": None},
        {"id": "text", "images": [], "problem": "a", "answer": None},
    ]
    found = inspect_dataset(Dataset.from_list(rows, features=FEATURES))
    assert [(problem.index, problem.row_id, problem.code) for problem in found.problems] == [
        (1, "gold", "gold_unreadable"),
        (2, "broken", "image_unreadable"),
        (3, "places", "placeholder_mismatch"),
        (4, "empty", "question_missing"),
        (5, "text", "no_image"),
        (5, "text", "gold_unreadable"),
        (6, "text", "no_image"),
        (6, "text", "gold_unreadable"),
    ]
    assert (found.rows, found.usable, found.duplicates) == (7, 1, 1)
    assert found.images_per_row == {0: 2, 1: 2}
    assert found.codes["gold_unreadable"] == 3


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


CHOICES = Features(
    {
        "question": Value("string"),
        "image": Image(),
        "choices": List(Value("string")),
        "answer": Value("int64"),
        "solution": Value("string"),
        "photo": Image(),
    }
)


def choice_of(answer):
    """A multiple choice with a picture that nobody reads, and a solution."""
    return {
        "question": "Which is north?",
        "image": png(),
        "choices": ["Nevada", "Maine"],
        "answer": answer,
        "solution": "It is far up.",
        "photo": png(),
    }


def test_rows_are_shown_as_a_model_will_be_asked():
    """The chat with its options and the size of the picture, and the gold as the grader reads it."""
    inspection = inspect_dataset(
        Dataset.from_list([choice_of(1), choice_of(0)], features=CHOICES),
        prompt=PromptTemplate(suffix=" Say a letter."),
    )

    assert len(inspection.shown) == 2
    assert str(inspection.shown[0]) == (
        f"row 0 ({inspection.shown[0].row_id})\n"
        "  user: [8 x 8]Which is north?\n  A. Nevada\n  B. Maine Say a letter.\n"
        "  gold: B (Maine), read as B (choice)"
    )


def test_what_stays_unread_is_named_with_the_option_that_reads_it():
    """Of pictures and options in a sentence, of other usual names in a line; nothing is raised."""
    inspection = inspect_dataset(Dataset.from_list([choice_of(1), choice_of(0)], features=CHOICES))

    assert inspection.unused == {"solution": "--answer solution"}
    (sentence,) = inspection.unread
    assert sentence.startswith("The columns photo look like pictures, and nothing reads them.")
    assert inspection.facts["not read"] == "solution (--answer solution)"
    assert "choices: choices; golds are: index0" in inspection.facts["layout"]


def test_the_repr_fits_a_screen():
    """At most 15 lines of at most 220 characters, however many problems there are."""
    ds = Dataset.from_list([choice_of(9)] * 200 + [choice_of(0)], features=CHOICES)

    lines = repr(inspect_dataset(ds)).splitlines()

    assert lines[0] == "Inspection"
    assert len(lines) <= 15
    assert max(map(len, lines)) <= 220


def test_one_row_is_shown_by_its_id():
    """Also one that cannot be asked: it says why."""
    rows = [
        {"id": "fine", "images": [png()], "problem": "<image>a", "answer": "3"},
        {"id": "places", "images": [png()], "problem": "<image><image>a", "answer": "3"},
        {"id": "gold", "images": [png()], "problem": "<image>a", "answer": ""},
    ]
    ds = Dataset.from_list(rows, features=FEATURES)

    assert inspect_row(ds, "fine", prompt="bare").prompt == "user: [8 x 8]a"
    assert str(inspect_row(ds, "places")) == (
        "row 1 (places)\n  placeholder_mismatch: the question has 2 <image> and the row has 1 image(s)"
    )
    gold = inspect_row(ds, "gold", prompt="bare")
    assert gold.prompt == "user: [8 x 8]a"
    assert gold.problem.startswith("gold_unreadable")
    with pytest.raises(SourceError, match="No row has the rap_id 'x'"):
        inspect_row(ds, "x")
