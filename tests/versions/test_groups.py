"""Row groups begin at rows that their ids choose, so that a change moves few of them."""

import pyarrow as pa
import pytest

from hf_rap.versions import groups
from hf_rap.versions.groups import cut_at, cut_by_ids


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Groups of 10,000 bytes in pages of 1,000: rows of 100 bytes and 8 of their own, of which one in 32 may begin a group."""
    monkeypatch.setattr(groups, "GROUP_BYTES", 10_000)
    monkeypatch.setattr(groups, "PAGE_BYTES", 1_000)


def table_of(ids) -> pa.Table:
    return pa.table({"id": pa.array(ids, pa.int64()), "file": pa.array([b"x" * 100 for _ in ids], pa.binary())})


def cut(ids, batch=128):
    """The groups of rows with these ids, which come in batches; each by its ids."""
    tables = [table_of(ids[start : start + batch]) for start in range(0, len(ids), batch)]
    return [(start, table["id"].to_pylist()) for start, table in cut_by_ids(tables, ids)]


def test_all_rows_are_in_a_group_once_and_in_order():
    """And each group is named by the number of its first row."""
    ids = list(range(1_000, 3_000))
    found = cut(ids)
    assert [key for _, rows in found for key in rows] == ids
    assert [ids[start] for start, _ in found] == [rows[0] for _, rows in found]


def test_groups_hold_as_much_as_they_may():
    """90 rows are 10,000 bytes; twice as many, and what is left of a batch, is the most."""
    sizes = [len(rows) for _, rows in cut(list(range(4_000)))]
    assert min(sizes[:-1]) >= 89
    assert max(sizes) <= 2 * 90 + 64


@pytest.mark.parametrize("batch", [1, 7, 128, 4_000])
def test_batches_make_no_difference_where_ids_choose(batch, monkeypatch):
    """Where every second row may begin a group no group is ended for its size, and so none by a batch."""
    monkeypatch.setattr(groups, "ROWS_PER_START", 2)
    ids = list(range(2_000))
    assert cut(ids, batch) == cut(ids)


@pytest.mark.parametrize("change", ["a row in front", "ten rows less"])
def test_a_change_moves_few_groups(change):
    """Behind it most groups hold the rows they held; cut by size alone none would."""
    ids = list(range(8_000))
    changed = [-1, *ids] if change == "a row in front" else ids[:40] + ids[50:]
    before, after = ({tuple(rows) for _, rows in cut(rows)} for rows in (ids, changed))
    assert len(before & after) > 0.6 * len(before)


def test_large_batches_are_taken_apart():
    """A batch is as many rows, however large they are."""
    rows = pa.table({"id": [1, 2, 3, 4], "file": [b"x" * 9_000] * 4})
    assert [table["id"].to_pylist() for _, table in cut_by_ids([rows], [1, 2, 3, 4])] == [[1, 2, 3], [4]]


def test_pages_begin_at_rows_that_ids_choose():
    """The chunks of a group are what a writer makes pages of; a row less changes a few of them."""

    def pages(ids):
        (group,) = [table for _, table in cut_by_ids([table_of(ids)], ids)]
        return [tuple(chunk.to_pylist()) for chunk in group["id"].chunks]

    ids = list(range(80))
    before, after = pages(ids), pages([*ids[:20], *ids[21:]])
    assert [key for page in before for key in page] == ids
    assert all(len(page) >= 9 for page in before[:-1])
    assert len(set(before) & set(after)) >= len(before) - 3


def test_others_are_cut_at_the_same_rows():
    """A group of theirs holds what they have of a group of the first ones; one without a row is none."""
    tables = [([0, 2, 5], table_of([0, 2, 5])), ([6, 19, 21], table_of([6, 19, 21]))]
    assert [table["id"].to_pylist() for table in cut_at(tables, [0, 6, 10, 15, 20])] == [[0, 2, 5], [6], [19], [21]]
    assert [table["id"].to_pylist() for table in cut_at(tables, [0])] == [[0, 2, 5, 6, 19, 21]]
