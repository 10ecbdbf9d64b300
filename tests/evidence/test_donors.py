"""Whose pictures a row is shown: who gives to whom, and that nobody gets its own."""

import io
import random
import time

import pytest
from datasets import Dataset, Features, Image, List, Value
from PIL import Image as PILImage

from hf_rap.errors import RowError
from hf_rap.evidence.donors import Donors
from hf_rap.rows.layouts import Layout
from hf_rap.rows.questions import raw_rows

LAYOUT = Layout("problem", "images", "answer", id="id")
ROWS = Features({"id": Value("string"), "images": List(Image()), "problem": Value("string"), "answer": Value("string")})


def png(number):
    file = io.BytesIO()
    PILImage.new("RGB", (8, 8), (number % 256, number // 256, 7)).save(file, format="PNG")
    return file.getvalue()


def dataset(*pictures):
    """One row per tuple of numbers; the same number is the same picture, None one that is broken."""
    files = {number: png(number) for row in pictures for number in row if number is not None} | {None: b"broken"}
    made = [
        {
            "id": f"row-{place}",
            "images": [{"bytes": files[number], "path": None} for number in row],
            "problem": "<image>" * len(row),
            "answer": "3",
        }
        for place, row in enumerate(pictures)
    ]
    return Dataset.from_list(made, features=ROWS)


def raws(ds):
    return raw_rows(ds.with_format("arrow")[:].to_pydict(), LAYOUT)


def givers(ds, seed=0):
    """Taker -> giver, by id; None where there is none."""
    donors = Donors(ds, LAYOUT, seed=seed)
    return {raw["id"]: next((one.row_id for one in donors.givers(raw)), None) for raw in raws(ds)}


def test_every_row_gives_once_and_takes_once():
    """Nobody takes from itself, over several seeds, and seeds differ."""
    ds = dataset(*((number,) for number in range(300)))
    for seed in range(3):
        found = givers(ds, seed)
        assert sorted(found.values()) == sorted(found)
        assert all(taker != giver for taker, giver in found.items())
    assert givers(ds, 0) != givers(ds, 1)


def test_the_order_of_the_rows_does_not_matter():
    ds = dataset(*((number // 2,) for number in range(60)))
    assert givers(ds.shuffle(seed=5)) == givers(ds)


@pytest.mark.parametrize("seed", range(5))
def test_the_same_picture_is_never_given(seed):
    """Up to half of the rows may show one picture, and still each gives once."""
    ds = dataset(*((0,) for _ in range(20)), *((1 + number // 3,) for number in range(25)))
    shows = {f"row-{place}": row["images"][0]["bytes"] for place, row in enumerate(raws(ds))}
    found = givers(ds, seed)
    assert sorted(found.values()) == sorted(found)
    assert all(shows[taker] != shows[giver] for taker, giver in found.items())


def test_where_one_picture_is_everywhere_the_others_give_more_than_once():
    """Nine rows of one picture take from the single other one, and it takes from one of them."""
    ds = dataset(*((0,) for _ in range(9)), (1,))
    found = givers(ds)
    assert {found[f"row-{place}"] for place in range(9)} == {"row-9"}
    assert found["row-9"] != "row-9"


def test_a_new_row_changes_the_giver_of_its_neighbour_alone():
    """So most of what was collected before rows were added stays what it would be."""
    before = givers(dataset(*((number,) for number in range(100))))
    after = givers(dataset(*((number,) for number in range(101))))
    assert sum(before[row] != after[row] for row in before) == 1


def test_rows_give_to_rows_with_as_many_pictures():
    """And no picture of a row with several comes back in another place."""
    ds = dataset((1,), (2,), (1, 2), (3, 4), (2, 5), (6, 7), (1, 2, 3))
    found = givers(ds)
    assert found["row-0"] == "row-1"
    assert found["row-2"] in {"row-3", "row-5"}  # row-4 shares a picture with it
    assert found["row-6"] is None


def test_equal_rows_take_from_the_same():
    """They have one id, so they get one set of replies."""
    pair = dataset((1,), (1,), (2,), (3,))
    twins = pair.map(lambda row: {"id": "twin" if row["id"] in {"row-0", "row-1"} else row["id"]}, features=ROWS)
    donors = Donors(twins, LAYOUT)
    first, second = ([one.row_id for one in donors.givers(raw)] for raw in raws(twins)[:2])
    assert first == second
    assert "twin" not in first


def test_a_broken_picture_is_passed_over():
    """The next giver steps in, for whoever asks; with none left the row goes without."""
    ds = dataset((1,), (None,), (2,), (3,))
    donors = Donors(ds, LAYOUT)
    for raw in (raw for raw in raws(ds) if raw["id"] != "row-1"):
        ((giver, pictures),) = donors.pictures_for(raw)
        assert giver not in {"row-1", raw["id"]}
        assert pictures[0].size == (8, 8)
    alone = dataset((1,), (None,), (1,))
    with pytest.raises(RowError, match="no_donor: no other row has as many pictures"):
        Donors(alone, LAYOUT).pictures_for(raws(alone)[0])


def test_several_givers_differ_and_end_where_there_are_no_more():
    """The second and third come from behind the first."""
    ds = dataset((1,), (2,), (3,), (1,), (4,))
    donors = Donors(ds, LAYOUT)
    found = [giver for giver, _ in donors.pictures_for(raws(ds)[0], count=2)]
    assert len(set(found)) == 2
    assert {giver for giver, _ in donors.pictures_for(raws(ds)[0], count=9)} == {"row-1", "row-2", "row-4"}


def test_several_givers_show_different_pictures():
    """Ten questions about each picture: five givers still show five of them."""
    ds = dataset(*((number // 10,) for number in range(80)))
    donors = Donors(ds, LAYOUT)
    for raw in raws(ds):
        shown = [one.pictures for one in donors.givers(raw)]
        assert len(shown) == len(set(shown)) == 7
        assert len(donors.pictures_for(raw, count=5)) == 5


def test_a_row_from_elsewhere_is_refused():
    with pytest.raises(RowError, match="no_donor: the row is not in the dataset"):
        Donors(dataset((1,), (2,)), LAYOUT).pictures_for(raws(dataset((3,)))[0])


def test_one_picture_in_most_of_many_rows_takes_no_square_of_time():
    """Rows with the same pictures are stepped over at once."""
    numbers = [0] * 4000 + list(range(1, 400))
    random.Random(0).shuffle(numbers)
    ds = dataset(*((number,) for number in numbers))
    donors, asked = Donors(ds, LAYOUT), raws(ds)
    started = time.process_time()
    found = [next(donors.givers(raw)).row_id for raw in asked]
    assert time.process_time() - started < 2  # step by step it takes ten seconds
    assert len(found) == len(numbers)
