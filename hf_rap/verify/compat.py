"""What the comparer uses of latex2sympy2_extended and antlr4 that is not public: each part in one function.

Loaded in the child process only. Versions that were seen: latex2sympy2_extended 1.11, antlr4 4.13.2.
"""

from __future__ import annotations

from typing import Any

from antlr4.atn.PredictionMode import PredictionMode
from latex2sympy2_extended import latex2sympy2


def parse_in_two_stages() -> None:
    """Let latex2sympy parse by ANTLR's fast rule, and by its full one where that finds no parse.

    Where the fast rule finds a parse it is the same one (The Definitive ANTLR 4 Reference, 13.7), in an eighth of the
    time. Without the class that this changes, everything is parsed by the full rule.
    """
    converter: Any = getattr(latex2sympy2, "_Latex2Sympy", None)
    if converter is None or hasattr(converter, "fast"):
        return
    create_parser, parse_once = converter.create_parser, converter.parse

    def create(self: Any, text: str) -> Any:
        parser = create_parser(self, text)
        if self.fast:
            parser._interp.predictionMode = PredictionMode.SLL
        return parser

    def parse_twice(self: Any, text: str) -> Any:
        self.fast = True
        try:
            return parse_once(self, text)
        except Exception:  # noqa: BLE001 - what it raises for any syntax error
            self.fast = False
            return parse_once(self, text)

    converter.fast, converter.create_parser, converter.parse = False, create, parse_twice


def as_written(elements: Any) -> tuple[Any, ...]:
    """The elements of latex2sympy's finite set in the order of the text, which sympy's own sets forget."""
    return tuple(elements._unsorted_args)
