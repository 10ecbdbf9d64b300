"""The options of a multiple-choice row: which columns hold them, and how each way of storing them is read.

    {"choices": ["Nevada", "Maine"]}                      a list (ScienceQA, BLINK, MathVista)
    {"options": "['$6', '$7']"}                           the text of a list, of Python or JSON (MMMU)
    {"A": "Nevada", "B": "Maine"}                         columns, one per option (MMBench)
    {"choice_a": "Nevada", "choice_b": "Maine"}           the same (SEED-Bench); option1, "choice a", option0
    {"option": "A. Nevada; B. Maine"}                     one text (We-Math)
    {"options": {"A": "Nevada", "B": "Maine"}}            a struct, or {"text": [...], "label": [...]}

An option is its text without the letter. A row may have none: sets mix multiple choice with open questions.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_rap.errors import RowError
from hf_rap.options import ForeignError, parse_python, read_json

from .batches import held_in_arrow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_LONGEST_LITERAL = 100_000  # characters that are read as Python; a list of options has some hundred
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

CHOICE_COLUMNS = (
    *("choices", "options", "option", "choice", "answer_choices", "multiple_choices", "candidates", "opts"),
    *("answer_options", "option_list", "options_list", "choice_list", "choices_list", "mc_options", "multi_choice"),
)
_LOOKS_LIKE_CHOICES = re.compile(r"option|choice|candidate|alternative|distractor", re.IGNORECASE)
# One column per option: the name before its letter or number.
_FAMILY = re.compile(r"(?P<stem>(?:choice|option|opt|op|answer_choice|candidate)[ _-]?)(?P<mark>[a-zA-Z]|\d{1,2})")
_TEXT_KEYS = ("text", "texts", "value", "content", "option", "choice", "description", "answer")
_LABEL_KEYS = ("label", "labels", "key", "letter", "id")
_MARK = re.compile(r"\s*[(\[]?([A-Za-z])\s*[.:)\]．：、]+\s*")
_MARKS_WITHIN = re.compile(r"(?:^|(?<=[\s,;|/]))[(\[]?([A-Za-z])[.:)\]．：、]+\s*")


class Choices(NamedTuple):
    """The options of a row, and what the dataset calls them where that is not A, B, C, ..."""

    texts: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


def choice_columns(names: Iterable[str]) -> list[tuple[str, ...]]:
    """The columns that are named like options, most likely first: each alone, or a family with one column per option.

    >>> choice_columns(["question", "A", "B", "C", "answer"])
    [('A', 'B', 'C')]
    >>> choice_columns(["option0", "option1", "choices"])
    [('choices',), ('option0', 'option1')]
    """
    names = list(names)
    single: list[tuple[str, ...]] = [(name,) for name in CHOICE_COLUMNS if name in names]
    families: dict[str, dict[int, str]] = {}
    for name in names:
        match = _FAMILY.fullmatch(name)
        if match:
            mark = match["mark"]
            place = int(mark) if mark.isdigit() else LETTERS.index(mark.upper())
            families.setdefault(f"{match['stem']}{'9' if mark.isdigit() else 'a'}", {})[place] = name
    families["A"] = {place: letter for place, letter in enumerate(LETTERS) if letter in names}
    for places in families.values():
        first = min(places, default=0)
        run = [places[place] for place in range(first, first + len(places)) if place in places]
        if len(run) >= 2 and len(run) == len(places) and first <= 1 and (places is not families["A"] or first == 0):
            single.append(tuple(run))
    return single


def choice_lists(columns: Mapping[str, Any]) -> list[str]:
    """Columns that hold lists of texts and speak of options by another name than the usual ones, `alternatives` for one.

    Args:
        columns: `ds.features`, a batch, a row, or names with None, of which none can be told.
    """
    return [name for name in columns if _LOOKS_LIKE_CHOICES.search(name) and _holds_lists_of_texts(columns, name)]


def _holds_lists_of_texts(columns: Mapping[str, Any], name: str) -> bool:
    import pyarrow as pa

    stored = held_in_arrow(columns, name)
    if stored is not None:
        within = stored.type.value_type if hasattr(stored.type, "value_type") else None
        return within is not None and (pa.types.is_string(within) or pa.types.is_large_string(within))
    feature = columns[name]
    if hasattr(feature, "feature"):
        return getattr(feature.feature, "dtype", "") in ("string", "large_string")
    cells = [cell for cell in feature if cell] if isinstance(feature, (list, tuple)) else []
    return bool(cells) and all(isinstance(cell, list) and all(isinstance(t, str) for t in cell) for cell in cells[:64])


def read_choices(values: Sequence[Any]) -> Choices:
    """The options in the cells of a row: one cell that holds them all, or one cell per option.

    Raises:
        RowError: `options_unreadable`, also for options that are pictures.

    >>> read_choices(["['$6', '$7']"]).texts, read_choices(["A. x; B. y"]).texts, read_choices(["x", "y", None]).texts
    (('$6', '$7'), ('x', 'y'), ('x', 'y'))
    """
    if len(values) > 1:
        return Choices(_as_texts(["" if _is_missing(value) else value for value in values]))
    (value,) = values
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, str):
        value = _parsed(value)
    if _is_missing(value):
        return Choices()
    if isinstance(value, Mapping):
        return _of_mapping(value)
    if isinstance(value, (list, tuple)):
        if value and all(isinstance(option, Mapping) and not _is_picture(option) for option in value):
            return _of_structs(value)
        return Choices(_as_texts(value))
    if _is_picture(value):
        raise _pictures()
    raise _unreadable(value)


def _of_structs(value: Sequence[Mapping[str, Any]]) -> Choices:
    """[{"label": "A", "text": "x"}, ...], or [{"A": "x"}, {"B": "y"}]."""
    named = [(name, text) for option in value for name, text in option.items() if text is not None]
    if "".join(str(name) for name, _ in named) == LETTERS[: len(value)]:
        return Choices(_as_texts([text for _, text in named]))
    texts = [_first_key(option, _TEXT_KEYS) for option in value]
    if all(text is None for text in texts):
        raise _unreadable(value)
    return _labelled(texts, [_first_key(option, _LABEL_KEYS) for option in value])


def _of_mapping(value: Mapping[str, Any]) -> Choices:
    """{"A": ..., "B": ...}, or {"text": [...], "label": [...]}."""
    if _is_picture(value):
        raise _pictures()
    texts = _first_key(value, _TEXT_KEYS)
    if isinstance(texts, (list, tuple)):
        return _labelled(list(texts), _first_key(value, _LABEL_KEYS))
    letters = [name.strip().upper() for name in map(str, value)]
    if "".join(letters) == LETTERS[: len(letters)]:
        return Choices(_as_texts(["" if _is_missing(text) else text for text in value.values()]))
    if letters and all(name.isdigit() for name in letters):
        return _labelled(list(value.values()), letters)
    raise _unreadable(dict(value))


def _labelled(texts: list[Any], labels: Any) -> Choices:
    options = _as_texts(texts)
    names = tuple(str(label).strip() for label in labels or () if not _is_missing(label))[: len(options)]
    if len(names) != len(options) or names == tuple(LETTERS[: len(names)]):
        names = ()
    return Choices(options, names)


def _first_key(mapping: Mapping[str, Any], keys: Iterable[str]) -> Any:
    return next((mapping[key] for key in keys if mapping.get(key) is not None), None)


def _parsed(text: str) -> Any:
    """The list, or the mapping, in a text; None for an empty one."""
    text = text.strip()
    if text[:1] in "[({" and (value := spelled(text, list, tuple, dict)) is not None:
        return value
    if not text or text.casefold() in ("nan", "none", "null", "n/a", "[]"):
        return None
    if options := _marked_parts(text):
        return options
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > 1:
        return lines
    raise _unreadable(text)


def spelled(text: str, *kinds: type) -> Any:
    """What a text spells in JSON or Python, where that is of one of these kinds; else None."""
    for read in (_from_json, _from_python):
        try:
            value = read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            continue
        if isinstance(value, kinds):
            return value
    return None


def _from_json(text: str) -> Any:
    return read_json(text, object, any_number=True)


def _from_python(text: str) -> Any:
    if len(text) > _LONGEST_LITERAL:
        raise ForeignError(f"has more than {_LONGEST_LITERAL:,} characters")
    return ast.literal_eval(parse_python(text.lstrip(" \t")))


def _marked_parts(text: str) -> list[str]:
    """What stands behind A, B, C, ... in a text that begins with the first of them."""
    places: list[re.Match[str]] = []
    letters = LETTERS if re.match(r"\W*[A-Z]", text) else LETTERS.lower()
    for match in _MARKS_WITHIN.finditer(text):
        if match[1] == letters[len(places) : len(places) + 1]:
            places.append(match)
    if len(places) < 2 or text[: places[0].start()].strip():
        return []
    ends = [match.start() for match in places[1:]] + [len(text)]
    return [text[match.end() : end].strip().rstrip(";,|/").strip() for match, end in zip(places, ends, strict=True)]


def _as_texts(values: Iterable[Any]) -> tuple[str, ...]:
    """The options as texts, without the letters that they may bring; missing ones at the end are no options."""
    texts = []
    for value in values:
        if _is_picture(value):
            raise _pictures()
        if isinstance(value, (list, tuple, Mapping)):
            raise _unreadable(value)
        texts.append("" if _is_missing(value) else _text(value))
    while texts and (not texts[-1] or texts[-1].casefold() == "nan"):  # MMBench has the word where an option is missing
        texts.pop()
    marks = [_MARK.match(text) for text in texts]
    if len(marks) > 1 and all(
        match and match[1].upper() == letter for match, letter in zip(marks, LETTERS, strict=False)
    ):
        texts = [text[match.end() :].strip() for text, match in zip(texts, marks, strict=True) if match]
    empty = [LETTERS[place] for place, text in enumerate(texts[: len(LETTERS)]) if not text]
    if empty:
        raise RowError("options_unreadable", f"option {empty[0]} is empty, and there are {len(texts)} options")
    if len(texts) == 1:
        raise RowError("options_unreadable", f"there is only one option ({texts[0][:60]!r})")
    if len(texts) > len(LETTERS):
        raise RowError("options_unreadable", f"there are {len(texts)} options, more than letters")
    return tuple(texts)


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    return str(value).strip()


def _is_missing(value: Any) -> bool:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    if isinstance(value, Mapping):
        return not any(cell is not None for cell in value.values())
    return isinstance(value, (str, list, tuple)) and not len(value)


def _is_picture(value: Any) -> bool:
    """Bytes, a decoded picture, or the struct of an Image feature."""
    if isinstance(value, Mapping):
        return {"bytes", "path"} <= set(value)
    return isinstance(value, (bytes, bytearray)) or hasattr(value, "getpalette")


def _pictures() -> RowError:
    return RowError(
        "options_unreadable",
        "the options are pictures, and an option has to be a text: put them into one picture, or into the image column "
        "with <image 2>, <image 3>, ... as the texts of the options",
    )


def _unreadable(value: Any) -> RowError:
    shown = " ".join(repr(value).split())
    return RowError(
        "options_unreadable",
        f"{shown[:80]} is no list of options: a list of texts, its text (Python or JSON), or 'A. x; B. y' is one. "
        "Name the right column, or leave this one out (Layout(ignore=...), --ignore-columns)",
    )
