"""What would go wrong with a dataset, found before any model runs."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from hf_rap.errors import RowError, SourceError, visible
from hf_rap.tables import whole_or_stream
from hf_rap.tables.notebook import code, html_page, html_table
from hf_rap.verify import read_gold

from .cells import columns_of
from .compat import progress_bar
from .layouts import Layout, check_given, unread_columns
from .presets import find_prompt
from .prompts import DEFAULT_PROMPT
from .questions import raw_rows, read_question, row_id
from .recognition import unused_columns
from .settling import Settled, first_rows, settle, undecoded
from .shown import Shown, show_row
from .turns import each_turn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import datasets

    from .prompts import PromptTemplate

SHOWN = 3  # rows that are spelled out
ROWS_PER_STEP = 256


@dataclass(frozen=True)
class Problem:
    """One row that could not be scored, or not fully."""

    index: int
    row_id: str
    code: str
    message: str


@dataclass(frozen=True, repr=False)
class Inspection:
    """What was found in a dataset.

    Attributes:
        layout: which column is what.
        rows: how many there are.
        usable: rows that can be asked with and without an image and have a readable gold answer.
        problems: the others, in their order. A row has one entry per problem.
        duplicates: rows whose `rap_id` stood in an earlier row already.
        images_per_row: number of images -> rows.
        shown: some rows as a model will be asked.
        unused: columns with usual names that are not read -> the option that would read them.
        unread: sentences about columns of options or pictures that nothing reads; with them no model is asked.
        remarks: what was decided by the rows.

    """

    layout: Layout
    rows: int
    usable: int
    problems: tuple[Problem, ...]
    duplicates: int
    images_per_row: dict[int, int]
    shown: tuple[Shown, ...] = ()
    unused: dict[str, str] = field(default_factory=dict)
    unread: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def codes(self) -> dict[str, int]:
        """How many problems of which kind, the most frequent first."""
        return dict(Counter(problem.code for problem in self.problems).most_common())

    @property
    def facts(self) -> dict[str, Any]:
        """The counts in words, by their names."""
        layout = self.layout
        named = {
            "question": layout.question,
            "images": ", ".join(layout.image_columns) or "none",
            "answer": layout.answer,
            **({"choices": ", ".join(layout.choice_columns)} if layout.choices else {}),
            **({"golds are": layout.answers_as} if layout.choices else {}),
        }
        return {
            "layout": f"{layout.name} ({'; '.join(f'{what}: {columns}' for what, columns in named.items())})",
            "rows": self.rows,
            "usable": self.usable,
            "duplicates": self.duplicates,
            "images per row": ", ".join(f"{rows} rows with {count}" for count, rows in self.images_per_row.items()),
            **({"not read": ", ".join(f"{name} ({how})" for name, how in self.unused.items())} if self.unused else {}),
        }

    def as_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        shown = [row.as_dict() for row in self.shown]
        return {**asdict(self), "layout": self.layout.as_dict(), "shown": shown, "codes": self.codes}

    def __repr__(self) -> str:
        facts = [f"  {name}: {visible(str(value), _WIDTH)}" for name, value in self.facts.items()]
        codes = [f"{code}: {count}" for code, count in self.codes.items()]
        more = [f"  problems: {visible(', '.join(codes), _WIDTH)}"] if codes else []
        more += [f"  {visible(sentence, _WIDTH)}" for sentence in (*self.unread, *self.remarks)][:3]
        return "\n".join(["Inspection", *facts, *more])

    def _repr_html_(self) -> str:
        first = {problem.code: problem for problem in reversed(self.problems)}
        problems = [
            (code(name), rows, f"row {first[name].index:,}: {first[name].message}") for name, rows in self.codes.items()
        ]
        shown = [
            (row.thumbnail, f"row {row.index:,}", code(row.row_id, 40), row.prompt, row.gold, " or ".join(row.read_as))
            for row in self.shown
        ]
        return html_page(
            f"Inspection: {self.usable:,} of {self.rows:,} rows can be used",
            html_table(self.facts.items()),
            *self.unread,
            *self.remarks,
            *([html_table(problems, ("problem", "rows", "the first"))] if problems else []),
            *([html_table(shown, ("", "", "id", "as a model is asked", "gold", "read as"))] if shown else []),
        )


_WIDTH = 200  # of a line of a repr


def inspect_dataset(
    ds: datasets.Dataset | datasets.IterableDataset | datasets.DatasetDict,
    layout: Layout | None = None,
    *,
    prompt: PromptTemplate | str = DEFAULT_PROMPT,
) -> Inspection:
    """Reads every question, image and gold answer, and no model.

    Args:
        ds: a `Dataset`, the only split of a `DatasetDict`, or a stream, which is read to its end.
        layout: which column is what; None recognises it.
        prompt: what stands around the question in the rows that are shown: a `PromptTemplate`, a preset or a file.

    Raises:
        SettingError: `ds` is none of these.
        SourceError: the dataset has no rows.
        LayoutError: the layout is not recognised, one of its columns is missing, or golds are numbers of options and nothing
            says from where they count.

    Examples:
        >>> from hf_rap.demo import make_planted
        >>> print(inspect_dataset(make_planted(6)).usable)
        5

    """
    template = find_prompt(prompt)
    rows, (layout, remarks), types = _opened("inspect_dataset", ds, layout)
    total = len(rows) if hasattr(rows, "__len__") else 0  # of a stream the first rows are shown
    problems: list[Problem] = []
    shown: list[Shown] = []
    images: Counter[int] = Counter()
    ids: set[str] = set()
    usable = index = 0
    for index, row in enumerate(_rows(rows, layout), 1):
        errors = []
        name = None
        try:
            question = read_question(row, layout)
            name = question.id
            images[len(question.images)] += 1
            if not question.images:
                errors.append(RowError("no_image", "the row has no image: its cde will be null"))
            read_gold(question.answer, question=question.text, options=question.options or None)
        except RowError as error:
            errors.append(error)
        name = name or row_id(row, layout)
        ids.add(name)
        usable += not errors
        if not errors and len(shown) < SHOWN and index > len(shown) * total // SHOWN:
            shown.append(show_row(index - 1, row, layout, template))
        problems += [Problem(index - 1, name, error.code, error.message) for error in errors]
    return Inspection(
        layout,
        index,
        usable,
        tuple(problems),
        index - len(ids),
        dict(sorted(images.items())),
        shown=tuple(shown),
        unused=unused_columns(layout, types),
        unread=tuple(unread_columns(layout, types)),
        remarks=remarks,
    )


def inspect_row(
    ds: datasets.Dataset | datasets.IterableDataset | datasets.DatasetDict,
    name: str,
    layout: Layout | None = None,
    *,
    prompt: PromptTemplate | str = DEFAULT_PROMPT,
) -> Shown:
    """One row as a model will be asked, by its `rap_id`.

    Raises:
        SourceError: no row is called so.
        SettingError, LayoutError: as `inspect_dataset`.
    """
    template = find_prompt(prompt)
    rows, (layout, _), _ = _opened("inspect_row", ds, layout)
    for index, row in enumerate(_rows(rows, layout)):
        if row_id(row, layout) == name:
            return show_row(index, row, layout, template)
    raise SourceError(f"No row has the rap_id {name!r}.")


def _opened(reader: str, ds: Any, layout: Layout | None) -> tuple[Any, Settled, Mapping[str, Any]]:
    """The rows of which each asks one question, their layout, and the types of their columns."""
    check_given(layout)
    rows, layout = each_turn(whole_or_stream(reader, ds), layout)
    looked_at = first_rows(rows)
    return rows, settle(layout, looked_at, despite_unread=True), looked_at.features


def _rows(ds: datasets.Dataset | datasets.IterableDataset, layout: Layout) -> Iterator[dict[str, Any]]:
    """All rows, undecoded, a few at a time."""
    plain = ds if ds.features is None else ds.select_columns(layout.columns_in(ds.features))
    total = len(ds) if hasattr(ds, "__len__") else None
    stored = undecoded(plain) if total is None else plain.with_format("arrow")
    progress = progress_bar("inspect", unit=" rows", total=total)
    with progress:
        for table in stored.iter(batch_size=ROWS_PER_STEP):
            rows = raw_rows(table if isinstance(table, dict) else columns_of(table), layout)
            yield from rows
            progress.update(len(rows))
