"""What must be so of a row for a reason to be true of it: a text that is printed as it stands, and read here.

A predicate compares columns of the row with options of the rule, as Python would: "0 < rap_cde <= min_cde". Numbers are the
fractions that they stand for, so that `1 - rap_difficulty >= 0.084` has no rounding in it. A comparison with what is
unknown does not hold. An empty predicate says that the reason is about other rows, too (a rank, a draw).
"""

from __future__ import annotations

import ast
import math
import operator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from hf_rap.columns import ERROR, ERROR_CODES, KEEP, REASON
from hf_rap.options import parse_python
from hf_rap.stats.exact import as_double, exact

from .duplicates import DUPLICATE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .base import Selection
    from .method import Method

_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


def holds(predicate: str, row: Mapping[str, Any], rule: Mapping[str, Any]) -> bool:
    """Whether a predicate is so for a row and the rule of the selection.

    Args:
        predicate: numbers, columns, options of the rule, and `score` for the column that the rule's `by` names; between
            them comparisons, `is None`, `and`, `or`, `not`, `-`, and `at_least(list, limit)`, how many entries of a list
            are that high.
        row: of `selection.scored`; a column that is not there is unknown.
        rule: of the selection; so is an option that is not there.

    >>> holds("0 < rap_cde <= min_cde", {"rap_cde": 0.2}, {"min_cde": 0.5})
    True
    >>> holds("rap_cde is None or rap_cde > min_cde", {"rap_cde": 0.2}, {"min_cde": 0.5})
    False
    """
    return bool(not predicate or _value(_parsed(predicate), row, rule))


def untrue_reasons(selection: Selection, method: Method) -> list[tuple[int, str]]:
    """Rows whose reason is not among the method's, stands on the wrong side, or does not hold: (row, reason) each.

    For the tests of a method, yours included: it looks at every row in turn.
    """
    reasons = {reason.name: reason for reason in method.reasons}
    names = {str(selection.rule.get("by")), KEEP.name, REASON.name, ERROR.name}
    for when in (reason.when for reason in method.reasons if reason.when):
        parts = ast.walk(_parsed(when))
        names |= {part.id for part in parts if isinstance(part, ast.Name)}
    scored = selection.scored.select_columns([name for name in selection.scored.column_names if name in names])
    wrong = []
    for number, row in enumerate(scored.with_format("arrow")[:].to_pylist()):
        name, kept = row[REASON.name], row[KEEP.name]
        if name == DUPLICATE:
            true = not kept  # that another row is equal cannot be seen in this one
        elif name in ERROR_CODES:
            true = not kept and (row.get(ERROR.name) or "").startswith(name)
        else:
            reason = reasons.get(name)
            true = reason is not None and reason.kept == kept and holds(reason.when, row, selection.rule)
        if not true:
            wrong.append((number, name))
    return wrong


@lru_cache(maxsize=256)
def _parsed(predicate: str) -> ast.expr:
    return parse_python(predicate).body


def _value(node: ast.expr, row: Mapping[str, Any], rule: Mapping[str, Any]) -> Any:  # noqa: PLR0911 - one per kind
    """What a part of a predicate is; None is unknown."""
    match node:
        case ast.Constant():
            return _number(node.value)
        case ast.Name():
            if node.id == "score":
                return _number(row.get(rule.get("by", "")))
            return _number(rule[node.id] if node.id in rule else row.get(node.id))
        case ast.BoolOp(op=ast.And()):
            return all(_value(part, row, rule) for part in node.values)
        case ast.BoolOp():
            return any(_value(part, row, rule) for part in node.values)
        case ast.UnaryOp(op=ast.Not()):
            return not _value(node.operand, row, rule)
        case ast.BinOp(op=ast.Sub()):
            left, right = _value(node.left, row, rule), _value(node.right, row, rule)
            return None if left is None or right is None else left - right
        case ast.Call(func=ast.Name(id="at_least")):
            entries, least = (_value(argument, row, rule) for argument in node.args)
            return None if entries is None else sum(entry is not None and entry >= least for entry in entries)
        case ast.Compare():
            terms = [_value(term, row, rule) for term in (node.left, *node.comparators)]
            return all(_compared(op, *terms[place : place + 2]) for place, op in enumerate(node.ops))
    raise SyntaxError(f"A predicate cannot have {ast.unparse(node)!r}.")


def _compared(op: ast.cmpop, left: Any, right: Any) -> bool:
    if isinstance(op, (ast.Is, ast.IsNot)):
        return (left is right) == isinstance(op, ast.Is)
    return left is not None and right is not None and _COMPARE[type(op)](left, right)


def _number(value: Any) -> Any:
    """A number as the fraction that it stands for; NaN is unknown, all else is as it is."""
    if isinstance(value, list):
        return [_number(entry) for entry in value]
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        return value
    number = as_double(value)
    return exact(number) if math.isfinite(number) else None if math.isnan(number) else number
