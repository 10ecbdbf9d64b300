"""A selection -> the rows of each config of a version, batch by batch.

    selected   the rows that are kept, in the columns that trainers read (the default config)
    scored     every row as it was, with its evidence, scores and decision
    control    as many rows drawn at random, for training runs to compare with; in the columns of `selected`

`scored` has all rows and columns of the selection. Left out of the other two, and in `scored` only: evidence
columns, a user's column that has the name of a universal one, and the image column of the layout, whose
content is in `images`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hf_rap.columns import ACE_SETTINGS, ERROR, EVIDENCE_NAMES, PREFIX, REASON, SETTINGS
from hf_rap.errors import NothingSelectedError, PublishError, RowError
from hf_rap.exports.asked import Asked
from hf_rap.exports.hinted import the_hinted_column, with_hint
from hf_rap.exports.pictures import ANY
from hf_rap.exports.universal import UNIVERSAL, universal_columns, universal_features
from hf_rap.options import check, check_flags, check_text
from hf_rap.reports.reporting import report_bytes
from hf_rap.rows.cells import columns_of
from hf_rap.rows.layouts import Layout, check_given
from hf_rap.rows.parquet import Embedder, bytes_in, cuts
from hf_rap.rows.provenance import SourceInfo
from hf_rap.rows.settling import settle
from hf_rap.select import Selection
from hf_rap.select.duplicates import DUPLICATE
from hf_rap.stats.arrays import arrow_columns, ids_of, numbers_of, seeded_order

from .groups import cut_at, cut_by_ids

if TYPE_CHECKING:
    from collections.abc import Iterator

    import datasets
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

SELECTED, SCORED, CONTROL = CONFIGS = ("selected", "scored", "control")
# Rows that are in memory at once, with the files of their images.
BATCH_ROWS = 128


def check_selection(
    selection: Selection, layout: Layout | None, source: SourceInfo | None, licence: str | None, **flags: bool
) -> None:
    """Raise `SettingError` for what cannot be published at all, such as a bare dataset, and for options that are none."""
    takes = "what select_cognitive(ds) returns; for rows as they are, export(ds, path), or ds.push_to_hub(repo)"
    check(isinstance(selection, Selection), "selection", selection, takes)
    check_given(layout)
    fine = source is None or isinstance(source, SourceInfo)
    check(fine, "source", source, "what describe_source(...) returns, or None")
    check_text("licence", licence, none=True)
    check_flags(**flags)


@dataclass(frozen=True, eq=False)
class Content:
    """What a version holds.

    Args:
        selection: what `select_cognitive` returned; at least one row is kept.
        layout: which column is what; None recognises it.
        data_source: `data_source` of rows that do not say their own.
        embedder: reads the images of `scored`, and counts those that it cannot read.
        random_control: add the config `control`.
        hints: put the hints of `add_difficulty_hint` behind the questions of `selected` and `control`.
        page: the rows to look at, in one file.

    Raises:
        NothingSelectedError: no row is kept.
        LayoutError: the layout is not recognised, or a column is missing.

    """

    selection: Selection
    layout: Layout
    data_source: str
    embedder: Embedder
    random_control: bool = False
    hints: bool = False
    page: bytes | None = None
    _starts: list[int] = field(default_factory=list, init=False, repr=False)
    """The first row of each row group of `scored`; known once it was written."""

    @classmethod
    def of(
        cls,
        selection: Selection,
        layout: Layout | None,
        data_source: str,
        *,
        random_control: bool = False,
        hints: bool = False,
        report: str | None = None,
    ) -> Content:
        """Check first, so that nothing is written that cannot be read; `report` is the title of a page to look at."""
        if not len(selection.selected):
            reasons = ", ".join(f"{reason}: {rows:,}" for reason, rows in selection.reasons.items())
            raise NothingSelectedError(
                f"Nothing is selected ({reasons}), and load_dataset cannot load a config without rows. Loosen the rule."
            )
        if hints:
            the_hinted_column(selection.scored.column_names)
        layout, _ = settle(layout, selection.scored)
        embedder = Embedder.of(selection.scored, layout.media_roots)
        page = None if report is None else report_bytes(selection, title=report, layout=layout)
        return cls(selection, layout, data_source, embedder, random_control, hints, page)

    @property
    def group_by(self) -> str | None:
        """The column whose values are worth counting one by one."""
        column: str | None = (
            self.selection.rule.get("stratify_by") or self.selection.rule.get("per") or self.layout.source
        )
        return column

    @property
    def configs(self) -> tuple[str, ...]:
        """The names of the configs, the default first."""
        return CONFIGS if self.random_control else CONFIGS[:2]

    @property
    def in_writing_order(self) -> tuple[str, ...]:
        """The same, `scored` first: it says where the row groups of the others begin."""
        return tuple(sorted(self.configs, key=lambda config: config != SCORED))

    @property
    def images_missing(self) -> int:
        """Images of `scored` that could not be read; known once `scored` was written."""
        return self.embedder.missing

    def features(self, config: str) -> datasets.Features:
        """What readers of a config see."""
        features: datasets.Features = self.selection.scored.features
        if config == SCORED:
            return features
        evidence = EVIDENCE_NAMES | {ACE_SETTINGS.name}
        ours = {name: feature for name, feature in features.items() if name.startswith(PREFIX) and name not in evidence}
        theirs = {
            name: feature
            for name, feature in features.items()
            if not name.startswith(PREFIX) and name not in UNIVERSAL and name not in self.layout.image_columns
        }
        return type(features)({**universal_features(), **ours, **theirs})

    def batches(self, config: str) -> Iterator[pa.Table]:
        """The rows of a config, files inside.

        Raises:
            PublishError: a row of `selected` or `control` has no usable question or images.

        """
        if config == SCORED:
            self.embedder.missing_by_column.clear()
            return (self.embedder.embed(table) for _, table in batches_of(self.selection.scored))
        return (table for _, table in self._universal_batches(config))

    def groups(self, config: str) -> Iterator[pa.Table]:
        """The same rows, as the row groups of the files."""
        if config == SCORED:
            return self._scored_groups()
        if not self._starts:
            for _ in self._scored_groups():
                pass
        return cut_at(self._universal_batches(config), self._starts)

    def rank_by(self, config: str) -> str | None:
        """The column by which the files of a row group are stored; None for the order of the rows."""
        score: str | None = self.selection.method["score"]
        return score if config == SELECTED and score in self.features(config) else None

    def _scored_groups(self) -> Iterator[pa.Table]:
        starts = []
        for start, group in cut_by_ids(self.batches(SCORED), list(ids_of(self.selection.scored))):
            starts.append(start)
            yield group
        self._starts[:] = starts

    @cached_property
    def _kept(self) -> NDArray[np.bool_]:
        import numpy as np

        keep = np.zeros(len(self.selection.scored), dtype=bool)
        keep[self.selection.kept_rows] = True
        return keep

    @cached_property
    def _drawn(self) -> NDArray[np.bool_]:
        """Rows drawn at random among those that could be kept, as many of each stratum as are kept of it.

        Those are the rows with the score that decides, or, where no column holds it, without an error.
        """
        import numpy as np

        rule, rows = self.selection.rule, len(self.selection.scored)
        score, stratify_by = self.selection.method["score"], rule.get("stratify_by") or rule.get("per")
        columns = arrow_columns(self.selection.scored, (score, ERROR.name, stratify_by))
        strata = np.zeros(rows, dtype=np.int64)
        if stratify_by:
            values = columns[stratify_by].cast("string").fill_null("null")
            strata = values.dictionary_encode().indices.to_numpy()
        # Another order than the one that breaks ties among the kept rows.
        order = seeded_order((f"control:{key}" for key in ids_of(self.selection.scored)), rule.get("seed") or 0)
        could_enter = self._kept.copy()
        if score in columns:
            could_enter |= ~np.isnan(numbers_of(columns[score]))
        elif ERROR.name in columns:
            could_enter |= columns[ERROR.name].is_null().to_numpy(zero_copy_only=False)
        else:
            could_enter[:] = True
        reasons = self.selection.scored.data.column(REASON.name)
        could_enter &= reasons.to_numpy() != DUPLICATE
        drawn = np.zeros(rows, dtype=bool)
        for stratum in np.unique(strata[self._kept]):
            pool = np.flatnonzero(could_enter & (strata == stratum))
            count = np.count_nonzero(self._kept & (strata == stratum))
            drawn[pool[np.argsort(order[pool], kind="stable")][:count]] = True
        return drawn

    def _universal_batches(self, config: str) -> Iterator[tuple[list[int], pa.Table]]:
        """The rows of `selected` or `control` with their numbers, in the columns of `selected`."""
        import pyarrow as pa

        rows = self._kept if config == SELECTED else self._drawn
        scored, layout = self.selection.scored, self.layout
        features = self.features(SELECTED)
        schema = features.arrow_schema
        further = [name for name in features if name not in UNIVERSAL]
        embedder = Embedder(type(features)({name: features[name] for name in further}), self.embedder.roots)
        read = layout.columns_in(scored.column_names)
        prompts = Asked.of(scored)
        for start, table in batches_of(scored):
            flags = rows[start : start + len(table)]
            indices = (start + flags.nonzero()[0]).tolist()
            if not indices:
                continue
            kept = table.filter(pa.array(flags))
            try:
                made = universal_columns(
                    columns_of(kept.select(read)),
                    layout,
                    indices,
                    data_source=self.data_source,
                    prompts=[prompts.of_row(text) for text in _texts(kept, SETTINGS.name)],
                    opening=ANY,
                )
            except RowError as error:
                raise PublishError(
                    f"A row of {config!r} cannot be published: {error}. Mend it, or leave it out before selecting."
                ) from error
            if self.hints:
                made = _with_hints(made, kept[the_hinted_column(kept.column_names)].to_pylist())
            rest = embedder.embed(kept.select(further))
            for cut in cuts([bytes_in(images) for images in made["images"]]):
                arrays = [pa.array(made[name][cut], schema.field(name).type) for name in UNIVERSAL]
                columns = rest.slice(cut.start, cut.stop - cut.start).columns
                yield indices[cut], pa.Table.from_arrays([*arrays, *columns], schema=schema)


def _with_hints(columns: dict[str, list[Any]], hinted: list[Any]) -> dict[str, list[Any]]:
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    made = [with_hint(row, cell) for row, cell in zip(rows, hinted, strict=True)]
    return {name: [row[name] for row in made] for name in columns}


def _texts(table: pa.Table, name: str) -> list[str | None]:
    return table[name].to_pylist() if name in table.column_names else [None] * len(table)


def batches_of(ds: datasets.Dataset) -> Iterator[tuple[int, pa.Table]]:
    """The number of the first row, and the rows as they are stored."""
    stored = ds.with_format("arrow")
    for start in range(0, len(ds), BATCH_ROWS):
        yield start, stored[start : start + BATCH_ROWS]
