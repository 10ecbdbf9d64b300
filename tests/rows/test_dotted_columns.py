"""A column literally named `qa.problem`, beside a struct `qa`: the same column all the way from rows to a version."""

import io
from dataclasses import dataclass

import pytest
from datasets import Dataset, Features, Image, List, Value, load_dataset
from PIL import Image as Pictures

from hf_rap import (
    Completion,
    Controls,
    Layout,
    Rollouts,
    add_scores,
    cde_score,
    collect_evidence,
    collect_in_run,
    diff,
    difficulty_score,
    export,
    inspect_dataset,
    publish_to_folder,
    select_cognitive,
)
from hf_rap.errors import ExportError, MissingColumnError

LAYOUT = Layout("qa.problem", "qa.images", "qa.answer", id="qa.id", source="qa.source")
TEXT = Value("string")
COLUMNS = {"qa.problem": TEXT, "qa.images": List(Image()), "qa.answer": TEXT, "qa.id": TEXT, "qa.source": TEXT}
EVIDENCE = ["rap_id", "rap_image_rewards", "rap_text_rewards", "rap_image_responses", "rap_error"]


def picture(shade):
    """A picture of one shade of grey."""
    file = io.BytesIO()
    Pictures.new("RGB", (8, 8), (shade, shade, shade)).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


def make_rows(names=LAYOUT, **more):
    """Four rows, the last without an image, under these names of columns."""
    values = {
        names.question: [*(f"<image>How many? ({number})" for number in range(3)), "How many? (3)"],
        names.images: [*([picture(50 * number)] for number in range(3)), []],
        names.answer: ["1", "1", "2", "1"],
        names.id: [f"row {number}" for number in range(4)],
        names.source: ["a", "a", "b", "b"],
    }
    types = dict(zip(values, COLUMNS.values(), strict=True))
    extra = {"qa": {"problem": TEXT, "note": TEXT}, **{name: Value("float32") for name in more}}
    return Dataset.from_dict(
        {**values, "qa": [{"problem": "another question", "note": "x"}] * 4, **more}, Features({**types, **extra})
    )


@dataclass(frozen=True)
class SeesOne:
    """Answers 1 where there is a picture, and 2 where there is none."""

    def complete(self, requests, sampling):
        del sampling
        return [[Completion(f"\\boxed{{{1 if one.images else 2}}}", 1, False)] * one.attempts for one in requests]

    def describe(self):
        return {"model": "sees one"}


def rollouts():
    return Rollouts(SeesOne(), attempts=2, layout=LAYOUT)


def evidence_of(ds):
    return ds.select_columns(EVIDENCE).to_list()


PLAIN = Layout("problem", "images", "answer", id="id", source="source")


@pytest.fixture(scope="module")
def plain():
    """The evidence of the same rows in columns without dots."""
    return evidence_of(collect_evidence(make_rows(PLAIN), Rollouts(SeesOne(), attempts=2, layout=PLAIN)))


@pytest.fixture(scope="module")
def selection():
    """Three of the four rows have a cde; two of these need their image."""
    scored = add_scores(collect_evidence(make_rows(), rollouts()), cde_score, difficulty_score)
    return select_cognitive(scored, min_cde=0.5, replace_easy=False)


def test_rollouts_read_it(plain):
    """The evidence is that of the same rows under plain names, not of the struct."""
    assert evidence_of(collect_evidence(make_rows(), rollouts())) == plain
    assert [row["rap_image_rewards"] for row in plain] == [[1.0, 1.0], [1.0, 1.0], [0.0, 0.0], None]


def test_a_run_folder_reads_it(plain, tmp_path):
    """With the ids of the rows, and found again the second time."""
    for _ in range(2):
        assert evidence_of(collect_in_run(make_rows(), rollouts(), str(tmp_path / "run"))) == plain


def test_pictures_are_shuffled():
    """Givers are found among the pictures of that column."""
    evidence = collect_evidence(make_rows(), rollouts())
    found = collect_evidence(evidence, Controls(SeesOne(), arms=("shuffled",), layout=LAYOUT))
    assert [row and row[0] for row in found["rap_shuffled_donors"]][3] is None
    assert all(set(row) <= {"row 0", "row 1", "row 2"} for row in found["rap_shuffled_donors"][:3])


def test_inspection_reads_it():
    """Only the row without an image is a problem."""
    found = inspect_dataset(make_rows(), LAYOUT)
    assert [(one.row_id, one.code) for one in found.problems] == [("row 3", "no_image")]


def test_export_reads_it(selection, tmp_path):
    """The kept rows, with the question of the column."""
    export(selection, to="universal", path=tmp_path / "out", layout=LAYOUT)
    rows = load_dataset("parquet", data_files=str(tmp_path / "out" / "train.parquet"), split="train")
    assert rows["problem"][:] == ["<image>How many? (0)", "<image>How many? (1)"]
    assert (rows["id"][:], rows["data_source"][:]) == (["row 0", "row 1"], ["a", "a"])


def test_a_refused_row_is_named(tmp_path):
    """By the id in a column with a dot, or in a struct."""
    ds = make_rows().map(lambda row: {"qa.problem": "" if row["qa.id"] == "row 1" else row["qa.problem"]})
    with pytest.raises(ExportError, match=r"The first is row 1 \(row 1\): "):
        export(ds, to="jsonl", path=tmp_path / "out", layout=LAYOUT)


def test_a_version_reads_it(selection, tmp_path):
    """`selected` has its content in the universal columns, `scored` the column as it was; kept rows count by source."""
    done = publish_to_folder(selection, tmp_path / "version", layout=LAYOUT)
    selected, scored = (
        load_dataset(str(done.path), config, split="train", cache_dir=str(tmp_path / "cache"))
        for config in ("selected", "scored")
    )
    assert selected["problem"][:] == ["<image>How many? (0)", "<image>How many? (1)"]
    assert scored["qa.problem"][:] == make_rows()["qa.problem"][:]
    assert done.facts["groups"]["shown"] == [
        {"value": "a", "rows": 2, "kept": 2},
        {"value": "b", "rows": 2, "kept": 0},
    ]
    found = diff(str(done.path), str(done.path), group_by="qa.source")
    assert [one["value"] for one in found.facts["groups"]["shown"]] == ["a"]


@pytest.mark.parametrize(
    ("question", "columns"),
    [
        ("qa.problem", ["qa.problem"]),  # the column goes before the field of the struct
        ("qa.note", ["qa"]),
        ("turn.0.text", ["turn.0"]),  # as `Dataset.flatten` names a struct inside a struct
    ],
)
def test_the_longest_name_of_a_column_counts(question, columns):
    """What is left of the name leads into its structs."""
    layout = Layout(question, None, question)
    assert layout.columns_in(["qa", "qa.problem", "turn", "turn.0"]) == columns


def test_a_missing_field_is_named():
    """Neither a column of that name nor a field of the struct is there."""
    ds = make_rows().remove_columns("qa.answer")
    with pytest.raises(MissingColumnError, match=r"reads column 'qa\.answer', which this dataset does not have"):
        collect_evidence(ds, rollouts())
