"""Remarks by hand."""

import numpy as np
from datasets import Dataset

from hf_rap.select import select_cognitive
from hf_rap.select.remarks import remark_on_band, remark_on_replaced, remark_on_threshold

NAN = float("nan")


def flags(text):
    return np.array([letter == "x" for letter in text])


def test_more_than_half_are_replacements():
    """Three of five; two of four is half."""
    assert remark_on_replaced(flags("xxxxx.."), flags("xxx....")).startswith(
        "3 of the 5 kept rows (60%) are replacements"
    )
    assert remark_on_replaced(flags("xxxx..."), flags("xx.....")) is None
    assert remark_on_replaced(flags("......."), flags(".......")) is None


def test_the_kept_rows_are_a_band():
    """0.4 and 0.6 are kept, and no other row has a pass rate between them; an unscored row is in no band."""
    difficulty = np.array([0.0, 0.4, 0.6, 0.6, 1.0, NAN])
    assert "pass rate from 0.4 to 0.6 with the image" in remark_on_band(flags(".xxx.."), difficulty)
    assert remark_on_band(flags(".xx..."), difficulty) is None  # the other row of 0.6 is out
    assert remark_on_band(flags("xxxxx."), difficulty) is None  # all rows are no band
    assert remark_on_band(flags("......"), difficulty) is None
    assert remark_on_band(flags(".xxx.x"), difficulty) is None
    assert remark_on_band(flags(".xxx.."), None) is None


def test_a_threshold_that_passes_scores_without_a_change():
    """Rows above 0.7 are kept; rows of 0.3 and 0.5 are out for another fault, so that every value from 0.1 does the same."""
    scores = np.array([0.1, 0.3, 0.5, 0.9, NAN])
    fault = flags(".xx..")

    def kept_at(value):
        return (scores > value) & ~fault

    assert remark_on_threshold("min_cde", 0.4, scores, kept_at(0.4), kept_at) == (
        "Every min_cde from 0.1 to just below 0.9 keeps the same 1 rows: there it decides nothing."
    )
    assert remark_on_threshold("min_cde", 0.4, scores, scores > 0.4, lambda value: scores > value) is None
    assert remark_on_threshold("min_cde", 0.95, scores, kept_at(0.95), kept_at) is None  # nothing is kept


def test_nothing_is_said_of_a_few_rows():
    """Nineteen scored rows say nothing, twenty do."""
    columns = {"rap_cde": [0.8] * 10 + [0.4] * 10, "rap_difficulty": [0.0] * 10 + [0.4] * 10}
    ds = Dataset.from_dict(columns)
    assert select_cognitive(ds.select(range(19))).remarks == ()
    said = select_cognitive(ds).remarks
    assert [remark.split(" ")[0] for remark in said] == ["10", "The", "Every"]


def test_an_attention_limit_that_drops_nothing_that_matters():
    """The biased row is not above min_cde either."""
    columns = {"rap_cde": [0.8] * 10 + [0.1] * 10, "rap_difficulty": [0.2] * 20, "rap_ace": [0.0] * 19 + [0.9]}
    ds = Dataset.from_dict(columns)
    assert "max_ace=0.1 decides nothing: without it the same rows are kept." in select_cognitive(ds).remarks
    assert not any("max_ace" in remark for remark in select_cognitive(ds, max_ace=None).remarks)
