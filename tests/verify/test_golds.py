"""read_gold: what counts as right, and golds with which no reply can be compared."""

import math
import pickle
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from hf_rap.errors import RowError
from hf_rap.verify import Gold, judge, read_gold, spellings
from hf_rap.verify.golds import MAX_GOLD_WORDS, Accepted


@pytest.mark.parametrize(
    ("answer", "accepted"),
    [
        ("B", [("choice", "B")]),
        ("(c)", [("choice", "C")]),
        ("B. 30", [("choice", "B"), ("number", "30")]),
        ("A and C", [("choice", "AC")]),
        (True, [("yes_no", "yes")]),
        (np.bool_(False), [("yes_no", "no")]),
        (7, [("number", "7")]),
        (np.int64(7), [("number", "7")]),
        (0.1, [("number", "0.1")]),
        (1e-7, [("number", "1e-07")]),
        (Decimal("2.50"), [("number", "2.50")]),
        (Fraction(1, 3), [("number", "1/3")]),
        ("6 * 7 = 42\n#### 42", [("number", "42")]),
        ("<think>a\nb</think>\n<answer>42 cm</answer>", [("number", "42 cm")]),
        ("2x", [("math", "2x")]),
        ("\\text{no solution}", [("words", "no solution")]),
        ("x", [("words", "x")]),
        ("e", [("math", "e")]),
        ("ab", [("math", "ab")]),
        ("8:00 AM", [("time", "8:00 AM")]),
        ("3:5", [("number", "3:5")]),
        ("twenty-three", [("number", "twenty-three")]),
        ("AB \\parallel CD", [("words", "AB ∥ CD")]),
        ("none", [("words", "none")]),
        ("<image>\n\\boxed{18}", [("number", "18")]),
        ("\\includegraphics{a.png} The answer is 18", [("number", "18")]),
        (["42", None, ""], [("number", "42")]),
        (np.array(["1", "red"]), [("number", "1"), ("words", "red")]),
    ],
)
def test_gold_is_read_as_its_kind(answer, accepted):
    """Each answer gets one kind, whatever type it came in; an option with its text gets two."""
    assert read_gold(answer) == Gold(tuple(Accepted(*fields) for fields in accepted))


def test_gold_keeps_a_single_letter_name():
    """ "x = 12" is the number 12 under the name x."""
    assert read_gold("x = 12") == Gold((Accepted("number", "12", "x"),))


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (None, "is null"),
        (math.nan, "is not a finite number"),
        (np.float32("nan"), "is not a finite number"),
        (math.inf, "is not a finite number"),
        ("", "is empty or a placeholder"),
        (" \n", "is empty or a placeholder"),
        ("\\boxed{}", "is empty or a placeholder"),
        ("$$", "is empty or a placeholder"),
        ("N/A", "is empty or a placeholder"),
        ("None", "is empty or a placeholder"),
        ("<answer></answer>", "is empty or a placeholder"),
        ("答案见解析", "is empty or a placeholder"),
        ("详见解析", "is empty or a placeholder"),
        ("voir la solution", "is empty or a placeholder"),
        ("siehe Lösung", "is empty or a placeholder"),
        ("ver solución", "is empty or a placeholder"),
        ("解説参照", "is empty or a placeholder"),
        ("\\includegraphics[width=3cm]{a.png}", "is a picture or a link"),
        ("https://example.org/a", "is a picture or a link"),
        ([None, ""], "is null"),
        ("nan", "is empty or a placeholder"),
        ("-", "is empty or a placeholder"),
        ("see solution", "is empty or a placeholder"),
        ("(See the figure.)", "is empty or a placeholder"),
        ("略", "is empty or a placeholder"),
        ("<image>", "is a picture or a link"),
        ("![](answer.png)", "is a picture or a link"),
        ("\\frac{1}{", "is not a letter, number, expression or short text"),
        ("\\nonsense{3}", "is not a letter, number, expression or short text"),
        ("word " * (MAX_GOLD_WORDS + 1), f"is too long to be compared word by word (limit {MAX_GOLD_WORDS} words)"),
        ("x" * 81, "is too long to be compared word by word"),
        ("9 " * 50_001, "is longer than 100000 characters"),
        ([], "is an empty list"),
        ([["42"]], "is of type list"),
        ({"answer": 42}, "is of type dict"),
        (b"42", "is of type bytes"),
    ],
)
def test_gold_that_cannot_be_checked_is_refused(answer, what):
    """The message quotes the answer, says what is wrong with it and what to do."""
    with pytest.raises(RowError) as caught:
        read_gold(answer)
    assert caught.value.code == "gold_unreadable"
    assert what in str(caught.value)
    assert "Give a short final answer" in str(caught.value)


def test_gold_may_be_pickled_and_hashed():
    """Golds travel to worker processes and into caches."""
    gold = read_gold("2\\pi cm")
    assert pickle.loads(pickle.dumps(gold)) == gold
    assert len({gold, read_gold("2\\pi cm")}) == 1


def test_any_readable_gold_answers_itself():
    """As a reply, the text of a gold is the answer, also one that would be a hedge or a bound elsewhere."""
    golds = ["8m", "x", "<", "at least 5", "A or B", "5 or 7", "not red", "\\pm 3", "12 cm^2", "10:30", "e", "2x = 10"]
    golds += [
        "Yes",
        "A, C",
        "B. 30",
        "(3, 4)",
        "x > 3",
        "H_2O",
        "30°15'",
        "ratio 1:2",
        "\\frac{1}{2}",
        "between 5 and 7",
    ]
    for gold in golds:
        assert judge(gold, gold).reward == 1.0, gold
        assert judge(f"\\boxed{{{gold}}}", gold).reward == 1.0, gold


@pytest.mark.parametrize(
    "golds", [["Yes", "true"], ["B. 30"], ["$5$ cm"], ["x = 12"], np.array(["1/2", "half"]), ["7", None]]
)
def test_spellings_are_answers(golds):
    """Each way to write a gold is judged right."""
    for text in spellings(golds):
        assert judge(f"\\boxed{{{text}}}", golds).reward == 1.0


@pytest.mark.parametrize(("golds", "what"), [([], "an empty list"), (None, "null"), ([None], "null")])
def test_what_is_no_gold_has_no_spellings(golds, what):
    """The same sentence as of `read_gold`."""
    with pytest.raises(RowError, match=f"is {what}"):
        spellings(golds)
