"""Replies that could not be graded are data: arm, numbers and reason, whenever they were collected."""

import pytest

from hf_rap.columns import ARM_COLUMNS
from hf_rap.errors import RowError
from hf_rap.evidence.attempts import NotJudged, join_attempts

# A cell as it stands in run folders and evidence files.
STORED = "not_judged: 1 of 3 replies of the text arm could not be graded: too expensive to check"


def test_a_stored_cell_is_read_and_written_the_same():
    """To the letter."""
    found = NotJudged.of(RowError.parse(STORED))
    assert found == NotJudged("text", 1, 3, "too expensive to check")
    assert str(found.error()) == STORED


@pytest.mark.parametrize(
    "reason",
    [
        "could not be graded: twice",
        "1 of 2 replies of the image arm could not be graded: inside",
        "two\nlines: {braces} and 50 %",
        "",
    ],
)
def test_a_reason_may_say_anything(reason):
    """Also what the rest of the cell says."""
    one = NotJudged("blank", 2, 5, reason)
    assert NotJudged.of(RowError.parse(str(one.error()))) == one


@pytest.mark.parametrize(
    "cell",
    [
        "not_judged: none of 16 continuations of step 2 could be graded: too expensive to check",  # of step scores
        "engine_failed: 1 of 3 replies of the text arm could not be graded: x",
        "not_judged",
    ],
)
def test_other_errors_are_none_of_these(cell):
    """Neither another code nor other words."""
    assert NotJudged.of(RowError.parse(cell)) is None


def piece(image, text, error):
    """The evidence of one row with these rewards."""
    row = {"rap_error": error}
    for arm, rewards in (("image", image), ("text", text)):
        of_arm = ARM_COLUMNS[arm]
        row |= {column.name: None if rewards is None else ["x"] * len(rewards) for column in of_arm}
        row[of_arm.rewards.name] = rewards
    return row


def joined_error(*pieces):
    """The `rap_error` of pieces of two attempts each, of both arms."""
    parts = [(range(2 * number, 2 * number + 2), row) for number, row in enumerate(pieces)]
    attempts = 2 * len(pieces)
    return join_attempts({"image": parts, "text": parts}, {"image": attempts, "text": attempts})["rap_error"]


def text_error(unknown, reason, replies=2):
    return str(NotJudged("text", unknown, replies, reason).error())


def test_replies_of_all_pieces_are_counted():
    """One of two and none of two are one of four, with the reason of the first."""
    first = piece([1.0, 0.0], [None, 0.0], text_error(1, "a"))
    assert joined_error(first, piece([1.0, 1.0], [0.0, 0.0], None)) == text_error(1, "a", 4)
    assert joined_error(first, piece([1.0, 1.0], [None, None], text_error(2, "b"))) == text_error(3, "a", 4)


def test_the_image_arm_is_told_before_the_text_arm():
    """As in one go: the first arm with an unknown reply, with its own reason, in whichever piece that stands."""
    text = piece([1.0, 0.0], [None, 0.0], text_error(1, "mentions the image arm here"))
    image = piece([None, 0.0], [1.0, 0.0], str(NotJudged("image", 1, 2, "b").error()))
    assert joined_error(text, image) == "not_judged: 1 of 4 replies of the image arm could not be graded: b"


def test_another_error_goes_before():
    """A model that failed on some attempts says more than replies that could not be graded."""
    failed = piece(None, None, "engine_failed: ValueError: scripted")
    unsure = piece([1.0, 0.0], [None, 0.0], text_error(1, "a"))
    assert joined_error(unsure, failed) == "engine_failed: ValueError: scripted"


def test_a_row_whose_replies_are_all_graded_has_no_error():
    """Nothing is said where nothing is missing."""
    assert joined_error(piece([1.0, 0.0], [1.0, 0.0], None)) is None
