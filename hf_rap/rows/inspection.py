"""What would go wrong with a dataset, found before any model runs."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hf_rap.errors import RowError, SourceError
from hf_rap.verify import read_gold

from .cells import columns_of
from .compat import progress_bar
from .layouts import Layout, check_given
from .questions import raw_rows, read_question, row_id
from .settling import settle
from .turns import each_turn

if TYPE_CHECKING:
    from collections.abc import Iterator

    import datasets

ROWS_PER_STEP = 256


@dataclass(frozen=True)
class Problem:
    """One row that could not be scored, or not fully."""

    index: int
    row_id: str
    code: str
    message: str


@dataclass(frozen=True)
class Inspection:
    """What was found in a dataset.

    Attributes:
        layout: which column is what.
        rows: how many there are.
        usable: rows that can be asked with and without an image and have a readable gold answer.
        problems: the others, in their order. A row has one entry per problem.
        duplicates: rows whose `rap_id` stood in an earlier row already.
        images_per_row: number of images -> rows.

    """

    layout: Layout
    rows: int
    usable: int
    problems: tuple[Problem, ...]
    duplicates: int
    images_per_row: dict[int, int]

    @property
    def codes(self) -> dict[str, int]:
        """How many problems of which kind, the most frequent first."""
        return dict(Counter(problem.code for problem in self.problems).most_common())

    def as_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return {**asdict(self), "codes": self.codes}


def inspect_dataset(ds: datasets.Dataset, layout: Layout | None = None) -> Inspection:
    """Reads every question, image and gold answer, and no model.

    Raises:
        SourceError: the dataset has no rows.
        LayoutError: the layout is not recognised, or one of its columns is missing.
    """
    check_given(layout)
    if len(ds) == 0:
        raise SourceError("The dataset has no rows.")
    ds, layout = each_turn(ds, layout)
    layout, _ = settle(layout, ds)
    problems: list[Problem] = []
    images: Counter[int] = Counter()
    ids: set[str] = set()
    usable = 0
    for index, row in enumerate(_rows(ds, layout)):
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
        problems += [Problem(index, name, error.code, error.message) for error in errors]
    return Inspection(layout, len(ds), usable, tuple(problems), len(ds) - len(ids), dict(sorted(images.items())))


def _rows(ds: datasets.Dataset, layout: Layout) -> Iterator[dict[str, Any]]:
    """All rows, undecoded, a few at a time."""
    plain = ds.select_columns(layout.columns_in(ds.column_names)).with_format("arrow")
    progress = progress_bar("inspect", unit=" rows", total=len(ds))
    with progress:
        for table in plain.iter(batch_size=ROWS_PER_STEP):
            yield from raw_rows(columns_of(table), layout)
            progress.update(len(table))
