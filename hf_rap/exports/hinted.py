"""Hints of difficulty, from the column that `add_difficulty_hint` made, in what a trainer is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_rap.columns import HINT_SEPARATOR, HINTED_PREFIX
from hf_rap.errors import SettingError
from hf_rap.rows.chats import user_text
from hf_rap.rows.prompts import BARE

from .asked import prompt_in
from .universal import asked_columns

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def hinted_columns(names: Iterable[str]) -> list[str]:
    """Those with hints."""
    return [name for name in names if name.startswith(HINTED_PREFIX)]


def the_hinted_column(names: Iterable[str]) -> str:
    """The one column with hints.

    Raises:
        SettingError: there is none, or there are several.
    """
    hinted = hinted_columns(names)
    if len(hinted) != 1:
        raise SettingError(
            f"hints=True (--hints) takes one column {HINTED_PREFIX}..., as hf_rap.training.add_difficulty_hint makes it; "
            f"there is: {', '.join(hinted) or 'none'}."
        )
    return hinted[0]


def with_hint(row: Mapping[str, Any], hinted: Any) -> dict[str, Any]:
    """A row with the universal columns, asked with the hint behind its question; `problem` stays bare.

    Args:
        row: as `universal_columns` makes it.
        hinted: the question with its hint, text or a chat; without one where the difficulty was not known.
    """
    _, separator, hint = str(user_text(hinted) or "").rpartition(HINT_SEPARATOR)
    if not hint.strip() or hint.strip() in row["problem"]:  # a paragraph of the question
        return dict(row)
    return {**row, **asked_columns(prompt_in(row) or BARE, row["problem"] + separator + hint)}
