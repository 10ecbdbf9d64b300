"""What rows say, whatever wrote them."""

import math

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Array2D, Features, Image, List, Value
from hypothesis import given
from hypothesis import strategies as st

from hf_rap.versions.digest import RowDigest, digest_of_files

FEATURES = Features(
    {
        "text": Value("string"),
        "number": Value("float64"),
        "whole": Value("int32"),
        "flag": Value("bool"),
        "time": Value("timestamp[s]"),
        "label": datasets.ClassLabel(names=["a", "b"]),
        "images": List(Image()),
        "deep": List({"a": Value("string"), "b": List(Value("int64"))}),
        "grid": Array2D((2, 2), "int64"),
    }
)
ROW = {
    "text": "é",
    "number": 0.5,
    "whole": 3,
    "flag": True,
    "time": 1,
    "label": 1,
    "images": [{"bytes": b"png", "path": "a.png"}],
    "deep": [{"a": "x", "b": [1, 2]}],
    "grid": [[1, 2], [3, 4]],
}


def table_of(rows: list[dict], features: Features = FEATURES) -> pa.Table:
    made = datasets.Dataset.from_list(rows, features=features)
    return made.with_format("arrow")[:]


def digest_of(rows: list[dict], *, step: int | None = None, features: Features = FEATURES) -> str:
    digest, table = RowDigest(features), table_of(rows, features)
    for start in range(0, len(table), step or len(table)):
        digest.add(table.slice(start, step or len(table)))
    return digest.hexdigest()


ROWS = [
    ROW,
    {**ROW, "text": None, "images": []},
    {**ROW, "number": None, "images": None, "deep": None},
    {**ROW, "text": ""},
]


@pytest.mark.parametrize("step", [1, 2, 3])
def test_batches_make_no_difference(step):
    """Nor do slices of a larger table."""
    assert digest_of(ROWS, step=step) == digest_of(ROWS)


def test_digest_stays_what_it_is():
    """Every version that is published carries one: raising this changes what is the same."""
    assert digest_of([ROW]) == "9ee9312ea3b0df4df1aedef5779e568baa56196da207d5c793e52cc5b0847b16"


OTHER = {
    "text": ["e", "", None],
    "number": [0.25, None, math.inf],
    "whole": [4, None],
    "flag": [False, None],
    "time": [2, None],
    "label": [0, None],
    "images": [[], None, [{"bytes": b"jpg", "path": "a.png"}], [{"bytes": b"png", "path": None}] * 2, [None]],
    "deep": [[], None, [{"a": "x", "b": [1]}], [{"a": None, "b": [1, 2]}], [{"a": "x", "b": None}], [None]],
    "grid": [[[1, 2], [3, 5]], None],
}


@pytest.mark.parametrize(("column", "value"), [(name, value) for name, values in OTHER.items() for value in values])
def test_any_other_value_is_another_digest(column, value):
    """Empty, null and missing parts of lists included."""
    assert digest_of([ROW, {**ROW, column: value}]) != digest_of([ROW, ROW])


def test_order_and_number_of_rows_count():
    """Two rows the other way round are other content."""
    assert digest_of(ROWS[:2]) != digest_of(ROWS[1::-1])
    assert digest_of(ROWS[:1]) != digest_of(ROWS[:1] * 2)


def test_image_is_its_bytes():
    """The name of its file is none of its content."""
    assert digest_of([{**ROW, "images": [{"bytes": b"png", "path": None}]}]) == digest_of([ROW])


def test_column_of_nulls_is_none():
    """As in a version that has a column more, with nothing in it."""
    more = Features({**FEATURES, "extra": Value("string"), "deeper": List({"x": Value("int64")})})
    rows = [{**ROW, "extra": None, "deeper": None}] * 2
    assert digest_of(rows, features=more) == digest_of([ROW] * 2)
    assert digest_of([{**ROW, "extra": "", "deeper": None}] * 2, features=more) != digest_of([ROW] * 2)
    assert digest_of([{**ROW, "extra": None, "deeper": []}] * 2, features=more) != digest_of([ROW] * 2)


def test_numbers_have_one_form():
    """A negative zero is a zero, every NaN the same one, and the width of a whole number does not count."""
    assert digest_of([{**ROW, "number": -0.0}]) == digest_of([{**ROW, "number": 0.0}])
    wide = Features({**FEATURES, "whole": Value("int64")})
    assert digest_of([ROW], features=wide) == digest_of([ROW])
    nan = pa.array([math.nan, -math.nan])
    digest = RowDigest(Features({"x": Value("float64")}))
    digest.add(pa.table({"x": nan.take(pa.array([0]))}))
    other = RowDigest(digest.features)
    other.add(pa.table({"x": nan.take(pa.array([1]))}))
    assert digest.hexdigest() == other.hexdigest()


@pytest.mark.parametrize(
    "options", [{"compression": "zstd"}, {"row_group_size": 1}, {"version": "1.0", "use_dictionary": False}]
)
def test_files_make_no_difference(tmp_path, options):
    """Read back, whatever they were written with."""
    features = Features({name: feature for name, feature in FEATURES.items() if name not in ("grid", "time")})
    rows = [{name: row[name] for name in features} for row in ROWS]
    pq.write_table(table_of(rows, features), tmp_path / "a.parquet", **options)
    assert digest_of_files([tmp_path / "a.parquet"], features) == digest_of(rows, features=features)


_CELLS = st.lists(
    st.one_of(st.none(), st.lists(st.one_of(st.none(), st.text("ab", max_size=2)), max_size=3)), max_size=4
)


@given(_CELLS, _CELLS)
def test_digest_is_as_different_as_the_rows(first, second):
    """Equal for equal lists of texts, and else not."""
    features = Features({"x": List(Value("string"))})
    rows = [[{"x": cell} for cell in cells] for cells in (first, second)]
    digests = [digest_of(cells, features=features) if cells else None for cells in rows]
    assert (digests[0] == digests[1]) == (first == second)
