"""One row's evidence from attempts that were collected at different times: whose reason is told."""

import pytest

from hf_rap.evidence.attempts import count_tokens, join_attempts


def piece(error: str | None = None, **rewards) -> dict:
    """What one go wrote about a row; an arm that was not asked is null."""
    row: dict = {"rap_id": "row", "rap_settings": "{}", "rap_error": error}
    for arm in ("image", "text"):
        values = rewards.get(arm)
        row[f"rap_{arm}_rewards"] = values
        row[f"rap_{arm}_responses"] = values and [f"{arm} says {value}" for value in values]
        row[f"rap_{arm}_tokens"] = values and [1] * len(values)
        row[f"rap_{arm}_truncated"] = values and [False] * len(values)
    return row


def not_judged(arm: str, replies: str, reason: str) -> str:
    return f"not_judged: {replies} replies of the {arm} arm could not be graded: {reason}"


SLOW, STRANGE = "the verifier took longer than 5 s", "the gold answer cannot be compared with it"


def joined(image, text, of: tuple[int, int]):
    """The row of these goes, `of` so many attempts with and without the image."""
    return join_attempts({"image": image, "text": text}, dict(zip(("image", "text"), of, strict=True)))


def test_the_reason_is_that_of_the_arm_that_failed():
    """The other arm failed too in the same go, earlier or later, for another reason."""
    text_failed = piece(not_judged("text", "1 of 1", STRANGE), text=[None])
    image_failed = piece(not_judged("image", "1 of 1", SLOW), image=[None])
    both = joined([(range(1), image_failed)], [(range(1), text_failed)], of=(1, 1))
    assert both["rap_error"] == not_judged("image", "1 of 1", SLOW)
    first = piece(not_judged("text", "1 of 1", STRANGE), image=[1.0], text=[None])
    second = [(range(1), first), (range(1, 2), piece(not_judged("image", "1 of 1", SLOW), image=[None]))]
    assert joined(second, [(range(1), first)], of=(2, 1))["rap_error"] == not_judged("image", "1 of 2", SLOW)
    mended = piece(image=[1.0])
    assert joined([(range(1), mended)], [(range(1), text_failed)], of=(1, 1))["rap_error"] == not_judged(
        "text", "1 of 1", STRANGE
    )
    whole = piece(not_judged("image", "1 of 2", SLOW), image=[None, 1.0], text=[1.0, 1.0])
    later = piece(not_judged("text", "1 of 2", STRANGE), text=[None, 1.0])
    row = joined([(range(2), whole)], [(range(2), whole), (range(2, 4), later)], of=(2, 4))
    assert row["rap_error"] == not_judged("image", "1 of 2", SLOW)


def test_replies_that_could_not_be_graded_are_counted_over_all_goes():
    """Two goes with one each: 2 of 4, with the first reason."""
    first = piece(not_judged("image", "1 of 2", SLOW), image=[None, 1.0])
    second = piece(not_judged("image", "1 of 2", STRANGE), image=[0.0, None])
    row = joined([(range(2), first), (range(2, 4), second)], [], of=(4, 0))
    assert row["rap_image_rewards"] == [None, 1.0, 0.0, None]
    assert row["rap_error"] == not_judged("image", "2 of 4", SLOW)


def test_a_reason_for_attempts_that_are_not_taken_is_not_told():
    """Only the first attempt is wanted, and that was graded."""
    row = joined([(range(2), piece(not_judged("image", "1 of 2", SLOW), image=[1.0, None]))], [], of=(1, 0))
    assert (row["rap_image_rewards"], row["rap_error"]) == ([1.0], None)


@pytest.mark.parametrize("order", [1, -1])
def test_an_error_of_the_row_comes_before_replies_that_could_not_be_graded(order):
    """Whichever go came first."""
    pieces = [
        (range(1), piece(not_judged("text", "1 of 1", SLOW), text=[None])),
        (range(1, 2), piece("engine_failed: out of memory")),
    ]
    first, second = pieces[::order]
    row = joined([], [(range(1), first[1]), (range(1, 2), second[1])], of=(0, 2))
    assert row["rap_error"] == "engine_failed: out of memory"


def test_failed_attempts_are_null_among_those_that_succeeded():
    """An arm of which every go failed is null as a whole; one that was left out on purpose is an empty list."""
    failed = piece("engine_failed: out of memory")
    row = joined([(range(2), piece(image=[1.0, 0.0])), (range(2, 4), failed)], [(range(2), failed)], of=(4, 2))
    assert row["rap_image_rewards"] == [1.0, 0.0, None, None]
    assert row["rap_image_responses"] == ["image says 1.0", "image says 0.0", None, None]
    assert row["rap_text_rewards"] is None
    assert joined([(range(1), piece(image=[1.0]))], [], of=(1, 0))["rap_text_rewards"] == []


def test_an_arm_beside_one_that_was_asked_in_vain_is_null():
    """The row as a whole failed: nobody left the other arm out on purpose."""
    row = joined([], [(range(1), piece("engine_failed: out of memory"))], of=(0, 1))
    assert row["rap_image_rewards"] is row["rap_text_rewards"] is None


def test_attention_follows_the_replies_of_the_image_arm():
    """It has one entry per attempt, like the replies, and null where a go failed."""
    goes = [
        (range(2), {**piece(image=[1.0, 0.0]), "rap_attention": ["first", "second"]}),
        (range(2, 3), {**piece("engine_failed: out of memory"), "rap_attention": None}),
        (range(3, 4), {**piece(image=[1.0]), "rap_attention": ["fourth"]}),
    ]
    assert joined(goes, [], of=(4, 0))["rap_attention"] == ["first", "second", None, "fourth"]


def test_a_row_without_an_image_has_no_empty_image_arm():
    """It was not left out on purpose: there was nothing to ask about."""
    error = "no_image: the row has no image"
    row = joined([], [(range(1), piece(error, text=[1.0]))], of=(0, 1))
    assert (row["rap_image_rewards"], row["rap_text_rewards"], row["rap_error"]) == (None, [1.0], error)


def test_overlapping_goes_count_once():
    """A later go that begins before the end of the one before adds only what is new."""
    again = piece(image=[9.0, 1.0, 0.0])
    row = joined([(range(2), piece(image=[1.0, 0.0])), (range(1, 4), again)], [], of=(4, 0))
    assert row["rap_image_rewards"] == [1.0, 0.0, 1.0, 0.0]


def test_tokens_are_counted_as_far_as_they_are_known():
    """Null for a row or an arm counts as nothing; a reply that nobody has counted has a token per three letters."""
    arms = [([[3, None], None], [["abc", None], None]), ([[4], []], [["abc"], []])]
    assert count_tokens(arms) == 7
    assert count_tokens([([[None, 2]], [["six letters", "x"]])]) == 3 + 2
