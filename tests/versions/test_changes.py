"""What changed between two decisions."""

import json

import pyarrow as pa
import pytest

from hf_rap.errors import MissingColumnError
from hf_rap.versions.changes import changes_between


def table(rows: dict[str, tuple[bool, str]], **more) -> pa.Table:
    keep, reason = ([row[place] for row in rows.values()] for place in (0, 1))
    return pa.table({"rap_id": list(rows), "rap_keep": keep, "rap_reason": reason, **more})


def test_rows_that_come_and_go_are_told_with_both_reasons():
    """None where the row was not there at all."""
    old = table({"a": (True, "image_needed"), "b": (False, "always_solved"), "c": (True, "image_needed")})
    new = table({"a": (True, "image_needed"), "b": (True, "hard_replacement"), "d": (True, "image_needed")})
    found = changes_between(old, new)
    assert found.rows == [
        {"id": "b", "change": "added", "was": "always_solved", "now": "hard_replacement"},
        {"id": "d", "change": "added", "was": None, "now": "image_needed"},
        {"id": "c", "change": "removed", "was": "image_needed", "now": None},
    ]
    # Kept in both: a. Ever kept: a, b, c, d.
    assert found.facts["kept"] == {"old": 2, "new": 3, "both": 1, "added": 2, "removed": 1, "jaccard": 0.25}


def test_rows_with_the_same_id_are_matched_in_order():
    """A third one more is one that came in."""
    keep, reason = [True, True], ["image_needed"] * 2
    old = pa.table({"rap_id": ["a", "a"], "rap_keep": keep, "rap_reason": reason})
    new = pa.table({"rap_id": ["a", "a", "a"], "rap_keep": [*keep, True], "rap_reason": [*reason, "image_needed"]})
    assert changes_between(old, new).facts["kept"] == {
        "old": 2, "new": 3, "both": 2, "added": 1, "removed": 0, "jaccard": 0.666667,
    }  # fmt: skip


def test_unknown_scores_count_in_no_mean():
    """Null and NaN are unknown."""
    rows = dict.fromkeys("abc", (True, "image_needed"))
    old = table(rows, rap_cde=pa.array([0.5, None, float("nan")], pa.float32()))
    assert changes_between(old, old).facts["scores"]["rap_cde"] == {"old": 0.5, "new": 0.5}


def test_models_are_named_with_their_revision():
    """So that a comparison of two models says so."""
    rows = {"a": (True, "image_needed")}
    old = table(rows, rap_settings=['{"model": "m", "revision": "1"}'])
    new = table(rows, rap_settings=['{"model": "n"}'])
    assert changes_between(old, new).facts["models"] == {"old": ["m@1"], "new": ["n"]}


def test_models_are_told_apart_by_identity():
    """Two checkpoints in folders of one name; with rows of older settings, which tell none, by name alone."""
    rows = {"a": (True, "image_needed")}
    first, second = (
        table(
            rows, rap_settings=[json.dumps({"model": "grid", "identity": f"files:{digest}", "not_counted": ["model"]})]
        )
        for digest in "12"
    )
    older = table(rows, rap_settings=['{"model": "grid", "revision": null, "weights": "1"}'])
    assert changes_between(first, second).facts["models"] == {"old": ["grid (files:1)"], "new": ["grid (files:2)"]}
    assert changes_between(older, second).facts["models"] == {"old": ["grid"], "new": ["grid"]}


def test_many_groups_are_counted_together():
    """Nothing is lost: the shares still add up to one."""
    rows = {str(number): (True, "image_needed") for number in range(40)}
    one = table(rows, topic=[f"t{number}" for number in range(40)])
    shown = changes_between(one, one, group_by="topic").facts["groups"]["shown"]
    assert shown[-1] == {"value": "10 others", "old": 10, "new": 10, "old_share": 0.25, "new_share": 0.25}
    assert sum(part["new"] for part in shown) == 40


def test_rows_without_ids_cannot_be_compared():
    """The error says what is missing."""
    with pytest.raises(MissingColumnError, match="rap_id"):
        changes_between(pa.table({"rap_keep": [True]}), table({}))
