"""The gold answer in a cell, whatever it is wrapped in: a chat, a struct, the answers of several people, a class label.

{"text": "two", "label": "B"}                                     any of them is right
[{"answer": "net", "answer_confidence": "yes"}, ...]              VQAv2: the answers of ten people
["nokia", "nokia", "Nokia phone"]                                 TextVQA, DocVQA
"['nokia', 'Nokia phone']"                                        the text of such a list, in files of CSV
"14<OR>fourteen"                                                  MM-Vet
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hf_rap.errors import RowError
from hf_rap.verify import read_gold

from .choices import spelled

if TYPE_CHECKING:
    from collections.abc import Sequence

ANY, MAJORITY = SEVERAL = ("any", "majority")
# Fields of a struct that say what is right; others (confidence, position, explanation) say something about it.
_KEYS = ("text", "answer", "answers", "value", "final_answer", "ground_truth", "aliases", "label", "option", "letter")


_OR = re.compile(r"\s*<OR>\s*")
# "Is the line longer?", "According to the chart, does it rise?"; not "Is it 3 or 4?", "Can you count the dogs?"
_ASKS_YES_OR_NO = re.compile(
    r"(?:^|[.,:;!?>)\n]\s*)(?:is|are|was|were|does|do|did|has|have|had|can|could|will|would|should)\s+"
    r"(?!.*\b(?:or|how|what|which|who|where|when|number|count|many|much|tell|find|value)\b)[^.?!]*\?\W*$"
    r"|\b(?:yes\s*(?:or|/)\s*no|true\s*(?:or|/)\s*false)\b",
    re.IGNORECASE,
)


def plain_gold(answer: Any, several: str = ANY) -> Any:
    """The text, number or flag that is right, or a list of those of which any is.

    Args:
        answer: the cell.
        several: of the answers of several people "any" counts, or the "majority" alone (the first of those that are
            given most often).

    >>> plain_gold({"text": "two", "label": "B"}), plain_gold(["net", "Net", "racket"], "majority")
    (['two', 'B'], 'net')
    """
    if hasattr(answer, "tolist"):
        answer = answer.tolist()
    answer = _of_text(answer) if isinstance(answer, str) else answer
    values = _flat(answer)
    if values is None:
        return answer
    if several == MAJORITY and values:
        ((most, _),) = Counter(_plain(value) for value in values).most_common(1)
        return next(value for value in values if _plain(value) == most)
    different = list({_plain(value): value for value in reversed(values)}.values())[::-1]
    readable = [value for value in different if _is_readable(value)] if len(different) > 1 else different
    different = readable or different
    return different[0] if len(different) == 1 and not isinstance(answer, (list, tuple)) else different


def _of_text(answer: str) -> Any:
    """The list of texts, or the struct, that a text spells; other texts, "[2, 3]" and "{1, 2}" among them, stay as they are."""
    if "<OR>" in answer and "<AND>" not in answer:
        return [part for part in _OR.split(answer.strip()) if part]
    value = spelled(answer.strip(), list, dict) if answer.lstrip()[:1] in ("[", "{") else None
    if isinstance(value, Mapping):
        return value if _flat(value) else answer
    return value if value and all(isinstance(part, (str, Mapping)) for part in value) else answer


def check_flag(answer: Any, question: str) -> None:
    """Raise `RowError` for a gold of 0 or 1 to a question that asks for yes or no: which is which, only a person can say."""
    is_flag = not isinstance(answer, bool) and str(answer).strip() in ("0", "1", "0.0", "1.0")
    if is_flag and _ASKS_YES_OR_NO.search(question):
        raise RowError(
            "gold_unreadable",
            f"the gold answer is {answer!r}, and the question asks for yes or no: say what 0 and 1 mean, "
            "Layout(labels=('no', 'yes')) in Python, --labels no,yes on the command line (0,1 if they are numbers)",
        )


def _flat(answer: Any) -> list[Any] | None:
    """The answers in a struct or a list, None where it is neither, or a struct that says nothing known."""
    if isinstance(answer, Mapping):
        cells = [answer[key] for key in _KEYS if answer.get(key) is not None]
        if not cells:
            return None
        return [
            value for cell in cells for value in (_flat(cell) if isinstance(cell, (list, Mapping)) else [cell]) or []
        ]
    if isinstance(answer, (list, tuple)):
        flat: list[Any] = []
        for value in answer:
            inner = _flat(value) if isinstance(value, (list, tuple, Mapping)) else [value]
            if inner is None:
                return None
            flat += inner
        return flat
    return None


def named_label(value: Any, labels: Sequence[str]) -> Any:
    """The name of a class label, whose number may be written as a text; what is no number of a class stays as it is."""
    if isinstance(value, (list, tuple)):
        return [named_label(item, labels) for item in value]
    if isinstance(value, str) and value not in labels and value.isascii() and value.isdigit():
        value = int(value)
    is_number = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(labels)
    return labels[value] if is_number else value


def is_readable(answer: Any) -> bool:
    """Whether the built-in verifier can compare a reply with it."""
    return _is_readable(plain_gold(answer))


def _is_readable(value: Any) -> bool:
    try:
        read_gold(value)
    except RowError:
        return False
    return True


def _plain(value: Any) -> str:
    return " ".join(str(value).split()).casefold()
