"""Lists of numbers, however they were stored."""

from decimal import Decimal

import pyarrow as pa
import pytest
from datasets import Dataset, Features, Value, load_dataset

from hf_rap import add_scores, cde_score, difficulty_score, select_cognitive
from hf_rap.columns import IMAGE_REWARDS
from hf_rap.errors import LayoutError
from hf_rap.stats.counts import count_rewards
from hf_rap.stats.lists import known_of, lengths_of, number_lists

ROWS = [[1.0, None, 0.0], None, [], [0.5, 0.25]]
DOUBLE = pa.list_(pa.float64())


@pytest.mark.parametrize(
    "kind",
    [
        DOUBLE,
        pa.list_(pa.float32()),
        pa.list_(pa.float16()),
        pa.large_list(pa.float64()),
        pa.list_view(pa.float64()),
        pa.list_(pa.decimal128(4, 2)),
        pa.list_(pa.string()),
    ],
    ids=str,
)
def test_other_types_are_read(kind):
    """Nulls stay nulls, slices slices."""
    stored = pa.array(ROWS, DOUBLE).cast(kind) if kind == pa.list_(pa.string()) else pa.array(as_type(kind), kind)
    assert number_lists("test", "a", stored).to_pylist() == ROWS
    assert number_lists("test", "a", stored.slice(1)).to_pylist() == ROWS[1:]


def as_type(kind):
    """The rows with values that Arrow takes for it."""
    decimal = pa.types.is_decimal(kind.value_type)
    return [row and [Decimal(str(x)) if decimal and x is not None else x for x in row] for row in ROWS]


def test_whole_numbers_and_flags_are_read():
    """1 and True are 1.0."""
    assert number_lists("test", "a", pa.array([[1, None], [0]])).to_pylist() == [[1.0, None], [0.0]]
    assert number_lists("test", "a", pa.array([[True, None], [False]])).to_pylist() == [[1.0, None], [0.0]]


def test_single_precision_is_read_as_what_it_stands_for():
    """The float32 nearest to 0.9 counts where 0.9 does; nulls and null rows stay."""
    stored = pa.array([[0.9, None], None, [0.1]], pa.list_(pa.float32()))
    assert number_lists("test", "a", stored).to_pylist() == [[0.9, None], None, [0.1]]
    assert count_rewards("test", IMAGE_REWARDS, stored, 0.9).solved.tolist() == [1, 0, 0]


def test_nulls_alone_are_lists_of_nothing():
    """A column that a first batch of nulls made, or lists of nulls alone."""
    assert number_lists("test", "a", pa.nulls(2)).to_pylist() == [None, None]
    assert number_lists("test", "a", pa.array([[None], None])).to_pylist() == [[None], None]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[1.0, null, 0]", [1.0, None, 0.0]),
        ("[1.0, None]", [1.0, None]),
        ("[1. 0.5]", [1.0, 0.5]),
        (" [ ] ", []),
        ("", None),
        ("None", None),
    ],
)
def test_text_is_read_as_the_list_that_it_spells(text, expected):
    """By JSON, Python or numpy."""
    assert number_lists("test", "a", pa.array([text, None])).to_pylist() == [expected, None]


@pytest.mark.parametrize(
    "stored",
    [
        pa.array([1.0]),
        pa.array([{"a": 1}]),
        pa.array([[[1.0]]]),
        pa.array(["yes"]),
        pa.array(["[1, two]"]),
        pa.array(['["1.0"]']),
        pa.array([["x"]]),
        pa.array([b"[1.0]"]),
    ],
    ids=lambda stored: str(stored.to_pylist()),
)
def test_anything_else_is_refused_in_one_line(stored):
    """With the reader, the column and its type."""
    with pytest.raises(
        LayoutError, match=r"^test reads a list of numbers per row from 'a', but the column is of type "
    ) as told:
        number_lists("test", "a", stored)
    assert "\n" not in str(told.value)


def test_hidden_values_behind_nulls_do_not_count():
    """A null row may cover values, as rows that were masked do."""
    lists = pa.ListArray.from_arrays([0, 2, 4], pa.array([1.0, 1.0, 0.0, None]), mask=pa.array([True, False]))
    assert lists.to_pylist() == [None, [0.0, None]]
    counts = count_rewards("test", IMAGE_REWARDS, lists)
    assert (counts.solved.tolist(), counts.judged.tolist()) == ([0, 0], [0, 1])
    assert (lengths_of(lists).tolist(), known_of(lists).tolist()) == ([0, 2], [0, 1])


def test_evidence_from_a_csv_file_gives_the_same_scores(tmp_path):
    """Written by `to_csv`, where no attempt is unknown: an unknown one is nan there, and is refused."""
    rewards = {"rap_image_rewards": [[1.0, 0.0], [1.0, 1.0], None], "rap_text_rewards": [[0.0, 0.0], [1.0, 0.0], [0.0]]}
    ds = Dataset.from_dict({"rap_id": ["a", "b", "c"], **rewards})
    ds.to_csv(tmp_path / "evidence.csv")
    read = load_dataset("csv", data_files=str(tmp_path / "evidence.csv"), split="train", cache_dir=str(tmp_path))
    assert read.features["rap_image_rewards"].dtype in ("string", "large_string")
    scored = add_scores(read, cde_score, difficulty_score)
    assert scored["rap_cde"][:] == add_scores(ds, cde_score)["rap_cde"][:] == [0.5, 0.5, None]
    assert read.map(cde_score, batched=True)["rap_cde"][:] == [0.5, 0.5, None]
    assert select_cognitive(scored, min_cde=0.2).selected["rap_id"][:] == ["a"]

    Dataset.from_dict({**rewards, "rap_image_rewards": [[1.0, None]] * 3}).to_csv(tmp_path / "unknown.csv")
    read = load_dataset("csv", data_files=str(tmp_path / "unknown.csv"), split="train", cache_dir=str(tmp_path))
    with pytest.raises(LayoutError, match=r"row 0 of the batch has nan, .*store null where an attempt was not judged"):
        add_scores(read, cde_score)


def test_null_typed_columns_give_null_scores():
    """Where no row has evidence."""
    none = Features({"rap_image_rewards": Value("null"), "rap_text_rewards": Value("null")})
    ds = Dataset.from_dict({"rap_image_rewards": [None], "rap_text_rewards": [None]}, features=none)
    scored = add_scores(ds, cde_score, difficulty_score)
    assert scored[:] == {**ds[:], "rap_cde": [None], "rap_difficulty": [None]}
    assert select_cognitive(scored).reasons == {"not_scored": 1}
