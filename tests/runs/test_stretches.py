"""The index of a run's rows, held against a plain dictionary: same stretches, keys and ids, in columns and not."""

import random
import tracemalloc

import pyarrow as pa
import pytest

from hf_rap.runs import stretches
from hf_rap.runs.contents import ARM, CUT, FAILURE, FIRST, GRADER, ID, KEY, LIMIT, STOP, UNGRADED
from hf_rap.runs.row_table import Row, Rows
from hf_rap.runs.stretches import Stretch, Stretches, first_places


def key_of(number):
    return f"{number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128:032x}"


def contents(rows):
    """Key, id, first, stop, failure, arm, grader, limit, cut, ungraded of each."""
    names = (KEY, ID, FIRST, STOP, FAILURE, ARM, GRADER, LIMIT, CUT, UNGRADED)
    text, number = pa.string(), pa.int32()
    types = (text, text, number, number, text, text, text, number, pa.bool_(), number)
    columns = zip(*rows, strict=True)
    table = pa.table([pa.array(column, type_) for column, type_ in zip(columns, types, strict=True)], list(names))
    place = table.schema.get_field_index(ARM)
    return table.set_column(place, ARM, table[ARM].cast(pa.dictionary(pa.int32(), text)))


def rows_at_random(rng, count, keys):
    for _ in range(count):
        number = rng.randrange(keys)
        key = f"no key of ours {number}" if number % 10 == 9 else key_of(number)
        first = rng.randrange(3)
        words = rng.choice([None, "gold", "too_long: 9"]), rng.choice([None, "text"]), rng.choice([None, "math 1"])
        cut, ungraded = rng.random() < 0.5, rng.randrange(3)
        yield (key, f"id-{number}", first, first + 2, *words, rng.choice([None, 0, 512]), cut, ungraded)


@pytest.mark.parametrize("least", [1, 40, 10_000])
def test_it_holds_what_a_dictionary_would(monkeypatch, least):
    """Part after part, some of them put in order with the rest: rows of several parts and of one, whatever their keys look like."""
    monkeypatch.setattr(stretches, "_LEAST", least)
    rng = random.Random(least)
    held, plain, ids = Stretches(), {}, set()
    for batch in range(20):
        counts = {f"f/{batch}-{part}.parquet": rng.randrange(1, 9) for part in range(3)}
        rows = list(rows_at_random(rng, sum(counts.values()), 60))
        held.add(counts, contents(rows))
        each = iter(rows)
        for part, count in counts.items():
            for place in range(count):
                key, identity, *about = next(each)
                plain.setdefault(key, []).append(Stretch(part, place, *about))
                ids.add(identity)
        for key in {*plain, key_of(1000), "no key of ours 9", key_of(0).upper()}:
            assert sorted(held.of(key), key=repr) == sorted(plain.get(key, []), key=repr)
            assert (key in held) == (key in plain)
    assert sorted(held.keys()) == sorted(plain)
    asked = [*plain, key_of(1000), "no key of ours 1000"]
    assert held.unknown(pa.chunked_array([asked])) == [len(plain), len(plain) + 1]
    every = [stretch for each in plain.values() for stretch in each]
    assert held.every(LIMIT) == {stretch.limit for stretch in every}
    assert held.every(ARM) == {stretch.arm for stretch in every}
    assert held.known_ids([*ids, "id-1000"]) == ids
    assert held.known_ids(["id", "id-"], longest=3) == {"id-"}
    held.also(key_of(1000), key_of(1), "id-new")
    assert held.of(key_of(1000)) == held.of(key_of(1)) != []
    assert held.known_ids(["id-new"]) == {"id-new"}


def test_a_row_of_a_large_run_takes_some_dozen_bytes():
    """100,000 rows, with their keys and ids: 36 bytes of columns for numbers, 16 for a key, and an id as long as it is."""
    rows = [(key_of(n), f"row-{n:08d}", 0, 2, None, None, "math 1", 512, False, 0) for n in range(100_000)]
    table = contents(rows)
    del rows
    held = Stretches()
    tracemalloc.start()
    before = pa.total_allocated_bytes()
    held.add({f"f/{n}.parquet": 50 for n in range(2_000)}, table)
    taken = tracemalloc.get_traced_memory()[0] + pa.total_allocated_bytes() - before
    tracemalloc.stop()
    assert held.of(key_of(77_777)) == [Stretch("f/1555.parquet", 27, 0, 2, None, None, "math 1", 512, False, 0)]
    assert taken < 100_000 * 100


def test_the_first_of_equal_rows_counts():
    """In their order, for keys of ours and for others."""
    a, b, c = key_of(3), key_of(1), key_of(2)
    assert first_places(pa.chunked_array([[a, b], [a, c, b]])).tolist() == [0, 1, 3]
    assert first_places(pa.chunked_array([["x", b], ["x", c, b]])).tolist() == [0, 1, 3]


def test_rows_of_a_table_are_the_rows():
    """One, some, all, and those that have something in a column."""
    rows = [Row("a", "k1", "k1"), Row("b", "k2", "older"), Row("c", "k3", "k3", "of its file")]
    table = Rows.of(rows)
    assert list(table) == rows == table[:] == [table[0], table[1], table[2]]
    assert table[-1] == rows[-1]
    assert (list(table.keys()), table.key(1)) == (["k1", "k2", "k3"], "k2")
    assert list(table.with_("older")) == rows[1:2]
    assert list(table.with_("old_id")) == rows[2:]
    assert len(Rows.of([])) == 0
