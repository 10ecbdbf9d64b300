"""Hints: a sentence in the prompt that says how hard the problem is.

A hinted question goes into a column of its own, so that nobody trains on it without meaning to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_rap.columns import DIFFICULTY, HINT_SEPARATOR, HINTED_PREFIX, TypedList, require
from hf_rap.errors import ColumnExistsError, LayoutError, MissingColumnError, SettingError
from hf_rap.options import check, check_text, is_number
from hf_rap.rows.batches import Batch, batched
from hf_rap.rows.chats import turns_of
from hf_rap.rows.recognition import recognise_layout

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Largest difficulty of a band, and what is said there. The paper gives neither its bands nor its words: these are
# thirds, in our words.
TEMPLATES: tuple[tuple[float, str], ...] = (
    (1 / 3, "This problem is easy for you: you solve it most of the time. Solve it, then check the result once."),
    (2 / 3, "This problem is of medium difficulty for you. Think step by step, and check the result at the end."),
    (
        1.0,
        (
            "This problem is hard for you: you fail at it most of the time. Question every step, look for mistakes, and "
            "check the result before you answer."
        ),
    ),
)
# One failure of three is on the border also where it was rounded: as 1 - 2/3, or by a column of single precision.
EDGE = 1e-6
# <image>, <|im_start|>, </think>, [INST], {{ ... }}: what a processor or chat template might take for its own.
_SPECIAL = re.compile(r"[<>{}\[\]]")


@dataclass(frozen=True)
class AddDifficultyHint:
    r"""Writes the question with a hint after it: how hard the problem is, and a request to check the result.

    Args:
        column: the question: text, or a chat whose last user turn gets the hint; None recognises the layout.
        templates: (largest difficulty, sentence) of each band, in ascending order, the last up to 1.
        version: part of the cache key of `Dataset.map`.

    Reads:
        rap_difficulty, and the column.

    Writes:
        rap_hinted_<column>: the question, and after it, as the last thing in the prompt, the hint. Nothing else
            changes, `<image>` placeholders and blocks included. Where the difficulty is null: the question alone.

    Raises:
        SettingError: templates out of order, or with characters of special tokens.
        MissingColumnError: a column that is read is absent.
        ColumnExistsError: the hinted column is there already.
        LayoutError: a chat is stored as JSON text, or has no user turn.

    Source:
        arXiv 2505.13261, stage two: prompts that give the difficulty and ask for reflection.

    Examples:
        >>> add = AddDifficultyHint(column="problem", templates=((0.5, "Easy."), (1.0, "Hard: check twice.")))
        >>> add({"problem": ["<image>Find x."], "rap_difficulty": [0.8]})
        {'rap_hinted_problem': ['<image>Find x.\n\nHard: check twice.']}

    """

    column: str | None = None
    templates: tuple[tuple[float, str], ...] = TEMPLATES
    version: str = "1"  # raise it whenever the same input can give another text

    def __post_init__(self) -> None:
        check_text("column", self.column, none=True, empty=False)
        _check_templates(self.templates)

    @batched
    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """The hinted column of a batch."""
        require("add_difficulty_hint", batch, (DIFFICULTY,))
        rows = Batch("add_difficulty_hint", batch)
        name = _column(self.column, batch)
        if HINTED_PREFIX + name in batch:
            raise ColumnExistsError("add_difficulty_hint", [HINTED_PREFIX + name])
        hinted = [
            question if difficulty is None else _with_hint(question, self._hint(difficulty))
            for question, difficulty in zip(rows.cells(name), rows.cells(DIFFICULTY.name), strict=True)
        ]
        return {HINTED_PREFIX + name: _as_column(hinted)}

    def _hint(self, difficulty: float) -> str:
        """The sentence of the first band that reaches so far, with the separator."""
        return HINT_SEPARATOR + next(text for largest, text in self.templates if difficulty <= largest + EDGE)


@dataclass(frozen=True)
class RemoveDifficultyHint:
    r"""Takes hints out of a column again: exactly what `AddDifficultyHint` with the same templates put in.

    Args:
        column: the hinted column, such as "rap_hinted_problem", or what it was renamed to.
        templates: those of the hints.
        version: part of the cache key of `Dataset.map`.

    Writes:
        the same column, without hints. A question without one stays as it is.

    Examples:
        >>> remove = RemoveDifficultyHint(column="problem", templates=((1.0, "Hard: check twice."),))
        >>> remove({"problem": ["<image>Find x.\n\nHard: check twice.", "Find y."]})
        {'problem': ['<image>Find x.', 'Find y.']}

    """

    column: str | None = None
    templates: tuple[tuple[float, str], ...] = TEMPLATES
    version: str = "1"  # raise it whenever the same input can give another text

    def __post_init__(self) -> None:
        check_text("column", self.column, none=True, empty=False)
        _check_templates(self.templates)

    @batched
    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """The column of a batch without its hints."""
        hinted = [name for name in batch if name.startswith(HINTED_PREFIX)]
        name = _column(self.column or (hinted[0] if len(hinted) == 1 else None), batch)
        hints = [HINT_SEPARATOR + text for _, text in self.templates]
        return {
            name: _as_column(
                [_without_hint(question, hints) for question in Batch("remove_difficulty_hint", batch).cells(name)]
            )
        }


def _with_hint(question: Any, hint: str) -> Any:
    return _change(question, lambda text: text + hint, lambda blocks: [*blocks, {"type": "text", "text": hint}])


def _without_hint(question: Any, hints: list[str]) -> Any:
    def from_text(text: str) -> str:
        return next((text.removesuffix(hint) for hint in hints if text.endswith(hint)), text)

    def from_blocks(blocks: list[Any]) -> list[Any]:
        return blocks[:-1] if blocks and blocks[-1].get("text") in hints else blocks

    return _change(question, from_text, from_blocks)


def _change(question: Any, in_text: Callable[[str], str], in_blocks: Callable[[list[Any]], list[Any]]) -> Any:
    """The question with its text changed; of a chat, the last user turn, which is a text or a list of blocks."""
    if question is None:
        return None
    turns = turns_of(question)
    if turns is None and isinstance(question, str):
        return in_text(question)
    if turns is None or not isinstance(question, list):
        raise LayoutError(
            f"A question is text or a chat (a list of turns), not {question!r:.80}: parse a chat that is stored as JSON."
        )
    users = [place for place, (role, _) in enumerate(turns) if role in ("user", "human")]
    if not users:
        raise LayoutError(f"A chat without a user turn cannot have a hint: {question!r:.80}.")
    turn = question[users[-1]]
    key = "content" if "content" in turn else "value"
    content = turn[key]
    changed = in_text(content) if isinstance(content, str) else in_blocks(content)
    return [*question[: users[-1]], {**turn, key: changed}, *question[users[-1] + 1 :]]


def _as_column(questions: list[Any]) -> list[Any]:
    """Texts remember their type, so that a first batch of nulls does not decide it."""
    return (
        TypedList(questions, "string") if all(isinstance(question, str | None) for question in questions) else questions
    )


def _column(column: str | None, batch: Mapping[str, Any]) -> str:
    name = column or recognise_layout(list(batch)).question
    if name not in batch:
        raise MissingColumnError("A difficulty hint", name, list(batch), "Name the question: column=...")
    return name


def _check_templates(templates: tuple[tuple[float, str], ...]) -> None:
    pairs = isinstance(templates, (tuple, list)) and all(
        isinstance(pair, (tuple, list)) and len(pair) == 2 and is_number(pair[0]) and isinstance(pair[1], str)
        for pair in templates
    )
    check(pairs, "templates", templates, "pairs of a largest difficulty and a sentence")
    bounds = [largest for largest, _ in templates]
    if not bounds or bounds != sorted(set(bounds)) or bounds[-1] < 1:
        raise SettingError(f"The bands of the templates end at {bounds}: ascending numbers, the last 1, are needed.")
    for _, text in templates:
        if not text.strip() or HINT_SEPARATOR in text or _SPECIAL.search(text):
            raise SettingError(
                f"The template {text!r} cannot be a hint: it is a sentence without empty lines and without brackets, "
                "which might be read as an image placeholder or a special token."
            )


add_difficulty_hint = AddDifficultyHint()
remove_difficulty_hint = RemoveDifficultyHint()
