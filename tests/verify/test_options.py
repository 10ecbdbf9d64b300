"""Multiple choice: options of a question, and which of them an answer names."""

import pytest

from hf_rap.verify import judge, read_gold
from hf_rap.verify.golds import Accepted
from hf_rap.verify.options import Choice, behind_list, choice_in_lines, option_named, read_choice, read_options

COLOURS = {"A": "red", "B": "blue", "C": "green"}
LONG = [
    "because the moon reflects the light of the sun and turns around the earth once in a month",
    "because the shadow of the earth falls on the moon in every night of the whole long month",
]


@pytest.mark.parametrize(
    ("question", "options"),
    [
        ("How many? (A) 30 (B) 40", {"A": "30", "B": "40"}),
        ("How many?\nA. 30\nB. 40\nC. 50", {"A": "30", "B": "40", "C": "50"}),
        ("How many? Choices: A) 30, B) 40", {"A": "30", "B": "40"}),
        ("How many?\nA: 30 cm\nB: 40 cm\nAnswer with a letter.", {"A": "30 cm", "B": "40 cm"}),
        ("Q: How many?\nOptions:\nA) 30\nB) 40", {"A": "30", "B": "40"}),
        ("Which vertex? (A) D (B) C", {"A": "D", "B": "C"}),
        ("In figure (A), how many? (A) 30 (B) 40", {"A": "30", "B": "40"}),
        ("Is it point (A) or point (B)?", {}),
        ("Where does (B) meet (A)?", {}),
        ("(A) 30 (B) 30", {}),
        ("(A) 30", {}),
        ("(A) (B)", {}),
        ("(A) 1 (B) 2 (A) 3", {}),
        ("How many? a) 30 b) 40", {"A": "30", "B": "40"}),
        ("How many?\n(a) 30\n(b) 40", {"A": "30", "B": "40"}),
        ("How many dots are in (A) and (B) together?", {}),
        ("Figures (a), (b) and (c) show dots. How many?", {}),
        ("Is f(a) = f(b)?", {}),
        ("How many?", {}),
    ],
)
def test_options_are_read_only_when_they_are_plain(question, options):
    """Letters must run from A and each have a text of its own; otherwise there are no options."""
    assert read_options(question) == options


def test_options_as_data_go_before_the_question():
    """A column of texts, with or without letters of its own; twelve of them reach L."""
    assert read_options("(A) x (B) y", ["no", "yes"]) == {"A": "no", "B": "yes"}
    assert read_options("", ["A) no", "B) yes"]) == {"A": "no", "B": "yes"}
    assert read_options("", ["A cat", "A dog"]) == {"A": "A cat", "B": "A dog"}
    assert read_options("", [str(number) for number in range(12)])["L"] == "11"
    assert read_options("(A) x (B) y", []) == {}


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("B", Choice("B")),
        ("(b)", Choice("B")),
        ("[B].", Choice("B")),
        ("Option B", Choice("B")),
        ("K", Choice("K")),
        ("k", None),
        ("B. 30", Choice("B", "30")),
        ("(B), no", Choice("B", "no")),
        ("B - blue", Choice("B", "blue")),
        ("B (blue)", Choice("B", "blue")),
        ("B: 30", Choice("B", "30")),
        ("B、蓝", Choice("B", "蓝")),
        ("(B)blue", Choice("B", "blue")),
        ("D, not B", Choice("D")),
        ("(B) blue, not (A) red", Choice("B", "blue")),
        ("A, C", Choice("AC")),
        ("C and A", Choice("AC")),
        ("(A) (B) (C) (D)", Choice("ABCD")),
        ("ACD", Choice("ACD")),
        ("A. or D", None),
        ("A or B", None),
        ("B?A", None),
        ("A) 30 or B) 40", None),
        ("not B", None),
        ("(B) is incorrect", None),
        ("a cat", None),
        ("A cat", None),
        ("B - 3", None),
        ("P(1,2)", None),
    ],
)
def test_choices_as_people_write_them(text, choice):
    """A whole answer, without the question's options."""
    assert read_choice(text) == choice


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("B blue", Choice("B", "blue")),
        ("blue (B)", Choice("B", "blue")),
        ("B red", None),
        ("b. blue", Choice("B", "blue")),
        ("b. red", None),
        ("c", Choice("C")),
        ("d", None),
    ],
)
def test_choices_with_the_options_known(text, choice):
    """A letter directly before its text counts only when the text is that option's."""
    assert read_choice(text, COLOURS) == choice


@pytest.mark.parametrize(
    ("reply", "letters"),
    [
        ("B\n\nExplanation: A is shorter than B.", "B"),
        ("I'd go with B.", "B"),
        ("Thus, B is correct.", "B"),
        ("Option A is wrong, so we choose option B.", "B"),
        ("A is incorrect.\nB is incorrect.\nSo it's C.", "C"),
        ("选项B正确", "B"),
        ("A选项是错误的", ""),
        ("Not (B).", ""),
        ("Neither (A) nor (B).", ""),
        ("The angle A is right-angled.", ""),
        ("(A) or (B)", "AB"),
        ("A. red\nB. blue\nC. green", "ABC"),
        ("A. red is small\nB. blue is large\n\nIt's B.", "B"),
        ("A bird in the hand", ""),
        ("The size is 60, so option C is the answer; option A would need more.", "C"),
        ("I'd say B.", "B"),
        ("I would pick B — a safe choice.", "B"),
        ("So A, C and D are out.", ""),
        ("Both B and C are correct.", "BC"),
        ("I'd go with B, or maybe C.", "BC"),
    ],
)
def test_lines_that_name_an_option(reply, letters):
    """Of the last such line; lines that go through all options name them all, which is no answer."""
    choice = choice_in_lines(reply.splitlines(), COLOURS)
    assert (choice.letters if choice else "") == letters


def test_the_conclusion_behind_a_list_of_options():
    """It counts instead of the list, which names all; an explanation behind one option takes nothing away."""
    listed = ["A. red: no", "B. blue: yes", "So it is the blue bar."]
    assert behind_list(listed, COLOURS) == listed[2:]
    assert behind_list(listed[:2], COLOURS) == listed[:2]
    assert behind_list(["B", "It is the longest."], COLOURS) == ["B", "It is the longest."]


@pytest.mark.parametrize(
    ("line", "letter"),
    [
        ("The bar is blue.", "B"),
        ("The bar is not blue.", ""),
        ("The bar is not red, it is blue.", "B"),
        ("It is blue or red.", ""),
        ("It is bluer.", ""),
        ("It is big.", ""),
        ("Red is smaller than blue. So it is blue.", "B"),
        ("Blue is the largest, followed by red.", "B"),
        ("Blue is the largest. Red is the smallest.", ""),
    ],
)
def test_the_text_of_one_option_in_a_sentence(line, letter):
    """As whole words, once, and not denied."""
    assert option_named(line, COLOURS) == letter


def test_the_longer_of_two_options_counts():
    """One option may be a part of another."""
    assert option_named("It is dark blue.", {"A": "blue", "B": "dark blue"}) == "B"


def test_gold_is_read_with_its_options():
    """The text of an option is its letter, however long; a letter beyond J needs no options."""
    assert read_gold(LONG[1], options=LONG).accepted == (Accepted("choice", "B"),)
    assert read_gold("red", question="Which? (A) blue (B) red").accepted[0] == Accepted("choice", "B")
    assert read_gold("9", options=["7 (apples)", "9 (apples)"]).accepted == (Accepted("number", "9"),)
    assert read_gold("K").accepted == (Accepted("choice", "K"),)
    assert read_gold("B", options=["B", "A"]).accepted[0] == Accepted("choice", "B")


def test_a_letter_is_the_letter_of_its_option_before_it_is_a_text():
    """Where the options are letters themselves."""
    for reply in ("A", "\\boxed{A}", "Answer: A"):
        assert [judge(reply, gold, options=["D", "C", "A", "B"]).reward for gold in "ABCD"] == [1.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("options", [LONG, None])
def test_long_options_are_compared_as_data_and_in_the_question(options):
    """As its text, its letter, or both."""
    question = "" if options else "Why?\n(A) " + LONG[0] + "\n(B) " + LONG[1]
    for gold in ("A", LONG[0]):
        replies = ("A", f"(A) {LONG[0]}", LONG[0], f"The answer is {LONG[0]}.", "B", LONG[1])
        got = [judge(reply, gold, question=question, options=options).reward for reply in replies]
        assert got == [1.0, 1.0, 1.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    "letters", ["(A) (B) (C)", "A. or B", "A, B, C", "A/B", "A or B", "Both A and B", "(A) or (B)"]
)
def test_hedges_pay_for_no_letter(letters):
    """Whatever the gold."""
    question = "Which? (A) red (B) blue (C) green"
    for gold in "ABC":
        assert judge(letters, gold, question=question).reward == 0.0
        assert judge(f"\\boxed{{{letters}}}", gold, question=question).reward == 0.0
        assert judge(f"The answer is {letters}.", gold, question=question).reward == 0.0


def test_a_letter_behind_the_tenth_may_be_small():
    """Where the gold says which letters there are; "x" is otherwise an unknown."""
    assert [judge(reply, "K").reward for reply in ("\\boxed{k}", "\\boxed{(K)}", "\\boxed{j}")] == [1.0, 1.0, 0.0]


def test_a_sentence_in_a_box_names_its_option():
    """Read as a line of the reply would be."""
    question = "Which is longer? (A) red (B) blue"
    for text, reward in (("I would go with B because of its length", 1.0), ("I would go with A, as it seems", 0.0)):
        assert judge(f"<answer>{text}</answer>", "B", question=question).reward == reward
