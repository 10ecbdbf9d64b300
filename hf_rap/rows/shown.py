"""One row as a model will be asked, and its gold as the grader reads it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from hf_rap.errors import RowError
from hf_rap.tables.notebook import Html, picture
from hf_rap.verify import read_gold

from .choices import LETTERS
from .questions import Question, read_question, row_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .layouts import Layout
    from .prompts import PromptTemplate


@dataclass(frozen=True)
class Shown:
    """A row, spelled out.

    Attributes:
        index: its place in the dataset.
        row_id: as `rap_id` has it.
        prompt: the chat that the model gets with the images, each of them as `[width x height]`. Empty for a row that
            cannot be asked.
        gold: what is right, as the dataset says it; of a multiple choice the letter and the text of the option.
        read_as: what the built-in grader compares replies with, each with its kind ("B (choice)").
        problem: why it cannot be asked, or not graded; None for nothing.
        thumbnail: of its first picture, for a notebook; empty where there is none.

    """

    index: int
    row_id: str
    prompt: str
    gold: str
    read_as: tuple[str, ...]
    problem: str | None = None
    thumbnail: Html = field(default=Html(), repr=False, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """As JSON-able values, without the picture."""
        values = asdict(self)
        del values["thumbnail"]
        return values

    def __str__(self) -> str:
        indented = self.prompt.replace("\n", "\n  ")
        lines = (
            [f"row {self.index} ({self.row_id})", f"  {indented}"]
            if indented
            else [f"row {self.index} ({self.row_id})"]
        )
        if self.read_as:
            lines.append(f"  gold: {self.gold}, read as {' or '.join(self.read_as)}")
        if self.problem:
            lines.append(f"  {self.problem}")
        return "\n".join(lines)


def show_row(index: int, row: Mapping[str, Any], layout: Layout, prompt: PromptTemplate) -> Shown:
    """The row as it will be asked; one that cannot be says why.

    Args:
        index: its place in the dataset.
        row: of `raw_rows`.
        layout: which column is what, settled.
        prompt: what stands around the question.
    """
    try:
        question = read_question(row, layout)
    except RowError as error:
        return Shown(index, row_id(row, layout), "", "", (), str(error))
    sizes = [f"[{image.width} x {image.height}]" for image in question.images]
    shown = show_question(index, question, prompt, sizes)
    return replace(shown, thumbnail=picture(question.images[0])) if question.images else shown


def show_question(index: int, question: Question, prompt: PromptTemplate, pictures: Iterable[str]) -> Shown:
    """The same of a question that was read; `pictures` stand for its pictures in the prompt, in their order."""
    words = iter(pictures)
    turns = []
    for turn in prompt.messages(question.text, system=question.system):
        text = "".join(next(words) if block["type"] == "image" else block["text"] for block in turn["content"])
        turns.append(f"{turn['role']}: {text}")
    problem = None
    read_as: tuple[str, ...] = ()
    try:
        gold = read_gold(question.answer, question=question.text, options=question.options or None)
        read_as = tuple(f"{accepted.text} ({accepted.kind})" for accepted in gold.accepted)
    except RowError as error:
        problem = str(error)
    return Shown(index, question.id, "\n".join(turns), _gold(question), read_as, problem)


def _gold(question: Question) -> str:
    """The answer, a letter with the text of its option."""
    answer = str(question.answer)
    place = LETTERS.find(answer) if len(answer) == 1 else -1
    return f"{answer} ({question.options[place]})" if 0 <= place < len(question.options) else answer
