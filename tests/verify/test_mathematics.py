"""Mathematics: how texts are split, and what the child process finds equal."""

import pytest

from hf_rap.verify import comparer
from hf_rap.verify.mathematics import NotComparedError, Part, is_readable_math, same_math, split_parts


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("5", [Part("", "5")]),
        ("x = 12", [Part("x", "12")]),
        ("5 = x", [Part("x", "5")]),
        (r"x = \frac{10}{2} = 5", [Part("x", "5")]),
        (r"A = \pi r^2 = 9\pi", [Part("A", r"9\pi")]),
        (r"S_{△ABC} = 6", [Part("", "6")]),
        ("x_1 = 1, x_2 = 2", [Part("", "1"), Part("", "2")]),
        ("x=1, y=2", [Part("x", "1"), Part("y", "2")]),
        ("(x,y)=(1,2)", [Part("", "(1,2)")]),
        ("f(x) = 2x", [Part("", "2x")]),
        (r"\angle ABC = 30°", [Part("", "30°")]),
        (r"\tan\theta = \frac{3}{4}", [Part("", r"\frac{3}{4}")]),
        ("|AB| = 10", [Part("", "10")]),
        ("Area = 12", [Part("", "12")]),
        ("2 + 3 = 5", [Part("", "5")]),
        ("a=1 or a=-2", [Part("a", "1"), Part("a", "-2")]),
        ("x = 2, ~ or x = 3", [Part("x", "2"), Part("x", "3")]),
        ("5, or 7", [Part("", "5"), Part("", "7")]),
        ("19, 46, ~ and 82", [Part("", "19"), Part("", "46"), Part("", "82")]),
        ("1,000", [Part("", "1,000")]),
        (r"\approx 5", [Part("", "5")]),
        ("2x = 10", []),
        ("f(2) = 10", [Part("", "10")]),
        ("f^{-1}(x) = x+1", [Part("", "x+1")]),
        ("P(X=2) = 0.3", [Part("", "0.3")]),
        ("3 x 4 = 12", [Part("", "12")]),
        (r"\sum_{k=1}^{10} k", [Part("", r"\sum_{k=1}^{10} k")]),
        (r"\int 2x dx = x^2 + C", [Part("", "x^2 + C")]),
        ("x^2+y^2=1", []),
        ("x+y=3", []),
        (r"\sqrt{x} = 3", []),
    ],
)
def test_values_and_their_names(text, parts):
    """An equation whose left side is no name is no value."""
    assert split_parts(text) == parts


@pytest.mark.parametrize(
    ("gold", "answer", "same"),
    [
        ("5", "5 = x", True),
        ("y=2x+3", "2x+3", True),
        ("2x+3", "y = 2x+3", True),
        ("y=2x", "z=2x", False),
        ("3x+2y=5", "6x+4y=10", True),
        ("y=3-x", "x+y=3", True),
        ("34x+45y-20z+100=0", "-34x-45y+20z-100=0", True),
        ("(1,2)", "x=1, y=2", True),
        ("(1,2)", "y=2, x=1", True),
        ("(1,2)", "P(1,2)", True),
        ("(1,2)", "[1,2]", False),
        ("(1,2)", "(2,1)", False),
        ("1, 2", "(1,2)", True),
        ("6,7", "7 and 6", True),
        ("1, -2", "a=-2 or a=1", True),
        (r"2\pi", r"2\pi cm", True),
        (r"2\pi cm", r"2\pi mm", False),
        ("ab", "ba", True),
        ("2ab", "2ba", True),
        ("a-b", "b-a", False),
        ("x^2+1", "y^2+1", False),
        ("x^2-5x+6=0", "x=2, x=3", True),
        ("x^2-5x+6=0", "x=2, y=3", False),
        (r"9\pi", r"9\pi~square units", True),
    ],
)
def test_same_mathematics(gold, answer, same):
    """As the texts stand, as values, or as equations."""
    assert same_math(gold, answer) is same


@pytest.mark.parametrize(
    ("gold", "answer", "same"),
    [
        (r"\frac{1}{2}", "0.5", True),
        (r"\sqrt{2}", "1.414214", True),
        (r"\sqrt{2}", "1.414213", False),
        (r"\sqrt{2}", "1.41421", False),
        (r"\pi", "3.14159265", True),
        (r"\pi", "3.14", False),
        ("0.0000001", "0.0000002", False),
        (r"\frac{1}{2006!}", r"\frac{1}{2004!}", False),
        (r"\frac{1}{2006!}", r"1/2006!", True),
        ("10^{50}", "10^{51}", False),
        ("10^{-50}", "0", False),
        (r"e^{i\pi}", "-1", True),
        ("3+4i", "4i+3", True),
        ("3+4i", "3-4i", False),
        (r"\log_2 8", "3", True),
        ("(2)(3)", "6", True),
        ("(2)(3)", "5", False),
        (r"\sin 30°", r"\frac{1}{2}", True),
        (r"\sin^2 x+\cos^2 x", "1", True),
        (r"\sec^2(y)", r"\tan^2(y)+1", True),
        ("x^2+2x+1", "(x+1)^2", True),
        ("x^2+2x+1", "(x-1)^2", False),
        ("0.5x", r"\frac{x}{2}", True),
        (r"(1,\frac{9}{2})", "(1,4.5)", True),
        ("(0.0000001,2)", "(0.0000002,2)", False),
        (r"\{1,2,3\}", r"\{3,1,2\}", True),
        (r"\{1,2\}", r"\{1,2,3\}", False),
        (r"\{1,1\}", r"\{1,2\}", False),
        (r"\emptyset", "0", False),
        (r"(-\infty,3)", "x < 3", True),
        ("x < 3", r"(-\infty,3)", True),
        ("0 < x < 12.5", "(0, 12.5)", True),
        (r"x<2 or x>3", r"(-\infty, 2) \cup (3, \infty)", True),
        (r"x>2", r"\{x \mid x > 2\}", True),
        (r"[2, \infty)", r"(2, \infty)", False),
        (r"\infty", r"-\infty", False),
        (r"\infty", "10^{100}", False),
        ("(1, 2]", "(1, 2.0]", True),
        ("[1, 2]", "[1, 2)", False),
        ("[1, 2]", "[1, 3]", False),
        ("y=2", "z=2", False),
        (r"\begin{pmatrix}1&2\end{pmatrix}", r"\begin{bmatrix}1&2\end{bmatrix}", True),
        (r"\begin{pmatrix}1&2\end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}", False),
        (r"\begin{pmatrix}0.5\end{pmatrix}", r"\begin{pmatrix}\frac12\end{pmatrix}", True),
        (r"\pm 4", "4, -4", True),
        (r"50\%", "0.5", True),
        ("((((((((2))))))))", "2", True),
        (r"\angle 1", r"\angle 2", False),
        ("100!", "100!", True),
    ],
)
def test_what_the_child_finds_equal(gold, answer, same):
    """Called in this process, and asked of a child: the same."""
    comparer.prepare()
    assert comparer.answer_to(["equal", gold, answer]) is same
    assert comparer.answer_to(["equal", answer, gold]) is same
    from hf_rap.verify.comparers import ask

    assert ask("equal", gold, answer) is same


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("9^{9^{9^{9}}}", "too_large_to_compare"),
        ("((10!)!)!", "too_large_to_compare"),
        (r"\binom{10^9}{10^8}", "too_large_to_compare"),
        ("(a+b+c+d+e+f)^{60}", "too_large_to_compare"),
        ("e^{e^{e^{e^{e}}}}", "too_large_to_compare"),
        (r"\frac{1}{0}", "cannot_be_evaluated"),
        (r"\frac{1", "cannot_be_evaluated"),
        ("x+" * 300 + "x", "too_large_to_compare"),
    ],
)
def test_why_an_answer_is_not_compared(answer, reason):
    """By kind, and always the same."""
    for _ in range(2):
        with pytest.raises(NotComparedError, match=f"^{reason}$"):
            same_math(r"\sqrt{2}", answer)


@pytest.mark.parametrize(
    ("text", "large"),
    [
        ("2^{100}", False),
        ("2006!", False),
        ("10^{20000}", True),
        ("(x+1)^5", False),
        ("(x+1)^{50000}", True),
        ("(a+b+c+d+e+f)^{60}", True),
        ("x^{100}", False),
    ],
)
def test_size_of_a_parsed_tree(text, large):
    """Of numbers their digits, of powers of sums their terms; what is equal as it stands is not measured."""
    comparer.prepare()
    assert comparer.is_too_large(comparer.parse(text)) is large
    assert comparer.answer_to(["equal", text, text]) is True


def test_readable_golds():
    """What equals itself; undefined and broken texts do not."""
    assert is_readable_math("x^2+1")
    assert not is_readable_math(r"\frac{1}{0}")
    assert not is_readable_math(r"\frac{1}{")
    assert not is_readable_math("x+" * 300)
