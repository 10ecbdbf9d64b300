"""verify: the answer in a reply against the gold answer."""

from __future__ import annotations

import json
import math
import pickle
import signal
import subprocess
import sys
import threading
import time
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hf_rap.errors import RowError
from hf_rap.verify import Gold, Judgement, Verdict, judge, read_gold
from hf_rap.verify.finding import Found, clean, find_answer, options_in
from hf_rap.verify.golds import MAX_GOLD_WORDS, Accepted
from hf_rap.verify.quantities import last_quantity, read_quantity

CORRECT = Judgement(Verdict.CORRECT)
WRONG = Judgement(Verdict.WRONG)
PAIRS = [
    json.loads(line) for line in (Path(__file__).parents[1] / "data" / "answers.jsonl").read_text("utf-8").splitlines()
]


def boxed(text: object) -> str:
    return f"\\boxed{{{text}}}"


# Whole judgements


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair['gold']!r} <- {pair['reply']!r}")
def test_pairs_get_the_expected_verdict(pair):
    """Every (gold, reply) of tests/data/answers.jsonl gets the verdict that stands beside it."""
    assert judge(pair["reply"], pair["gold"], question=pair.get("question", "")).verdict.value == pair["expected"]


def test_pairs_hold_every_verdict_many_times():
    """The table is not one-sided: a verifier that always says the same fails a large part of it."""
    verdicts = [pair["expected"] for pair in PAIRS]
    assert len(PAIRS) >= 250
    assert min(verdicts.count("correct"), verdicts.count("wrong")) > len(PAIRS) / 4
    assert verdicts.count("unreadable") >= 5


def test_reward_follows_the_verdict():
    """Unknown is None, not 0."""
    assert [Judgement(verdict).reward for verdict in Verdict] == [1.0, 0.0, None]


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("", "no answer in the reply"),
        (" \n ", "no answer in the reply"),
        ("<think>It is 42", "no answer in the reply"),
        ("<think>It is 42</think>", "no answer in the reply"),
        ("\\boxed{}", "no answer in the reply"),
        ("\\boxed{42", "no answer in the reply"),
        ("\\boxed{" + "9" * 2001 + "}", "no answer in the reply"),
        ("I went on and on about the shapes " * 5, "no answer in the reply"),
        ("\\boxed{41}", ""),
        ("dots", ""),
    ],
)
def test_wrong_replies_say_whether_there_was_an_answer(reply, reason):
    """A reply without an answer is WRONG with a reason; a wrong answer needs none."""
    assert judge(reply, 42) == Judgement(Verdict.WRONG, reason)


def test_truncated_reply_is_wrong_whatever_it_says():
    """A reply cut off by the token limit has no answer."""
    assert judge(boxed(42), 42, truncated=True) == Judgement(Verdict.WRONG, "truncated")


def test_failed_attempt_is_unreadable():
    """No reply is not a wrong reply, also when it is called truncated."""
    assert judge(None, 42) == Judgement(Verdict.UNREADABLE, "no reply")
    assert judge(None, 42, truncated=True).reward is None


def test_unreadable_gold_is_unreadable_with_its_reason():
    """`judge` takes raw gold answers; one that cannot be read gives no reward, also for truncated replies."""
    judgement = judge(boxed(1), None, truncated=True)
    assert judgement.verdict is Verdict.UNREADABLE
    assert judgement.reason.startswith("gold_unreadable: the gold answer None is null.")


def test_any_of_several_gold_answers_counts():
    """A list holds alternatives, read once and reused."""
    gold = read_gold(["car", "automobile", 7])
    assert [judge(boxed(answer), gold).reward for answer in ("Car", "automobile", "7.0", "bus")] == [1.0, 1.0, 1.0, 0.0]


# Gold answers


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
        (np.array(["1", "red"]), [("number", "1"), ("words", "red")]),
    ],
)
def test_gold_is_read_as_its_kind(answer, accepted):
    """Each answer gets one kind, whatever type it came in; an option with its text gets two."""
    assert read_gold(answer) == Gold(tuple(Accepted(*one) for one in accepted))


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
        (["42", None], "is null"),
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


# Pieces


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (r"a \boxed{1} b \boxed{\frac{1}{2}} c", Found(r"\frac{1}{2}", marked=True)),
        (r"\boxed{\{1, 2\}}", Found(r"\{1, 2\}", marked=True)),
        ("<answer>1</answer> or <answer>2</answer>", Found("2", marked=True)),
        ("The answer is 1.\nThe answer is 2. That is all.", Found("2", marked=True)),
        ("**Answer:**\n\n(B) 30", Found("(B) 30", marked=True)),
        ("first\n\nlast\n", Found("last", marked=False, opening="first")),
        ("", Found("", marked=False)),
    ],
)
def test_find_answer_takes_the_last_marked_one(text, found):
    """Marks come before the last line, and the last of a kind counts."""
    assert find_answer(text) == found


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("$-\\dfrac12$", "-\\frac{1}{2}"),
        ("\u2212\uff15", "-5"),
        ("12 cm²", "12 cm^{2}"),
        ("2½", "2 1/2"),
        ("30^{\\circ}", "30°"),
        ("5\\text{ m}.", "5~ m"),
        ("\\left(1,\\,2\\right)", "(1, 2)"),
        ("**B**", "B"),
        ("\\$5", "$5"),
        ("50\\%", "50%"),
        ("1{,}000", "1,000"),
    ],
)
def test_clean_writes_one_thing_in_one_way(text, plain):
    """Layout, look-alikes and markdown go; an upright text keeps a tie before it."""
    assert clean(text) == plain


@pytest.mark.parametrize(
    ("question", "options"),
    [
        ("How many? (A) 30 (B) 40", {"A": "30", "B": "40"}),
        ("How many?\nA. 30\nB. 40\nC. 50", {"A": "30", "B": "40", "C": "50"}),
        ("How many? Choices: A) 30, B) 40", {"A": "30", "B": "40"}),
        ("How many?\nA: 30 cm\nB: 40 cm\nAnswer with a letter.", {"A": "30 cm", "B": "40 cm"}),
        ("Is it point (A) or point (B)?", {}),
        ("Where does (B) meet (A)?", {}),
        ("(A) 30 (B) 30", {}),
        ("(A) 30", {}),
        ("(A) (B)", {}),
        ("(A) 1 (B) 2 (A) 3", {}),
        ("How many?", {}),
    ],
)
def test_options_are_read_only_when_they_are_plain(question, options):
    """Letters must run from A and each have a text of its own; otherwise there are no options."""
    assert options_in(question) == options


@pytest.mark.parametrize("text", ["3 or 5", "5x", "2 pi", "x", "", "1/0", "3, 5", "5!", "2 1", "1e9999"])
def test_what_is_no_quantity_is_not_read_as_one(text):
    """A quantity is the whole text or nothing."""
    assert read_quantity(text) is None


def test_last_quantity_leaves_longer_expressions_alone():
    """A number inside a product, a sum or a choice is not the answer."""
    assert [last_quantity(text) for text in ("it is 5x", "it is 3 - 5", "it is 3 or 5", "x^5", "none")] == [None] * 5


# Traps


@pytest.mark.parametrize("letter", "ABCDEFGH")
def test_a_bare_letter_is_not_met_by_anything_else(letter):
    """A verifier that cannot parse the gold "A" must not pass every reply (or fail every one)."""
    replies = [
        "",
        "x",
        "42",
        boxed(42),
        boxed("Z"),
        "a cat",
        "The answer is a dog.",
        boxed("\\frac{1}{2}"),
        "I am a bee",
        "Yes",
    ]
    assert [judge(reply, letter).reward for reply in replies] == [0.0] * len(replies)
    assert judge(boxed(letter), letter) == CORRECT


@pytest.mark.parametrize(
    "reply",
    [
        "\\boxed{" * 15_000,
        "\\boxed{" + "{" * 50_000 + "}" * 50_000 + "}",
        "\\boxed{" + "\\text{" * 300 + "}" * 300 + "}",
        "\\boxed{" + "\\frac{1}{" * 200 + "}" * 200 + "}",
        "answer to the " * 8_000,
        "The answer is " * 8_000,
        "9" * 100_000,
        "9 " * 50_000,
        "1," * 50_000,
        "so " * 30_000,
        "$" * 100_000,
        "\\" * 100_000,
        "-" * 100_000,
        "yes, " * 20_000,
        "(A)" * 30_000,
    ],
    ids=lambda reply: f"{reply[:14]!r} x {len(reply)}",
)  # fmt: skip
def test_very_long_replies_are_judged_in_time(reply):
    """100,000 characters of anything take well under a second for every kind of gold answer."""
    golds = [read_gold(gold) for gold in ("B", "yes", "41", "red cube", "x^2+1")]
    start = time.perf_counter()
    assert [judge(reply, gold).verdict for gold in golds[:1] + golds[2:]] == [Verdict.WRONG] * 4
    judge(reply, golds[1])
    assert time.perf_counter() - start < 3


def test_timeout_is_unreadable_and_never_wrong():
    """math-verify itself answers False when it runs out of time."""
    assert judge(boxed("9^{9^{9^{9}}}"), "5", timeout_seconds=1) == Judgement(Verdict.UNREADABLE, "verifier timed out")


def test_alarm_handler_is_put_back():
    """The time limit uses SIGALRM; whoever else does finds their handler again."""

    def handler(*_):
        raise AssertionError

    before = signal.signal(signal.SIGALRM, handler)
    try:
        assert judge(boxed("\\sqrt{25}+7-7"), "5") == CORRECT
        assert signal.getsignal(signal.SIGALRM) is handler
    finally:
        signal.signal(signal.SIGALRM, before)


def test_worker_threads_judge_as_well():
    """Signals work in the main thread only; elsewhere cheap comparisons run without a limit, others not at all."""
    got = []
    replies = [boxed("\\sqrt{1764}"), boxed("\\sqrt{1765}"), boxed("9^{9^{9^{9}}}")]
    thread = threading.Thread(target=lambda: got.extend(judge(reply, "42") for reply in replies))
    thread.start()
    thread.join(timeout=30)
    assert got == [CORRECT, WRONG, Judgement(Verdict.UNREADABLE, "too expensive to check")]


def test_import_loads_no_sympy():
    """Only answers that are more than a number, a letter or words load math-verify and sympy."""
    code = (
        "import sys\nfrom hf_rap.verify import judge\n"
        "assert judge('\\\\boxed{0.5 cm}', '1/2').reward == 1.0\nassert judge('B', 'B').reward == 1.0\n"
        "assert judge('red', 'blue').reward == 0.0\nprint('sympy' in sys.modules)\n"
        "judge('\\\\boxed{\\\\sqrt{4}}', '2')\nprint('sympy' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "True"]


# Properties

INTEGERS = st.integers(-(10**12), 10**12)
FRACTIONS = st.builds(Fraction, st.integers(-10_000, 10_000), st.integers(1, 999))
DECIMALS = st.decimals(-(10**6), 10**6, places=4)
LATEX = st.sampled_from(["{top}/{bottom}", "\\frac{{{top}}}{{{bottom}}}", "\\dfrac{{{top}}}{{{bottom}}}"])


@given(INTEGERS, st.sampled_from(["{}", "{:,}", "{}.0", "${}$", "{}\\text{{ cm}}", "x = {}"]))
def test_same_integer_is_correct_and_the_next_one_wrong(value, form):
    """Whichever way it is written."""
    gold = read_gold(value)
    assert judge(boxed(form.format(value)), gold) == CORRECT
    assert judge(boxed(form.format(value + 1)), gold) == WRONG


@given(FRACTIONS, LATEX)
def test_same_fraction_is_correct_and_one_more_is_wrong(value, form):
    """Fractions are exact."""
    gold = read_gold(str(value))
    more = value + 1
    assert judge(boxed(form.format(top=value.numerator, bottom=value.denominator)), gold) == CORRECT
    assert judge(boxed(form.format(top=more.numerator, bottom=more.denominator)), gold) == WRONG


@given(DECIMALS)
def test_same_decimal_is_correct_and_one_more_is_wrong(value):
    """Decimals are exact, trailing zeros or not, and equal to their fraction."""
    gold = read_gold(str(value))
    assert judge(boxed(value), gold) == CORRECT
    assert judge(boxed(value.normalize()), gold) == CORRECT
    assert judge(boxed(Fraction(value)), gold) == CORRECT
    assert judge(boxed(value + 1), gold) == WRONG


@given(st.text(max_size=200), st.sampled_from(["B", "yes", "42", "5 cm", "red cube", "(3, 4)", "\\sqrt{2}"]))
@example("\\boxed{\\frac}", "\\sqrt{2}")
@example("\\boxed{1/0}", "42")
@example("\\boxed{\ud800}", "\\sqrt{2}")
@settings(deadline=None)
def test_no_reply_makes_it_raise(reply, gold):
    """Neither as it is nor in a box."""
    assert judge(reply, gold).verdict in Verdict
    assert judge(boxed(reply), gold).verdict in Verdict


@given(st.text(alphabet="0123456789+-*/^_{}()[]\\,.;=<>| xyzsqrtfacpi", max_size=30))
@settings(deadline=None, max_examples=60)
def test_no_formula_makes_it_raise(formula):
    """The same for what looks like LaTeX, which goes to math-verify."""
    assert judge(boxed(formula), "\\sqrt{2}", timeout_seconds=1).verdict in Verdict


@given(st.sampled_from("ABCDEFGH"), st.text(max_size=100))
def test_text_without_the_letter_never_answers_with_it(letter, text):
    """However it is put, in a box or not."""
    text = "".join(char for char in text if letter not in clean(char).upper())
    assert judge(text, letter).reward == 0.0
    assert judge(boxed(text), letter).reward == 0.0


@given(
    st.sampled_from("ABCDEFGH"),
    st.lists(
        st.sampled_from(["a", "an", "the", "cat", "dog", "is", "on", "red", "and", "or", "it", "not"]), min_size=2
    ),
)
def test_prose_without_an_option_is_no_choice(letter, words):
    """The article "a" is not the option A."""
    assert judge(f"The answer is {' '.join(words)}", letter).reward == 0.0
