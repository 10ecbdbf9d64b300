"""The planted data: kinds, shares, seeds, and answers that are true of the picture."""

from collections import Counter
from random import Random

import pytest

from hf_rap.demo import IMAGE_IS_NEEDED, KINDS, make_planted
from hf_rap.demo.pictures import COLOURS, PLACES, draw
from hf_rap.demo.questions import ABOUT_THE_PICTURE, TOLD_BY_THE_TEXT, boxes, colour_at, count, form_at, where
from hf_rap.errors import RowError, SettingError
from hf_rap.verify import read_gold


def test_kinds_have_their_shares():
    """Of 600 rows: 30 %, 25 %, 10 %, 20 %, 10 %, 5 %."""
    assert Counter(make_planted(600)["kind"]) == {
        "needs_image": 180,
        "text_gives_it_away": 150,
        "trivial": 60,
        "hard": 120,
        "unsolvable": 60,
        "gold_unreadable": 30,
    }


def test_same_seed_same_rows():
    """Rows, pictures and order depend on the seed alone."""
    first, again, other = make_planted(30, seed=1), make_planted(30, seed=1), make_planted(30, seed=2)
    assert first.data.table.equals(again.data.table)
    assert not first.data.table.equals(other.data.table)


def test_golds_are_readable_exactly_where_they_should_be():
    """`gold_unreadable` and no other kind has golds that cannot be read."""
    unreadable = set()
    for row in make_planted(200).remove_columns("images"):
        try:
            read_gold(row["answer"])
        except RowError:
            unreadable.add(row["kind"])
        else:
            assert row["kind"] != "gold_unreadable"
    assert unreadable == {"gold_unreadable"}


def test_one_placeholder_per_picture():
    """Every question has one `<image>` and one picture of 84 x 84 pixels."""
    for row in make_planted(12):
        assert row["problem"].count("<image>") == len(row["images"]) == 1
        assert row["images"][0].size == (84, 84)


def test_fewer_rows_than_kinds_are_refused():
    """Each kind needs a row."""
    with pytest.raises(SettingError, match="rows is 5: it takes a whole number of 6 or more"):
        make_planted(5)


@pytest.mark.parametrize("seed", range(20))
def test_answers_are_true_of_the_scene(seed):
    """Worked out again from the scene, by other code."""
    asked = count(Random(seed))
    word = next(
        word
        for word in asked.question.split()
        if word in COLOURS or word.rstrip("es") in {"circl", "squar", "triangl", "cro"}
    )
    stem = {"circles": "circle", "squares": "square", "triangles": "triangle", "crosses": "cross"}.get(word, word)
    assert sum(cell is not None and stem in (cell.colour, cell.form) for cell in asked.scene) == int(asked.answer)
    for ask, part in ((colour_at, "colour"), (form_at, "form")):
        asked = ask(Random(seed))
        place = asked.question.split(" at the ")[1].rstrip("?")
        assert getattr(asked.scene[PLACES.index(place)], part) == asked.answer
    asked = where(Random(seed))
    colour, form = asked.question.rstrip("?").split()[-2:]
    found = [PLACES[i] for i, cell in enumerate(asked.scene) if cell and (cell.colour, cell.form) == (colour, form)]
    assert found == [asked.answer]
    asked = boxes(Random(seed))
    assert sum(int(word) for word in asked.question.split() if word.isdigit()) == int(asked.answer)


@pytest.mark.parametrize("ask", TOLD_BY_THE_TEXT[:2])
def test_told_questions_hold_their_answer(ask):
    """The text alone gives it away."""
    asked = ask(Random(0))
    assert asked.answer in asked.question.split("?")[0]


def test_picture_questions_do_not_hold_their_answer():
    """Nothing in the text of a picture question names the answer."""
    for seed in range(50):
        for ask in ABOUT_THE_PICTURE:
            asked = ask(Random(seed))
            assert asked.answer not in asked.question.rstrip("?").split()


def test_full_veil_hides_the_scene():
    """At veil 1 the picture is noise alone, whatever the scene."""
    scene = count(Random(0)).scene
    empty = (None,) * 9
    noise = [draw(each, Random(1), veil=1.0).tobytes() for each in (empty, empty)]
    assert noise[0] == noise[1]
    assert draw(scene, Random(1)).tobytes() != draw(empty, Random(1)).tobytes()
    assert set(IMAGE_IS_NEEDED) <= set(KINDS)
