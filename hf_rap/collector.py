"""What every maker of evidence tells of itself, so that `collect`, runs and clusters need not know which one it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from .columns import ERROR, features_of, refuse_existing
from .layouts import Layout, check_layout, recognise_layout, row_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import datasets
    from typing_extensions import Self

    from .columns import Column
    from .engines.base import Engine

ROWS_AT_ONCE = 64  # the engine batches on its own
# Not a failure: the row is what it is.
_NO_FAULT = "no_image"


class Collector:
    """Makes evidence for batches of rows: `Rollouts`, `Attention`, `Likelihood`, `Controls` or `StepRewards`.

    The way of one row:

        layout = collector.check(ds.features)              # do the columns fit? before a model is loaded
        collector = collector.over(ds)                     # for those that look at other rows, too
        names = layout.columns, collector.reads(ds.features)  # all that the evidence depends on, with `settings`
        row_id = collector.row_id(row, layout)             # what people know the row by
        first, attempts = what it has not yet, of collector.goal
        evidence = collector.only(first, attempts, arm)(batch)  # the columns of collector.writes; None: every arm
        collector.failures(evidence), collector.tokens(evidence)
        collector.join({arm: [(range, evidence), ...]}, {arm: attempts})  # one row from what was collected at several times

    Only rollouts have attempts to add to: `goal` is 1 and `only` and `join` do nothing elsewhere.
    """

    kind: ClassVar[str]
    """What it makes, for people."""
    tops_up: ClassVar[bool] = False
    """A row that has some attempts can get more."""
    separate_arms: ClassVar[tuple[str | None, ...]] = (None,)
    """What has attempts of its own, which can be collected one by one; (None,) for evidence that is made as a whole."""

    engine: Engine
    layout: Layout | None

    @property
    def writes(self) -> tuple[Column, ...]:
        """The columns that are added."""
        raise NotImplementedError

    @property
    def features(self) -> datasets.Features:
        """The types of the columns that are added."""
        return features_of(self.writes)

    @property
    def goal(self) -> int:
        """Attempts that a row is to have."""
        return 1

    @property
    def rows_at_once(self) -> int:
        """Rows to hand over together: enough to keep the engine busy, few enough to lose."""
        return getattr(self.engine, "rows_per_part", ROWS_AT_ONCE)

    def settings(self) -> dict[str, Any]:
        """JSON-able: everything that could change the evidence of a row. Loads the model."""
        raise NotImplementedError

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Evidence for the rows of `batch`, as new columns."""
        raise NotImplementedError

    def reads(self, available: Iterable[str]) -> tuple[str, ...]:
        """The columns that are read beside those of the layout.

        Raises:
            MissingColumnError: one that has to be there is not `available`.
        """
        del available
        return ()

    def check(self, available: Iterable[str]) -> Layout:
        """The layout of a dataset with these columns.

        Args:
            available: `ds.features`, or just the names.

        Raises:
            LayoutError: the layout is not recognised, or a column is missing.
            ColumnExistsError: a column that would be written is there already.
        """
        self.reads(available)
        refuse_existing(type(self).__name__, available, self.writes)
        layout = self.layout or recognise_layout(available)
        check_layout(layout, available)
        return layout

    def row_id(self, row: Mapping[str, Any], layout: Layout) -> str:
        """What people know the row by; `row` has the columns of the layout and of `reads`."""
        return row_id(row, layout)

    def over(self, ds: datasets.Dataset) -> Self:
        """The same, once it knows all the rows that it will get; most need not know."""
        del ds
        return self

    def only(self, first: int, attempts: int, arm: str | None = None) -> Self:
        """The same for these attempts alone, of one arm or of all."""
        del first, attempts, arm
        return self

    def join(
        self, pieces: Mapping[str | None, Sequence[tuple[range, Mapping[str, Any]]]], attempts: Mapping[str | None, int]
    ) -> dict[str, Any]:
        """One row of evidence from those of its attempts, which follow each other, with so many attempts per arm."""
        del attempts
        ((_, row),) = pieces[None]
        return dict(row)

    def failures(self, evidence: Mapping[str, Sequence[Any]]) -> list[str | None]:
        """Per row an error that another try could change, or that a person should look at."""
        errors: Sequence[str | None] = evidence[ERROR.name]
        return [None if error is None or error.startswith(_NO_FAULT) else error for error in errors]

    def tokens(self, evidence: Mapping[str, Sequence[Any]]) -> int | None:
        """Tokens that the model wrote or read for these rows; None where that is not counted."""
        del evidence
        return None
