"""What holds for every pair: nothing is raised, nothing depends on who asks, and no reply is paid twice."""

import json
import os
import random
import subprocess
import sys
import time
from fractions import Fraction
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hf_rap.errors import RowError
from hf_rap.verify import Judgement, Verdict, comparers, judge, mathematics, read_gold
from hf_rap.verify.writing import clean

ROOT = Path(__file__).parents[2]
CORRECT = Judgement(Verdict.CORRECT)
WRONG = Judgement(Verdict.WRONG)
PAIRS = [
    json.loads(line)
    for name in ("answers.jsonl", "answers_reported.jsonl", "answers_held_out.jsonl")
    for line in (ROOT / "tests" / "data" / name).read_text("utf-8").splitlines()
]
GOLDS = sorted({pair["gold"] for pair in PAIRS if isinstance(pair["gold"], str) and len(pair["gold"]) < 200})
EDITS = ("", " ", "\\", "{", "}", "$", "^", "_", "0", "9", "-", ".", ",", "(", ")", "or", "not", "\\frac", "!", "\n", "B", "\\boxed{", "=", "é", "\ud800")  # fmt: skip


def boxed(text: object) -> str:
    return f"\\boxed{{{text}}}"


def readable(answer: object) -> bool:
    try:
        read_gold(answer)
    except RowError:
        return False
    return True


INTEGERS = st.integers(-(10**12), 10**12)
FRACTIONS = st.builds(Fraction, st.integers(-10_000, 10_000), st.integers(1, 999))
DECIMALS = st.decimals(-(10**6), 10**6, places=4)
LATEX = st.sampled_from(["{top}/{bottom}", "\\frac{{{top}}}{{{bottom}}}", "\\dfrac{{{top}}}{{{bottom}}}"])


@given(
    INTEGERS,
    st.sampled_from(["{}", "{:,}", "{}.0", "${}$", "{}\\text{{ cm}}", "x = {}", "{} = x", "\\color{{red}}{{{}}}"]),
)
def test_same_integer_is_correct_and_the_next_one_wrong(value, form):
    """Whichever way it is written, in a box and behind a cue."""
    gold = read_gold(value)
    assert judge(boxed(form.format(value)), gold) == CORRECT
    assert judge(boxed(form.format(value + 1)), gold) == WRONG
    assert judge(f"The answer is {form.format(value)}. I hope this helps!", gold) == CORRECT


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


@given(st.integers(1, 999_999))
def test_number_words_are_their_numbers(value):
    """Up to a million, as they are written out in English."""
    assert judge(boxed(in_words(value)), value) == CORRECT
    assert judge(boxed(in_words(value)), value + 1) == WRONG


def in_words(value: int) -> str:
    ones = ["", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
    ones += ["thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
    tens = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
    if value < 20:
        return ones[value]
    if value < 100:
        return tens[value // 10 - 2] + ("-" + ones[value % 10] if value % 10 else "")
    if value < 1000:
        return ones[value // 100] + " hundred" + (" and " + in_words(value % 100) if value % 100 else "")
    return in_words(value // 1000) + " thousand" + (" " + in_words(value % 1000) if value % 1000 else "")


@given(
    st.text(max_size=200),
    st.sampled_from(["B", "yes", "42", "5 cm", "red cube", "(3, 4)", "\\sqrt{2}", "8:00 AM", "1:2"]),
)
@example("\\boxed{\\frac}", "\\sqrt{2}")
@example("\\boxed{1/0}", "42")
@example("\\boxed{\ud800}", "\\sqrt{2}")
@settings(deadline=None)
def test_no_reply_is_raised_or_unreadable(reply, gold):
    """Neither as it is nor in a box."""
    assert judge(reply, gold).reward is not None
    assert judge(boxed(reply), gold).reward is not None


@given(st.text(alphabet="0123456789+-*/^_{}()[]\\,.;=<>| xyzsqrtfacpi!", max_size=30))
@settings(deadline=None, max_examples=60)
def test_no_formula_is_raised_or_unreadable(formula):
    """The same for what looks like LaTeX, which goes to math-verify."""
    assert judge(boxed(formula), "\\sqrt{2}").reward is not None


@given(st.text(max_size=40))
@settings(deadline=None, max_examples=60)
def test_any_text_is_a_gold_or_is_refused(text):
    """With a RowError, and one that is read answers itself."""
    if readable(text):
        assert judge(text, text) == CORRECT


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


@pytest.mark.slow
def test_every_readable_gold_answers_itself():
    """As a reply, in a box, and in a list."""
    for gold in filter(readable, GOLDS):
        assert judge(gold, gold) == CORRECT, gold
        assert judge(gold, ["something else", gold]) == CORRECT, gold


def leaves_out(gold: str) -> bool:
    """A unit or a sign that a reply may leave out: "5" answers 5 cm, 5 m and, with a per cent sign, also 0.05."""
    return any(sign in gold for sign in ("%", "$", "°", "cm", " m", "percent", "apples", "units", "dollars", "liters"))


@pytest.mark.slow
def test_no_reply_is_paid_by_two_golds_that_disagree():
    """Every reply against every number, letter and word; but for what may be left out, and for option texts."""
    golds = [gold for gold in GOLDS if readable(gold) and not leaves_out(gold)]
    golds = [gold for gold in golds if read_gold(gold).accepted[0].kind not in ("math", "choice")]
    golds = random.Random(1).sample(golds, 60)
    replies = sorted(
        {pair["reply"] for pair in PAIRS if pair["reply"] and "question" not in pair and "%" not in pair["reply"]}
    )
    for reply in random.Random(2).sample(replies, 300):
        paid = [gold for gold in golds if judge(reply, gold) == CORRECT]
        for first, second in combinations(paid, 2):
            assert CORRECT in (judge(first, second), judge(second, first)), (reply, first, second)


@pytest.mark.exhaustive
def test_a_verdict_does_not_depend_on_the_calls_before():
    """Forwards with an empty cache, backwards with a full one, and in new children."""
    pairs = random.Random(2).sample([pair for pair in PAIRS if "\\" in str(pair["gold"])], 30)
    mathematics._answer.cache_clear()
    first = [judge(pair["reply"], pair["gold"]) for pair in pairs]
    again = [judge(pair["reply"], pair["gold"]) for pair in reversed(pairs)]
    assert again[::-1] == first
    mathematics._answer.cache_clear()
    comparers._forget()
    assert [judge(pair["reply"], pair["gold"]) for pair in pairs] == first


def mutated(count: int, seed: int) -> list[tuple[str, str]]:
    """Replies of the tables with a few edits, against golds of the tables."""
    chance = random.Random(seed)
    pairs = []
    for _ in range(count):
        reply, gold = chance.choice(PAIRS)["reply"] or "", chance.choice(GOLDS)
        for _ in range(chance.randrange(4)):
            place = chance.randrange(len(reply) + 1)
            reply = reply[:place] + chance.choice(EDITS) + reply[place + chance.randrange(3) :]
        if chance.random() < 0.3:
            reply = boxed(
                "".join(chance.choice("0123456789+-*/^_{}(),.=<>|xyz \\!") for _ in range(chance.randrange(40)))
            )
        pairs.append((reply, gold))
    return pairs


FUZZ = """
import json, os, resource, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from hf_rap.verify import comparers, judge
with open(sys.argv[1]) as file:
    pairs = json.load(file)
over, peak, slowest = threading.Event(), [0], [0.0]
def held(pid):
    try:
        with open(f"/proc/{pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
def watch():
    while not over.wait(0.05):
        children = [comparer.process.pid for comparer in tuple(comparers._current.all)] if comparers._current else []
        peak[0] = max(peak[0], sum(map(held, [os.getpid(), *children])))
def judged(pair):
    start = time.thread_time()
    judgement = judge(*pair)
    slowest[0] = max(slowest[0], time.thread_time() - start)
    return [judgement.verdict.value, judgement.reason]
threading.Thread(target=watch).start()
try:
    with ThreadPoolExecutor(8) as pool:
        judgements = list(pool.map(judged, pairs))
finally:
    over.set()
print(json.dumps({"judgements": judgements, "peak": peak[0], "slowest": slowest[0]}))
"""


def fuzz(count: int, seed: int, folder: Path) -> None:
    """No exception, none that takes long, under 500 MB with the children, the same judgements as in this thread."""
    pairs = mutated(count, seed)
    (folder / "pairs.json").write_text(json.dumps(pairs))
    start = time.monotonic()
    process = subprocess.run(
        [sys.executable, "-W", "error", "-c", FUZZ, str(folder / "pairs.json")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stderr == ""
    report = json.loads(process.stdout)
    print(
        f"{count:,} pairs in {time.monotonic() - start:.0f} s, {report['peak'] / 2**20:.0f} MB, slowest {report['slowest']:.2f} s in its thread"
    )
    assert report["peak"] < 500 * 2**20
    assert report["slowest"] < 1
    numbers = random.Random(seed).sample(range(count), min(count, 200))
    for number in numbers:
        judgement = judge(*pairs[number])
        assert [judgement.verdict.value, judgement.reason] == report["judgements"][number], pairs[number]
    assert {verdict for verdict, _ in report["judgements"]} <= {"correct", "wrong", "unreadable"}


@pytest.mark.slow
def test_random_pairs_in_eight_threads(tmp_path):
    """A few hundred of them."""
    fuzz(200, 3, tmp_path)


@pytest.mark.exhaustive
def test_ten_thousand_random_pairs_in_eight_threads(tmp_path):
    """All in one process."""
    fuzz(10_000, 4, tmp_path)


@pytest.mark.exhaustive
def test_verdicts_under_load():
    """With ten busy processes beside them, slow and ordinary replies get the same judgements."""
    replies = [boxed(text) for text in ("\\int_0^1 x^{x^x} dx", "\\sqrt{7}", "\\tan(\\tan(\\tan(x)))", "9^{9^{9^9}}")]
    replies += [pair["reply"] for pair in PAIRS if pair.get("kind") == "hostile maths"]
    alone = [judge(reply, "\\sqrt{7}") for reply in replies]
    load = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(10)]
    try:
        mathematics._answer.cache_clear()
        assert [judge(reply, "\\sqrt{7}") for reply in replies] == alone
    finally:
        for process in load:
            process.kill()
            process.wait()
