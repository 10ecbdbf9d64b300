"""A column, or a field inside its structs, by one name: `reward_model.ground_truth`.

A column may have a dot in its own name (`Dataset.flatten` makes such columns): of all ways to read a name, the one
with the longest name of a column counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Container


def taken_apart(columns: Container[str], name: str) -> tuple[str, list[str]]:
    """The column that `name` begins with, and the fields that lead on from there; its first word where there is none.

    >>> taken_apart(["qa", "reward_model"], "reward_model.ground_truth")
    ('reward_model', ['ground_truth'])
    >>> taken_apart(["qa", "qa.problem"], "qa.problem")
    ('qa.problem', [])
    """
    column = name
    fields: list[str] = []
    while column not in columns and "." in column:
        column, _, field = column.rpartition(".")
        fields.insert(0, field)
    return column, fields


def is_there(columns: Mapping[str, Any], name: str) -> bool:
    """`name` is a column or, where its type is known, a field of one; `columns` are features, a row, or names."""
    column, fields = taken_apart(columns, name)
    if column not in columns:
        return False
    feature = columns[column] if fields else None  # in a batch of `Dataset.map` a look decodes the column
    for field in fields:
        if not isinstance(feature, Mapping):
            return True
        if field not in feature:
            return False
        feature = feature[field]
    return True


def value_at(row: Mapping[str, Any], name: str | None) -> Any:
    """The value of a column or of a field in a struct; None where the struct is null."""
    if name is None or name in row:
        return None if name is None else row[name]
    column, fields = taken_apart(row, name)
    value: Any = row.get(column)
    for field in fields:
        value = value.get(field) if isinstance(value, Mapping) else None
    return value
