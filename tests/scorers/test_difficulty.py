"""The difficulty by hand."""

from hf_rap.scorers import difficulty_score


def test_difficulty_is_the_share_of_failed_attempts_with_the_image():
    """Over judged attempts; null where there is none; the text rewards play no part."""
    batch = {
        "rap_image_rewards": [[1, 1, 1, 1, 0], [1, 1], [0], [1, None, 0], [None], [], None],
        "rap_text_rewards": [[0]] * 7,
    }
    assert difficulty_score(batch) == {"rap_difficulty": [0.2, 0.0, 1.0, 0.5, None, None, None]}


def test_a_row_without_an_image_is_as_hard_as_its_text():
    """The question alone is the row as given, when and only when there is no image."""
    batch = {
        "rap_image_rewards": [None, None, [1, 0]],
        "rap_text_rewards": [[1, 0, 0, 0], [1], [1]],
        "rap_error": ["no_image: the row has none", "image_unreadable: broken", None],
    }
    assert difficulty_score(batch) == {"rap_difficulty": [0.75, None, 0.5]}


def test_rows_without_an_image_stay_null_where_the_text_was_not_tried():
    """`rap_text_rewards` is optional."""
    assert difficulty_score({"rap_image_rewards": [None], "rap_error": ["no_image: x"]}) == {"rap_difficulty": [None]}
