"""How the rows of a dataset were asked, so that a trainer gets the prompt that was scored."""

from __future__ import annotations

import json
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
    """

    given: PromptTemplate | None = None
    only: PromptTemplate | None = None

    @classmethod
    def of(cls, ds: datasets.Dataset, given: PromptTemplate | None = None) -> Asked:
        """Of a dataset; None of `given` takes what its rows say."""
        if given is not None or SETTINGS.name not in ds.column_names:
            return cls(given)
        stored = ds.select_columns([SETTINGS.name]).with_format("arrow")[:][SETTINGS.name]
        said = {prompt for text in stored.unique().to_pylist() if (prompt := prompt_of(text)) is not None}
        return cls(only=said.pop() if len(said) == 1 else None)

    def of_row(self, settings: str | None, published: str | None = None) -> PromptTemplate | None:
        """Of a row with these `rap_settings`, or with this text in its `extra_info`; None: nothing says it."""
        return self.given or prompt_of(settings) or _parsed(published) or self.only


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
