"""One plain way to write a text."""

import pytest

from hf_rap.verify.words import is_sentence, is_words, plain, read_yes_no, same_words
from hf_rap.verify.writing import clean


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
        ("\\color{red}{12}", "12"),
        ("\\textcolor{blue}{12}", "12"),
        ("\\underline{12}", "12"),
        ("\\large 12", "12"),
        ("\\mathbf{12}", "12"),
        ("\\varnothing", "\\emptyset"),
        ("9.8\\ \\mathrm{m\\,s^{-2}}", "9.8 ~m s^{-2}"),
        ("<b>B</b>", "B"),
        ("'B'", "B"),
        ("0.333...", "0.333\\ldots"),
        ("\\overline{AB}", "AB"),
        ("2√3", "2\\sqrt 3"),
        ("x**2", "x^2"),
        ("\\begin{aligned}\nx &= 5\n\\end{aligned}", "x = 5"),
        ("\\begin{cases} x=1 \\\\ y=2 \\end{cases}", "x=1, y=2"),
        ("\\begin{array}{c} 5 \\end{array}", "5"),
        ("\\lbrace 1 \\rbrace", "\\{ 1 \\}"),
        ("\\hspace{2pt}\\bigl(1,2\\bigr)", "(1,2)"),
        ("11,\\! 111", "11,111"),
        ("\\frac{\\text{3}}{\\text{4} cm}", "\\frac{3}{4 cm}"),
        ("$A", "A"),
        ("A$", "A"),
        ("$5", "$5"),
        ("US$5", "US$5"),
    ],
)
def test_clean_writes_one_thing_in_one_way(text, plain):
    """Layout, look-alikes and markdown go; an upright text keeps a tie before it."""
    assert clean(text) == plain


@pytest.mark.parametrize("text", ["$-\\dfrac12$", "12 cm²", "**B**", "\\left(1,\\,2\\right)", "２½", "a_b", "\\$5"])
def test_cleaning_twice_changes_nothing(text):
    """What is plain stays as it is."""
    assert clean(clean(text)) == clean(text)


@pytest.mark.parametrize("text", ["red cube", "x", "H_2O", "10:30 am", "AB ∥ CD", "Vitamin A", "红色", "none"])
def test_words(text):
    """A word and no sign of mathematics."""
    assert is_words(text)


@pytest.mark.parametrize("text", ["2x", "sin x", "ab", "xyz", "x+1", "\\pi", "or"])
def test_what_is_not_words(text):
    """Products of variables are mathematics, and so are the names of functions."""
    assert not is_words(text)


def test_sentences_have_words_between_their_mathematics():
    """They never go to math-verify."""
    assert is_sentence("the length is 2\\sqrt{3}")
    assert not is_sentence("x = 2\\sqrt{3} and y = 3")
    assert not is_sentence("\\sin x + \\cos x")


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("The Red Cube.", "red cube", True),
        ("ice cream", "icecream", True),
        ("T-shirt", "t shirt", True),
        ("left and right", "right and left", True),
        ("left and right", "left", False),
        ("CO_2", "CO2", True),
        ("CO_2", "H_2O", False),
        ("AB ∥ CD", "AB ⊥ CD", False),
        ("Vitamin A", "vitamin", False),
        ("<", ">", False),
        ("3.1", "31", False),
    ],
)
def test_words_agree_without_case_articles_and_punctuation(left, right, same):
    """Either way round."""
    assert same_words(left, right) is same
    assert same_words(right, left) is same


def test_plain_words():
    """Articles go, except at the end."""
    assert plain("A red cube, the big one") == "redcubebigone"
    assert plain("Vitamin A") == "vitamina"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Yes, it is.", "yes"),
        ("So no.", "no"),
        ("False, because", "no"),
        ("是的，图中有一只狗", "yes"),
        ("不是", "no"),
        ("否", "no"),
        ("Based on the image, yes, he does.", "yes"),
        ("Yes and no", ""),
        ("yes, no", ""),
        ("yes or no?", ""),
        ("none", ""),
        ("nothing", ""),
        ("No one knows", ""),
        ("not sure", ""),
        ("The statement is true", ""),
    ],
)
def test_yes_and_no(text, word):
    """Only where a text opens with one of them and does not go on to the other."""
    assert read_yes_no(text) == word


def test_yes_and_no_at_the_end():
    """Of a sentence about the statement."""
    assert read_yes_no("The statement is true.", at_end=True) == "yes"
    assert read_yes_no("So the answer is no", at_end=True) == "no"
    assert read_yes_no("It is true that it is red", at_end=True) == ""
