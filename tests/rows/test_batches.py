"""What `map` passes, in every format and with every option, read as one kind of batch."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from datasets import Dataset, Features, List, Value

from hf_rap.columns import Column, typed
from hf_rap.errors import SettingError
from hf_rap.rows.batches import Batch, batched

FEATURES = Features({"id": Value("string"), "lists": List(Value("float64"))})
ROWS = {"id": ["a", None, "c"], "lists": [[1.0, 0.5], None, []]}
LENGTH = Column("rap_length", "int64", "of the list")
WORD = Column("rap_word", "string", "null for most")


@dataclass(frozen=True)
class Lengths:
    """Reads Arrow, and tells its rank."""

    rank: int | None = None

    def on_rank(self, rank):
        return replace(self, rank=rank)

    @batched
    def __call__(self, batch):
        lists = batch.arrow("lists").to_pylist()
        return typed({LENGTH: [None if row is None else len(row) for row in lists], WORD: [None] * len(lists)})


@pytest.fixture
def ds():
    return Dataset.from_dict(ROWS, features=FEATURES)


@pytest.mark.parametrize("format_", [None, "arrow", "polars", "pandas", "numpy", "torch"])
@pytest.mark.parametrize(
    "options", [{}, {"with_indices": True}, {"with_rank": True}, {"batch_size": 1}, {"batch_size": -1}]
)
def test_every_format_gets_the_columns_that_a_plain_map_gets(ds, format_, options):
    """And keeps the others, in a table and in a stream; a column of nulls alone has its type."""
    if format_ == "polars":
        pytest.importorskip("polars", reason="in the dev group")
    mapped = ds.with_format(format_).map(Lengths(), batched=True, **options).with_format(None)
    assert mapped[:] == {**ROWS, "rap_length": [2, None, 0], "rap_word": [None] * 3}
    assert mapped.features["rap_length"] == Value("int64")
    assert mapped.features["rap_word"].dtype in ("string", "large_string")
    if "with_rank" not in options:
        stream = ds.to_iterable_dataset().with_format(format_).map(Lengths(), batched=True, **options)
        new = [(row["id"], row["rap_length"], row["rap_word"]) for row in stream.with_format(None)]
        assert new == [("a", 2, None), (None, None, None), ("c", 0, None)]


@pytest.mark.parametrize("format_", ["arrow", "polars", "pandas"])
def test_a_row_of_a_table_format_is_a_table_of_one_row(ds, format_):
    """So nothing has to be known of `batched`."""
    mapped = ds.with_format(format_).map(Lengths(), with_indices=True, writer_batch_size=1).with_format(None)
    assert mapped["rap_length"][:] == [2, None, 0]


@pytest.mark.parametrize("format_", [None, "numpy", "torch"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_single_row_is_refused(ds, format_, stream):
    """With what to write instead."""
    rows = (ds.to_iterable_dataset() if stream else ds).with_format(format_)
    with pytest.raises(SettingError, match=r"^Lengths takes batches of rows, and this is a single row.*batched=True"):
        list(rows.map(Lengths()))


@pytest.mark.parametrize("format_", [None, "arrow", "numpy", "pandas"])
@pytest.mark.parametrize("columns", ["lists", ["lists"], ["lists", "id"]])
def test_columns_without_names_are_refused(ds, format_, columns):
    """`input_columns`: which is which cannot be known."""
    with pytest.raises(SettingError, match="without input_columns, which hands columns over without their names"):
        ds.with_format(format_).map(Lengths(), batched=True, input_columns=columns)


def test_options_in_fn_kwargs_are_refused(ds):
    """They belong where the callable is made."""
    with pytest.raises(SettingError, match=r"Lengths has its options from where it was made.*\(sigma\)"):
        ds.map(Lengths(), batched=True, fn_kwargs={"sigma": 2})


def test_a_rank_is_told_from_indices():
    """Indices of a batch are a list; both may come, and a rank alone may be None."""
    batch = {"lists": [[1.0]]}

    class Ranked(Lengths):
        @batched
        def __call__(self, batch):
            return {"rank": [self.rank]}

    call = Ranked()
    given = [(), ([0],), (None,), (2,), ([0], None), ([0], 3), (range(1), 0)]
    assert [call(batch, *passed)["rank"] for passed in given] == [[None], [None], [None], [2], [None], [3], [0]]
    assert call(batch, rank=4)["rank"] == [4]


def test_two_processes_give_the_same(ds):
    """The wrapped callable pickles."""
    mapped = ds.map(Lengths(), batched=True, num_proc=2, with_rank=True, with_indices=True)
    assert mapped["rap_length"][:] == [2, None, 0]


@pytest.mark.parametrize("format_", ["numpy", "torch"])
def test_python_values_are_not_made_of_tensors(ds, format_):
    """They have lost nulls and digits."""
    seen = []
    ds.with_format(format_).map(lambda batch: seen.append(batch) or {}, batched=True)
    with pytest.raises(SettingError, match="some reader reads Python values, and column 'lists' arrives as"):
        Batch("some reader", seen[0]).cells("lists")
    with pytest.raises(SettingError, match="reads Python values"):
        Batch("some reader", seen[0]).arrow("lists", exact=True)


def test_values_without_a_common_type_are_refused():
    """By the name of the column."""
    with pytest.raises(SettingError, match=r"^some reader cannot read column 'a' \(.*\): use ds\.map"):
        Batch("some reader", {"a": [[1.0], "x"]}).arrow("a")


def test_what_a_user_has_in_arrow_or_numpy_is_read_as_well():
    """A call without `map`."""
    import pyarrow as pa

    for lists in (
        pa.array([[1.0], None]),
        pa.chunked_array([[[1.0]], [None]]),
        np.array([[1.0], [2.0]]),
        ([1.0], None),
    ):
        assert len(Batch("some reader", {"lists": lists}).arrow("lists")) == 2
    assert Lengths()(pa.table({"lists": [[1.0], None]})).column_names == ["lists", "rap_length", "rap_word"]


def test_new_columns_take_the_place_of_old_ones_of_the_name(ds):
    """As `map` does with mappings."""
    again = ds.with_format("arrow").map(Lengths(), batched=True).map(Lengths(), batched=True)
    assert again.column_names == ["id", "lists", "rap_length", "rap_word"]
