"""judge: verdicts, reasons, rewards, and replies that must not be paid."""

import subprocess
import sys

import pytest

from hf_rap.verify import Judgement, Verdict, judge, judge_each, read_gold

CORRECT = Judgement(Verdict.CORRECT)
WRONG = Judgement(Verdict.WRONG)


def boxed(text: object) -> str:
    return f"\\boxed{{{text}}}"


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
        ("<answer>" + "9" * 2001 + "</answer>", "no answer in the reply"),
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


def test_equal_replies_are_judged_once_and_all_get_their_judgement():
    """Also where one of them was truncated, and with the options as data."""
    replies = [("B", False), ("B", True), ("yes", False), ("B", False), ("A", False)]
    rewards = [judgement.reward for judgement in judge_each(replies, "B", options=["no", "yes"])]
    assert rewards == [1.0, 0.0, 1.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("reply", "gold", "reason"),
    [
        (boxed("9^{9^{9^9}}"), "5", "too_large_to_compare"),
        (boxed("x+" * 300 + "x"), "x^2+1", "too_large_to_compare"),
        (boxed("\\frac{1}{0}"), "\\sqrt{2}", "cannot_be_evaluated"),
        (boxed("\\frac{}"), "\\sqrt{2}", "cannot_be_evaluated"),
        (boxed("\\nonsense{3}!"), "\\sqrt{2}", "cannot_be_evaluated"),
        (boxed("1/0"), "42", "cannot_be_evaluated"),
    ],
)
def test_a_reply_cannot_make_itself_unreadable(reply, gold, reason):
    """What cannot be parsed, computed or held is WRONG, so that no reply escapes its penalty."""
    assert judge(reply, gold) == Judgement(Verdict.WRONG, reason)


@pytest.mark.parametrize(
    ("reply", "paid"),
    [
        ("5, maybe 7", []),
        (boxed("5, maybe 7"), []),
        ("The answer is 5, or 7.", ["5, 7"]),
        ("The answer is 5. The answer is 7.", ["7"]),
        (boxed("5") + " " + boxed("7"), ["5, 7"]),
        (boxed("5") + " and " + boxed("7"), ["5, 7"]),
        ("<answer>5</answer><answer>7</answer>", ["5, 7"]),
        ("There are 5 dogs and 7 cats.", []),
        ("between 5 and 7", []),
        ("at least 5", []),
        ("5 squared", ["25"]),
        ("1:5", ["1:5", "0.2"]),
        ("It is 5!", ["5"]),
        (boxed("5!"), ["120"]),
        ("Yes and no", []),
        ("red or blue", []),
        (boxed("5, 7"), ["5, 7", "7, 5"]),
    ],
)
def test_what_a_reply_is_paid_for(reply, paid):
    """Among these golds; several candidates are paid by none of them."""
    golds = ["5", "7", "1", "25", "120", "0.2", "1:5", "5, 7", "7, 5", "yes", "no", "red", "blue"]
    agreed = [gold for gold in golds if judge(reply, gold) == CORRECT]
    assert set(agreed) == {gold for gold in golds if gold in paid or (gold in ("5, 7", "7, 5") and "5, 7" in paid)}


def test_importing_starts_no_process_and_loads_no_sympy():
    """Plain numbers, letters and words need no child; in this process sympy is never loaded."""
    code = (
        "import sys, subprocess\nstarted = []\nfirst = subprocess.Popen.__init__\n"
        "subprocess.Popen.__init__ = lambda self, *a, **k: (started.append(1), first(self, *a, **k))[1]\n"
        "from hf_rap.verify import judge\n"
        "assert judge('\\\\boxed{0.5 cm}', '1/2').reward == 1.0\nassert judge('B', 'B').reward == 1.0\n"
        "assert judge('red', 'blue').reward == 0.0\nassert judge('There are 12 dots.', 12).reward == 1.0\n"
        "print(len(started))\n"
        "assert judge('\\\\boxed{\\\\sqrt{4}}', '2').reward == 1.0\nprint(len(started), 'sympy' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["0", "1", "False"]
