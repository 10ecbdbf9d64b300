"""What a new release of latex2sympy2_extended or antlr4 has moved, of the parts that are not public."""

import pytest
from latex2sympy2_extended import latex2sympy2

from hf_rap.verify import compat

TEXTS = (
    r"2\sqrt{3}",
    "x^2+2x+1",
    "(1,2)",
    r"\frac{1}{2}",
    r"\{1,2\}",
    "x<3",
    r"A=\pi r^2=9\pi",
    r"\log_2 8",
    "3+4i",
    "1,2",
)


@pytest.fixture
def parser_part(part_of):
    return lambda part: part_of("latex2sympy2_extended", part, room="verify")


def test_both_stages_of_the_grammar_find_the_same(parser_part, monkeypatch):
    """Parsed with the fast rule first, and with the full one alone."""
    with parser_part("latex2sympy2._Latex2Sympy.create_parser and parse"):
        compat.parse_in_two_stages()
        converter = latex2sympy2._Latex2Sympy
        assert converter.fast is False
        in_two = [str(converter().parse(text)) for text in TEXTS]
        monkeypatch.setattr(converter, "fast", property(lambda self: False, lambda self, value: None))
        assert [str(converter().parse(text)) for text in TEXTS] == in_two


def test_the_fast_rule_is_asked_first(parser_part):
    """ANTLR's parser knows its mode; what the fast rule cannot parse is parsed by the full one."""
    with parser_part("PSParser._interp.predictionMode"):
        compat.parse_in_two_stages()
        converter = latex2sympy2._Latex2Sympy()
        converter.parse(r"2\sqrt{3}")
        assert converter.fast
        assert converter.create_parser("2")._interp.predictionMode == compat.PredictionMode.SLL
        converter.parse("x^2+2x+1")
        assert not converter.fast


def test_sets_remember_their_order(parser_part):
    """As the text has it, where sympy sorts."""
    with parser_part("sets.FiniteSet._unsorted_args"):
        assert [str(part) for part in compat.as_written(latex2sympy2.latex2sympy("2,1"))] == ["2", "1"]
