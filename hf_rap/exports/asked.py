"""How the rows of a dataset were asked, so that a trainer gets the prompt that was scored."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_rap.columns import SETTINGS
from hf_rap.options import ForeignError, read_json
from hf_rap.rows.prompts import PromptTemplate

if TYPE_CHECKING:
    from collections.abc import Mapping

    import datasets


@dataclass(frozen=True)
class Asked:
    """The prompt of each row: the given one, else that of its `rap_settings`, else the only one that other rows have.

    Args:
        given: for all rows, whatever they were asked; None where they say it.
        only: the prompt of all rows that say it, if that is one.
        otherwise: rows that say another prompt than the given one.
    """

    given: PromptTemplate | None = None
    only: PromptTemplate | None = None
    otherwise: int = 0

    @classmethod
    def of(cls, ds: datasets.Dataset, given: PromptTemplate | None = None) -> Asked:
        """Of a dataset; None of `given` takes what its rows say."""
        prompts: Counter[PromptTemplate] = Counter()
        for text, rows in _counts(ds, SETTINGS.name):
            if (prompt := prompt_of(text)) is not None:
                prompts[prompt] += rows
        if given is None:
            return cls(only=next(iter(prompts)) if len(prompts) == 1 else None)
        if not prompts:
            prompts.update(
                {prompt: rows for text, rows in _counts(ds, "extra_info", "prompt") if (prompt := _parsed(text))}
            )
        return cls(given, otherwise=prompts.total() - prompts[given])

    def of_row(self, settings: str | None, published: str | None = None) -> PromptTemplate | None:
        """Of a row with these `rap_settings`, or with this text in its `extra_info`; None: nothing says it."""
        return self.given or prompt_of(settings) or _parsed(published) or self.only


def _counts(ds: datasets.Dataset, column: str, field: str | None = None) -> list[tuple[Any, int]]:
    """The values of a column, or of a field in its structs, and in how many rows each is."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if column not in ds.column_names:
        return []
    values = ds.select_columns([column]).with_format("arrow")[:][column]
    if field is not None:
        kind = values.type
        if not pa.types.is_struct(kind) or kind.get_field_index(field) < 0:
            return []
        values = pc.struct_field(values, field)
    counts = values.value_counts()
    return list(zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True))


def prompt_of(settings: str | None) -> PromptTemplate | None:
    """The prompt that `rap_settings` say; None where they do not."""
    values = _loaded(settings)
    return None if values is None else PromptTemplate.from_settings(values)


def as_text(prompt: PromptTemplate | None) -> str | None:
    """As `extra_info` of a published row holds it."""
    return None if prompt is None else json.dumps(prompt.as_dict(), sort_keys=True)


def prompt_in(row: Mapping[str, Any]) -> PromptTemplate | None:
    """The prompt of a row with the universal columns; None where nothing says it."""
    return _parsed(row["extra_info"].get("prompt"))


def _parsed(text: str | None) -> PromptTemplate | None:
    values = _loaded(text)
    return None if values is None else PromptTemplate.from_dict(values)


def _loaded(text: Any) -> dict[str, Any] | None:
    try:
        values: dict[str, Any] | None = read_json(text) if isinstance(text, str) else None
    except ForeignError:  # settings of somebody else
        return None
    return values
