"""What would go wrong with a dataset, found before any model runs."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hf_rap.errors import RowError, SourceError
from hf_rap.tables import whole_or_stream
from hf_rap.verify import read_gold

from .compat import progress_bar
from .layouts import Layout, check_given, layout_of, raw_rows, read_question, row_id

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


def inspect_dataset(
    ds: datasets.Dataset | datasets.IterableDataset | datasets.DatasetDict, layout: Layout | None = None
) -> Inspection:
    """Reads every question, image and gold answer, and no model.

    Args:
        ds: a `Dataset`, the only split of a `DatasetDict`, or a stream, which is read to its end.
        layout: which column is what; None recognises it from the column names.

    Raises:
        SettingError: `ds` is none of these.
        SourceError: the dataset has no rows.
        LayoutError: the layout is not recognised, or one of its columns is missing.
    """
    import datasets

    rows = whole_or_stream("inspect_dataset", ds)
    check_given(layout)
    streamed = isinstance(rows, datasets.IterableDataset)
    features = rows.features
    if streamed:
        rows = rows.with_format(None) if features is None else rows.with_format(None).decode(False)
    first: Any = next(iter(rows), None) if streamed else len(rows) or None
    if first is None:
        raise SourceError("The dataset has no rows.")
    layout = layout_of(layout, first if features is None else features)
    problems: list[Problem] = []
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
            read_gold(question.answer, question=question.text)
        except RowError as error:
            errors.append(error)
        name = name or row_id(row, layout)
        ids.add(name)
        usable += not errors
        problems += [Problem(index - 1, name, error.code, error.message) for error in errors]
    return Inspection(layout, index, usable, tuple(problems), index - len(ids), dict(sorted(images.items())))


def _rows(ds: datasets.Dataset | datasets.IterableDataset, layout: Layout) -> Iterator[dict[str, Any]]:
    """All rows, undecoded, a few at a time."""
    names = ds.column_names
    plain = ds if names is None else ds.select_columns(layout.columns_in(names))
    total = len(ds) if hasattr(ds, "__len__") else None
    stored = plain if total is None else plain.with_format("arrow")
    progress = progress_bar("inspect", unit=" rows", total=total)
    with progress:
        for table in stored.iter(batch_size=ROWS_PER_STEP):
            batch = table if isinstance(table, dict) else table.to_pydict()
            rows = raw_rows(batch, layout)
            yield from rows
            progress.update(len(rows))
