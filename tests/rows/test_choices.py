"""Options as datasets store them, in the question, and the letter that a gold answer means."""

import io

import pytest
from PIL import Image

from hf_rap.errors import RowError, SettingError
from hf_rap.rows.choice_golds import INDEX0, INDEX1, LETTER, NAMED, TEXT, Numbers, Undecided, letter_of
from hf_rap.rows.choice_text import check_form, holds_options, with_options
from hf_rap.rows.choices import Choices, choice_columns, read_choices

STATES = Choices(("Nevada", "Maine", "Oregon"))
DIGITS = Choices(("2", "3", "4"))


def png():
    out = io.BytesIO()
    Image.new("RGB", (4, 4)).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["question", "choices", "answer"], [("choices",)]),
        (["A", "B", "C", "D", "answer"], [("A", "B", "C", "D")]),
        (["choice_a", "choice_c", "choice_b"], [("choice_a", "choice_b", "choice_c")]),
        (["choice a", "choice b"], [("choice a", "choice b")]),
        (["option1", "option2"], [("option1", "option2")]),
        (["option0", "option1", "option2"], [("option0", "option1", "option2")]),
        (["optionA", "optionB"], [("optionA", "optionB")]),
        (["opa", "opb"], [("opa", "opb")]),
        (["A", "question", "answer"], []),
        (["B", "C"], []),
        (["option2", "option3"], []),
        (["A", "C"], []),
        (["optional", "operation", "choice"], [("choice",)]),
    ],
)
def test_columns_of_options_are_found_by_their_names(names, expected):
    """One column, or a run of them from the first letter or number on."""
    assert choice_columns(names) == expected


@pytest.mark.parametrize(
    ("cells", "texts"),
    [
        ([["Nevada", "Maine"]], ("Nevada", "Maine")),
        (["['$6', '$7']"], ("$6", "$7")),
        (['["it\\u0027s", "no"]'], ("it's", "no")),
        (["A. 24 cm; B. 32 cm; C. No correct answer"], ("24 cm", "32 cm", "No correct answer")),
        (["(A) yes\n(B) no"], ("yes", "no")),
        (["A: one, B: two, three"], ("one", "two, three")),
        (["red\ngreen\nblue"], ("red", "green", "blue")),
        ([{"A": "x", "B": "y", "C": None}], ("x", "y")),
        (["{'A': 'x', 'B': 'y'}"], ("x", "y")),
        ([{"text": ["x", "y"], "label": ["A", "B"]}], ("x", "y")),
        ([[{"label": "A", "text": "x"}, {"label": "B", "text": "y"}]], ("x", "y")),
        ([["A. x", "B. y"]], ("x", "y")),
        ([[" A:Choroid", " B:Iris"]], ("Choroid", "Iris")),
        ([[1, 2.0, 2.5]], ("1", "2", "2.5")),
        (["Nevada", "Maine", None, None], ("Nevada", "Maine")),
        (["Nevada", "Maine", "nan", "nan"], ("Nevada", "Maine")),
        ([None], ()),
        ([[]], ()),
        (["[]"], ()),
        (["nan"], ()),
        ([""], ()),
        ([{"A": None, "B": None}], ()),
        ([None, None], ()),
    ],
)
def test_every_way_of_storing_options_is_read(cells, texts):
    """Texts without their letters; missing ones at the end are none."""
    assert read_choices(cells).texts == texts


def test_labels_of_the_dataset_are_kept_where_they_are_not_letters():
    """ARC numbers some of its options, and its answer key says so."""
    choices = read_choices([{"text": ["x", "y"], "label": ["1", "2"]}])

    assert choices == Choices(("x", "y"), ("1", "2"))
    assert letter_of("2", choices, NAMED) == "B"


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([[{"bytes": png(), "path": None}, {"bytes": png(), "path": None}]], "the options are pictures"),
        ([[Image.new("RGB", (4, 4))] * 2], "the options are pictures"),
        ([{"bytes": png(), "path": None}], "the options are pictures"),
        (["Nevada", None, "Oregon"], "option B is empty, and there are 3 options"),
        ([["Nevada"]], "there is only one option"),
        (["Nevada"], "'Nevada' is no list of options"),
        ([7], "7 is no list of options"),
        ([["x"] * 27], "there are 27 options, more than letters"),
        ([[["x"], ["y"]]], r"\['x'\] is no list of options"),
    ],
)
def test_what_are_no_options_is_a_row_error(cells, message):
    """Never a question without its options."""
    with pytest.raises(RowError, match=f"^options_unreadable: .*{message}"):
        read_choices(cells)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Which is north?", "Which is north?\nA. Nevada\nB. Maine\nC. Oregon"),
        ("Which is north?\n", "Which is north?\nA. Nevada\nB. Maine\nC. Oregon"),
        (
            "Is it Nevada, Maine or Oregon?",
            "Is it Nevada, Maine or Oregon?\nA. Nevada\nB. Maine\nC. Oregon",
        ),
        ("Which? (A) Nevada (B) Maine (C) Oregon", "Which? (A) Nevada (B) Maine (C) Oregon"),
        ("Which?\nOptions: A: nevada, B: maine, C: oregon", "Which?\nOptions: A: nevada, B: maine, C: oregon"),
        ("Which? A. Nevada B. Maine", "Which? A. Nevada B. Maine\nA. Nevada\nB. Maine\nC. Oregon"),
        (
            "Which? A. Nevada Springs B. Maine C. Oregon",
            "Which? A. Nevada Springs B. Maine C. Oregon",
        ),
    ],
)
def test_options_go_into_the_question_once(question, expected):
    """Where the question holds all of them behind their letters it stays as it is."""
    assert with_options(question, STATES.texts) == expected


def test_options_that_are_their_own_letters_add_nothing():
    """MathVision has them so where they stand in the picture."""
    assert with_options("Which picture?", ["A", "B", "C"]) == "Which picture?"
    assert with_options("Which picture?", ["B", "A"]) == "Which picture?\nA. B\nB. A"


def test_a_question_with_a_sum_does_not_hold_its_options():
    """Numbers that stand somewhere in the text are no options."""
    assert not holds_options("What is 1 + 2?", ["1", "2"])


def test_the_form_of_an_option_can_be_replaced():
    """It has to say where letter and text go."""
    assert with_options("Q", ["x", "y"], "({letter}) {text}") == "Q\n(A) x\n(B) y"
    for wrong in ("{text}", "{letter} {text} {text}", "{", 3):
        with pytest.raises(SettingError, match=r"choice_form is .*a text with \{letter\} and \{text\}"):
            check_form("choice_form", wrong)


@pytest.mark.parametrize(
    ("gold", "choices", "answers_as", "letter"),
    [
        ("B", STATES, NAMED, "B"),
        ("(b)", STATES, NAMED, "B"),
        ("B. Maine", STATES, NAMED, "B"),
        (r"So it is \boxed{C}", STATES, NAMED, "C"),
        ("maine ", STATES, NAMED, "B"),
        (1, STATES, INDEX0, "B"),
        ("1", STATES, INDEX0, "B"),
        (1.0, STATES, INDEX1, "A"),
        (3, STATES, INDEX1, "C"),
        ("3", DIGITS, NAMED, "B"),
        (3, DIGITS, TEXT, "B"),
        ("3.0", DIGITS, NAMED, "B"),
        (["Maine", "B"], STATES, NAMED, "B"),
        (["A", "C"], STATES, NAMED, ["A", "C"]),
        ("A", Choices(("B", "A")), LETTER, "A"),
        ("A", Choices(("B", "A")), TEXT, "B"),
        (None, STATES, NAMED, None),
    ],
)
def test_a_gold_is_the_letter_of_its_option(gold, choices, answers_as, letter):
    """By letter, by text, by number; several of them if several are right."""
    assert letter_of(gold, choices, answers_as) == letter


@pytest.mark.parametrize(
    ("gold", "choices", "answers_as", "message"),
    [
        ("Texas", STATES, NAMED, r"'Texas' is none of the options \(Nevada, Maine, Oregon\)"),
        ("D", STATES, NAMED, "'D' is none of the options"),
        (3, STATES, INDEX0, "3 counts from 0 and there are 3 options"),
        (0, STATES, INDEX1, "0 counts from 1 and there are 3 options"),
        (
            1,
            STATES,
            None,
            "1 is no text of an option, and whether options count from 0 or 1 is not known. Say it: Layout",
        ),
        (3, DIGITS, None, "3 is the text of an option, and may be the number of another one. Say it"),
        ("A", Choices(("B", "A")), NAMED, "'A' is option A by its letter and B by its text: say which"),
    ],
)
def test_a_gold_that_means_no_option_is_a_row_error(gold, choices, answers_as, message):
    """It says what to pass where passing something helps."""
    with pytest.raises(RowError, match=f"^gold_unreadable: the gold answer {message}"):
        letter_of(gold, choices, answers_as)


def decided(golds, choices=STATES, **options):
    numbers = Numbers()
    for gold in golds:
        numbers.add(gold, choices)
    return numbers.answers_as(**options)


@pytest.mark.parametrize(
    ("golds", "choices", "expected"),
    [
        ([2, 0, 1], STATES, INDEX0),
        (["2", "0"], STATES, INDEX0),
        ([2, 3], STATES, INDEX1),
        (["A", "B"], STATES, NAMED),
        (["Maine", "Oregon"], STATES, NAMED),
        (["3", "4", "2"], DIGITS, NAMED),
        (["0", "2", "1"], DIGITS, INDEX0),
        ([None, "B"], STATES, NAMED),
        ([], STATES, NAMED),
        (["3"] * 30 + ["1"], DIGITS, NAMED),  # one wrong gold among texts
    ],
)
def test_numbers_are_decided_over_the_whole_column(golds, choices, expected):
    """A 0 proves counting from 0, the number of options counting from 1; texts of options are texts."""
    assert decided(golds, choices) == expected


@pytest.mark.parametrize(
    ("golds", "choices", "options", "why"),
    [
        ([1, 2], STATES, {}, "no gold is 0 and none is the number of options"),
        ([0, 3], STATES, {}, "both ways of counting have proofs"),
        ([3, 2], DIGITS, {"are_numbers": True}, "2 of 2 golds that are numbers are the text of an option"),
        (
            ["3", "2", "2", "2", "2", "2", "2", "1"],
            DIGITS,
            {},
            "7 of 8 golds that are numbers are the text of an option",
        ),
    ],
)
def test_numbers_that_say_nothing_are_asked_about(golds, choices, options, why):
    """Nothing is guessed."""
    with pytest.raises(Undecided, match=why):
        decided(golds, choices, **options)
