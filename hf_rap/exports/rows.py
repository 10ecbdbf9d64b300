"""Anything that can be exported -> rows with the universal columns, or the reason why not."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from hf_rap.columns import EVIDENCE_NAMES, PREFIX, SETTINGS
from hf_rap.errors import RowError
from hf_rap.rows.cells import rows_of
from hf_rap.rows.layouts import Layout
from hf_rap.rows.paths import is_there, value_at
from hf_rap.rows.settling import settle
from hf_rap.tables import whole_dataset

from .asked import Asked
from .hinted import hinted_columns, the_hinted_column, with_hint
from .universal import UNIVERSAL, universal_columns, universal_features

if TYPE_CHECKING:
    from collections.abc import Iterator

    import datasets

    from hf_rap.rows.prompts import PromptTemplate

# As `hf_rap.versions.folder` writes `selected`: the list of accepted answers is kept inside `extra_info`.
PUBLISHED = Layout("problem", "images", "extra_info.accepted", "id", "data_source", name="hf_rap")
OPTIONS = "extra_info.options"
_LATER = {"prompt_text"}  # versions of before have not
ROWS_PER_STEP = 128  # in memory at once, with the files of their images


@dataclass(frozen=True)
class Refused:
    """A row that cannot be handed over, and why."""

    index: int
    row_id: str
    code: str
    message: str


@dataclass(frozen=True, eq=False)
class ExportRows:
    """The rows of `ds` with the universal columns and the scores, read anew by every loop.

    Args:
        ds: what `load_dataset` or `Selection.selected` gives.
        layout: which column is what; None recognises it.
        data_source: for rows that name none.
        prompts: the prompt of each row.
        hints: the hints of difficulty in a column of `add_difficulty_hint` stand behind the questions that are asked.

    """

    ds: datasets.Dataset
    layout: Layout
    data_source: str = "unknown"
    prompts: Asked = field(default_factory=Asked)
    hints: bool = False

    @property
    def hinted(self) -> list[str]:
        """The columns with hints."""
        return hinted_columns(self.ds.column_names)

    @property
    def scores(self) -> list[str]:
        """The columns that go along: everything hf_rap added that is no evidence."""
        return [name for name in self.ds.column_names if name.startswith(PREFIX) and name not in EVIDENCE_NAMES]

    @property
    def features(self) -> datasets.Features:
        """Of the rows."""
        features = universal_features()
        return type(features)({**features, **{name: self.ds.features[name] for name in self.scores}})

    def __len__(self) -> int:
        return len(self.ds)

    def __iter__(self) -> Iterator[dict[str, Any] | Refused]:
        scores = self.scores
        wanted = {*self.layout.columns_in(self.ds.column_names), *scores, "extra_info", SETTINGS.name}
        kept = [name for name in self.ds.column_names if name in wanted]
        stored = self.ds.select_columns(kept).with_format("arrow")
        index = 0
        for table in stored.iter(batch_size=ROWS_PER_STEP):
            for raw in rows_of(table):
                yield self._row(raw, index, scores)
                index += 1

    def _row(self, raw: dict[str, Any], index: int, scores: list[str]) -> dict[str, Any] | Refused:
        # A published row remembers its number among all rows that were scored.
        info = (raw.get("extra_info") or {}) if self.layout.name == PUBLISHED.name else {}
        number = info.get("index", index)
        prompt = self.prompts.of_row(raw.get(SETTINGS.name), info.get("prompt"))
        try:
            made = universal_columns(
                {name: [value] for name, value in raw.items()},
                self.layout,
                [number],
                data_source=self.data_source,
                prompts=[prompt],
            )
        except RowError as error:
            # Without the place, which stands beside it.
            alone = error.__cause__ if isinstance(error.__cause__, RowError) else error
            return Refused(index, str(value_at(raw, self.layout.id) or ""), error.code, alone.message)
        row = {name: values[0] for name, values in made.items()}
        if self.hints:
            row = with_hint(row, raw[self.hinted[0]])
        return {**row, **{name: raw[name] for name in scores}}


def export_rows(
    ds: datasets.Dataset,
    *,
    layout: Layout | None = None,
    data_source: str = "unknown",
    prompt: PromptTemplate | None = None,
    among: datasets.Dataset | None = None,
    hints: bool = False,
) -> ExportRows:
    """The rows of a dataset in any layout that hf_rap reads; a published one is taken as it is.

    Args:
        ds: the dataset.
        layout: which column is what; None recognises it.
        data_source: for rows that name none.
        prompt: what stands around the question, in the place of what it was when the rows were scored.
        among: the rows that they were chosen from, which say more about the layout (how golds name their options).
        hints: put the hints of difficulty behind the questions.

    Raises:
        SettingError: there is no column with hints, or there are several.
        LayoutError: the layout is not recognised, or one of its columns is missing.

    """
    ds = whole_dataset("export", ds)
    if layout is None and set(UNIVERSAL) - _LATER <= set(ds.column_names):
        has_options = is_there(ds.features, OPTIONS)
        layout = replace(PUBLISHED, choices=OPTIONS) if has_options else PUBLISHED
    if hints:
        the_hinted_column(ds.column_names)
    return ExportRows(
        ds, settle(layout, ds if among is None else among).layout, data_source, Asked.of(ds, prompt), hints
    )
