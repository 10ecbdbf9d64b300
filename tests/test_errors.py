"""Errors as values: cells of columns of errors are written and read in one place, and a first line is one everywhere."""

import pickle

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_rap.columns import ATTENTION_ERROR_CODES, CONTROL_ERROR_CODES, ERROR_CODES, LIKELIHOOD_ERROR_CODES
from hf_rap.errors import RowError, cell_of, code_of, codes_of, first_line, last_line, printable

CODES = sorted({*ERROR_CODES, *ATTENTION_ERROR_CODES, *LIKELIHOOD_ERROR_CODES, *CONTROL_ERROR_CODES})


@given(st.sampled_from(CODES), st.text())
def test_what_is_written_is_read_again(code, message):
    """Whatever the message holds: colons, line breaks, white space, nothing; what steers a terminal is spelled out once."""
    cell = cell_of(RowError(code, message))
    read = RowError.parse(cell)
    assert (read.code, read.message, str(read)) == (code, printable(message), cell)
    assert code_of(cell) == code
    assert codes_of(pa.array([cell, None])).to_pylist() == [code, None]


@pytest.mark.parametrize(
    ("cell", "code", "message"),
    [
        ("engine_failed: ValueError: x", "engine_failed", "ValueError: x"),  # the first colon counts
        ("engine_failed:no memory", "engine_failed", "no memory"),
        (" no_image : none", "no_image", "none"),
        ("no_image", "no_image", ""),
        (": without a code", "", "without a code"),
        ("", "", ""),
    ],
)
def test_cells_of_others_are_read(cell, code, message):
    """One by one and as a column alike."""
    read = RowError.parse(cell)
    assert (read.code, read.message) == (code, message)
    assert codes_of(pa.array([cell])).to_pylist() == [code]


@pytest.mark.parametrize(
    "column",
    [
        pa.nulls(2),
        pa.chunked_array([["no_image: a"], [None]]),
        pa.array(["no_image: a", None], pa.large_string()),
        pa.array([], pa.string()),
        pa.array(["no_image: a", None]).dictionary_encode(),
    ],
)
def test_every_kind_of_column_has_codes(column):
    """As datasets hold them: without any text, in chunks, large, without rows, encoded."""
    assert codes_of(column).to_pylist() == [code_of(cell) for cell in column.to_pylist()]


def test_no_error_is_null():
    """And its code is null too."""
    assert (cell_of(None), code_of(None)) == (None, None)


def test_a_place_stands_before_the_message():
    """The code stays the first word, once."""
    assert str(RowError("score_invalid", "null").at("f.jsonl line 6")) == "score_invalid: f.jsonl line 6: null"


def test_row_errors_come_back_from_other_processes():
    """With code and message."""
    error = pickle.loads(pickle.dumps(RowError("too_long", "9,000 tokens")))
    assert (error.code, error.message, str(error)) == ("too_long", "9,000 tokens", "too_long: 9,000 tokens")


@pytest.mark.parametrize(
    ("error", "first", "last"),
    [
        (ValueError("one\ntwo\n"), "one", "two"),
        (ValueError("\n  one  "), "one", "one"),
        (ValueError(), "ValueError", "ValueError"),
        (KeyError("column"), "'column'", "'column'"),
        (ValueError("x" * 401 + "\nend"), "x" * 400 + "...", "end"),
    ],
)
def test_an_error_in_one_line(error, first, last):
    """An error that says nothing is known by its type."""
    assert (first_line(error), last_line(error)) == (first, last)
