"""Replies that try to stop, slow down or fool the verifier: each is WRONG within the limit, in threads too."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from hf_rap.verify import Verdict, judge, mathematics, read_gold

pytestmark = pytest.mark.slow  # each uses up its processor time

GOLDS = [read_gold(gold) for gold in ("42", "\\sqrt{2}", "x^2+1", "B", "red cube", "(1,2)", "2\\pi cm")]
LONG = 1_000_000


def box(text: str) -> str:
    return f"\\boxed{{{text}}}"


MATHS = [
    box(text)
    for text in (
        "9^{9^{9^{9}}}",
        "10^{(5^{5^{5^{5^{5}}} \\cdot \\log_{10}(5)} - 4)}",
        "2003^{2002^{2001}}",
        "2^{-9^{9^{9}}}",
        "((((9!)!)!)!)!",
        "999999999!",
        "\\binom{10^9}{10^8}",
        "\\prod_{k=1}^{10^8} k",
        "\\sum_{k=1}^{10^9} k^{k}",
        "\\sum_{k=1}^{\\infty} \\frac{1}{k^{k^{k}}}",
        "\\int_0^1 x^{x^x} dx",
        "\\int_{0}^{1} \\frac{\\ln(1+x^{2+\\sqrt3})}{1+x} dx",
        "\\lim_{x\\to\\infty} (1+1/x)^{x^{x}}",
        "(a+b+c+d+e+f)^{60}",
        "(x+1)^{5000}",
        "(x+y)^{100}(x-y)^{100}",
        "x^{1000000}+x^{999999}",
        "\\tan(\\tan(\\tan(\\tan(\\tan(\\tan(x))))))",
        "\\tan(\\tan(\\tan(\\tan(7^{77}))))",
        "\\sin(10^{10^{10}})",
        "e^{e^{e^{e^{e}}}}",
        "\\log(\\log(\\log(9^{9^9})))",
        "x^{x^{x^{x^{x^{x^{x}}}}}}",
        "\\sqrt[100]{2}+\\sqrt[99]{3}+\\sqrt[98]{5}",
        "\\lfloor 10^{20000}/(10^{100}+3) \\rfloor",
        "1000000^{1000000}",
        "2**99999999",
        "\\frac{\\frac{1}{0}}{0}",
        "\\infty-\\infty",
        "0^0",
        "|||||||x|||||||",
        "\\frac{1}{1+" * 40 + "x" + "}" * 40,
        "\\sqrt{" * 60 + "3" + "}" * 60,
        "(" * 200 + "1" + ")" * 200,
        "1" + "+1" * 150,
        "\\{" * 12 + "1" + "\\}" * 12,
        "\x00\x01\ud800",
        "1e999999999",
    )
]
TEXTS = [
    "\\boxed{" * 15_000,
    "\\boxed{" + "{" * 50_000 + "}" * 50_000 + "}",
    "\\boxed{" + "9" * LONG + "}",
    "\\boxed{" + "\\text{" * 300 + "}" * 300 + "}",
    "answer to the " * 80_000,
    "The answer is " * 80_000,
    "<answer>" * 100_000,
    '{"answer": "' * 20_000,
    "9" * LONG,
    "9 " * (LONG // 2),
    "1," * (LONG // 2),
    "so " * 30_000,
    "$" * LONG,
    "\\" * LONG,
    "-" * LONG,
    "not " * 200_000,
    "yes, " * 20_000,
    "(A)" * 30_000,
    "A. or " * 100_000,
    "the option " * 80_000,
    "twenty-" * 100_000,
    "one hundred " * 50_000,
    "is 1:2:3:4:5:" * 50_000,
    "\\text{" * 100_000,
    "((((" * 200_000,
    "**" * 300_000,
    "x_" * 200_000,
    "\n".join(["A. x"] * 50_000),
    "<think>" * 100_000,
    "<|a|>" * 100_000,
]


@pytest.mark.parametrize("reply", MATHS, ids=lambda reply: reply[:40].encode("ascii", "replace").decode())
def test_hostile_mathematics_is_wrong(reply):
    """For an expression, a letter and words."""
    for gold in ("\\sqrt{2}", "B", "red cube"):
        judgement = judge(reply, gold)
        assert judgement.verdict is Verdict.WRONG, (gold, judgement)


@pytest.mark.exhaustive
@pytest.mark.parametrize("reply", MATHS, ids=lambda reply: reply[:40].encode("ascii", "replace").decode())
def test_hostile_mathematics_is_wrong_for_every_gold(reply):
    """Numbers, expressions, points, lengths."""
    assert [judge(reply, gold).verdict for gold in GOLDS] == [Verdict.WRONG] * len(GOLDS)


@pytest.mark.parametrize("reply", TEXTS, ids=lambda reply: f"{reply[:14]!r} x {len(reply)}")
def test_very_long_replies_are_judged_in_time(reply):
    """A million characters of anything take well under a second of processor time for a gold of any kind."""
    for gold in GOLDS:
        start = time.thread_time()
        assert judge(reply, gold).verdict is Verdict.WRONG
        assert time.thread_time() - start < 2


WORDS = (  # noqa: SIM905 - words beside each other
    "A B 5 1 x f is are and or not the of in to with than because maybe both either so yes no red option ratio squared cm m half past "
    r"twenty , ; ( ) [ ] { } . - + = $ \ / ^ _ ° % : ! ? & | ** ~ # ∴ 选 是 。 \text{ \frac \boxed{ <answer> \begin{cases} \end{cases} ####"
).split()


@pytest.mark.parametrize("count", [40, pytest.param(5000, marks=pytest.mark.exhaustive)])
def test_a_few_words_again_and_again_are_read_in_time(count):
    """No regular expression tries all ways to read them: a list of "A and A and A" once took for ever."""
    chance = random.Random(count)
    question = "Which? (A) red (B) blue"
    for unit in [
        "A and ",
        *("".join(chance.choice(WORDS) + chance.choice(["", " "]) for _ in range(3)) for _ in range(count)),
    ]:
        text = (
            chance.choice(["", "\\boxed{", "The answer is "])
            + unit * (1900 // len(unit))
            + chance.choice(["", " !", "}"])
        )
        for gold in ("42", "B", "red cube", "1, 2"):
            start = time.thread_time()
            assert judge(text, gold, question=question).reward is not None
            assert time.thread_time() - start < 1, text[:40]


def test_other_threads_go_on_judging():
    """While one thread judges a page of hostile replies, another gets every ordinary verdict right."""
    over = threading.Event()
    right = []

    def ordinary():
        number = 2
        while not over.is_set():
            right.append(judge(box(f"\\sqrt{{{number * number}}}"), str(number)).reward == 1.0)
            number += 1

    thread = threading.Thread(target=ordinary)
    thread.start()
    try:
        with ThreadPoolExecutor(1) as hostile:
            verdicts = list(hostile.map(lambda reply: judge(reply, "\\sqrt{7}").verdict, MATHS[::4]))
    finally:
        over.set()
        thread.join()
    assert set(verdicts) == {Verdict.WRONG}
    assert len(right) >= 5
    assert all(right)


def test_hostile_replies_get_the_same_judgement_in_every_thread():
    """Reason and all, in another order."""
    replies = MATHS[::4]
    alone = {reply: judge(reply, "\\sqrt{11}") for reply in replies}
    mathematics._answer.cache_clear()
    with ThreadPoolExecutor(4) as pool:
        together = dict(
            zip(reversed(replies), pool.map(lambda reply: judge(reply, "\\sqrt{11}"), reversed(replies)), strict=True)
        )
    assert together == alone
