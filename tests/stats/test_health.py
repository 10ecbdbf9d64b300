"""The health of evidence, worked out by hand."""

import json

import pytest
from datasets import Dataset, Features, List, Value

from hf_rap.stats.health import Health, check_health, health_of

NUMBERS, TEXTS, FLAGS = List(Value("float64")), List(Value("string")), List(Value("bool"))
BUILT_IN = json.dumps({"verifier": "hf_rap", "verifier_version": "1"})
PROSE = "I look at the picture for a long time and I think of many things that it may show, " * 3


def evidence(image, text=None, *, replies=None, cut=None, settings=BUILT_IN, adaptive=None):
    """Rows with these rewards; the replies are those of both arms."""
    rows = len(image)
    text = text or image
    columns = {
        "rap_image_rewards": image,
        "rap_text_rewards": text,
        "rap_image_responses": replies or [row and [r"\boxed{1}"] * len(row) for row in image],
        "rap_text_responses": replies or [row and [r"\boxed{1}"] * len(row) for row in text],
        "rap_image_truncated": cut or [row and [False] * len(row) for row in image],
        "rap_text_truncated": [row and [False] * len(row) for row in text],
        "rap_settings": [settings] * rows,
        "rap_adaptive": adaptive or [None] * rows,
    }
    types = {"rewards": NUMBERS, "responses": TEXTS, "truncated": FLAGS}
    features = Features({name: types.get(name.rpartition("_")[2], Value("string")) for name in columns})
    return Dataset.from_dict(columns, features)


def test_rows_that_are_never_and_always_solved():
    """Of four judged rows one is never and two are always solved; an attempt that was not judged is neither."""
    ds = evidence([[0.0, 0.0], [1.0, 1.0], [1.0, None], [1.0, 0.0], [None, None], None])
    health = check_health(ds)
    assert (health.never_solved, health.always_solved) == (0.25, 0.5)
    assert health.advice == (
        "50% of the rows are always solved with the image: they teach this model nothing. Take harder rows.",
    )


def test_a_model_that_is_too_weak():
    """Three of four rows are never solved."""
    (advice,) = check_health(evidence([[0.0, 0.0]] * 3 + [[1.0, 0.0]])).advice
    assert advice.startswith("75% of the rows were never solved with the image: this model is too weak to select with.")


def test_replies_that_were_cut_off():
    """Of the eight replies of both arms, two."""
    health = check_health(evidence([[1.0, 0.0]] * 2, cut=[[True, False], [True, False]]))
    assert health.cut == 0.25
    assert health.advice[0].startswith("25% of the replies were cut off at the token limit: raise --max-new-tokens")


@pytest.mark.parametrize(
    ("reply", "share"),
    [
        (r"\boxed{7}", 0.0),
        ("7", 0.0),
        (f"{PROSE}\n7", 0.0),
        (f"{PROSE}The answer is 7.", 0.0),
        (PROSE, 0.5),
        ("", 0.5),
        ("<think> I think and think", 0.5),
    ],
)
def test_replies_without_an_answer(reply, share):
    """Half of the replies are wrong and read like this; the others are right, whatever they look like."""
    assert check_health(evidence([[1.0, 0.0]], replies=[[PROSE, reply]])).no_answer == share


def test_what_somebody_else_graded_is_not_read():
    """A caption has no answer in our sense; nor is a reply that was cut off counted."""
    caption = json.dumps({"verifier": "anls", "verifier_version": "2"})
    assert check_health(evidence([[0.0]], replies=[[PROSE]], settings=caption)).no_answer is None
    assert check_health(evidence([[0.0]], [[1.0]], replies=[[PROSE]], cut=[[True]])).no_answer == 0.0


def test_rows_whose_attempts_were_spared_do_not_count():
    """Three wrong replies of five that were planned say nothing of the other two."""
    told = json.dumps({"mode": "exact", "attempts": 5})
    ds = evidence([[0.0] * 3, [1.0, 0.0, 0.0, 0.0, 0.0]], adaptive=[told, told])
    assert (check_health(ds).never_solved, check_health(ds).always_solved) == (0.0, 0.0)


def test_a_rerun_that_would_keep_other_rows():
    """Below a third, fewer than half of the kept rows would be kept again."""
    ds = evidence([[1.0, 0.0]])
    assert check_health(ds, agreement=1 / 3).advice == ()
    assert (
        check_health(ds, agreement=0.12)
        .advice[0]
        .startswith("12% is the expected agreement of a rerun: more attempts,")
    )


def test_it_prints_as_one_line_and_what_to_do():
    """And comes back from JSON; what is not known is left out."""
    health = check_health(evidence([[0.0, 0.0]]), agreement=0.5)
    lines = str(health).splitlines()
    assert lines[0] == (
        "Health: never solved 100%, always solved 0%, replies cut off 0%, without an answer 0%, agreement of a rerun 50%"
    )
    assert lines[1:] == [f"  {health.advice[0]}"]
    assert health_of(json.loads(json.dumps(health.as_dict()))) == health


def test_scores_alone_have_no_health():
    """Nothing is known, and that is what it says."""
    health = check_health(Dataset.from_dict({"rap_cde": [0.5]}))
    assert health == Health()
    assert str(health) == "Health: unknown, for there are no replies"
    assert check_health(evidence([None])).as_dict()["never_solved"] is None
