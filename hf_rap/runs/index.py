"""What a run holds for each row, and what is still missing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from hf_rap.columns import SETTINGS, arrow_type
from hf_rap.rows.layouts import raw_rows, row_content_id
from hf_rap.settings import NOT_COUNTED, counted
from hf_rap.system import release_mapped_files

from .folder import Unusable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import datasets
    import pyarrow as pa

    from hf_rap.columns import Column
    from hf_rap.evidence.collector import Collector
    from hf_rap.rows.layouts import Layout

    from .folder import RunFolder

# Columns of a part before the evidence. The key knows the row by its id and all that its evidence depends on; the
# failure is what `Collector.failures` says.
KEY, ID, FAILURE, FIRST, ATTEMPTS = "run_key", "run_id", "run_failure", "run_first", "run_attempts"
ARM = "run_arm"  # whose attempts these are; null: of every arm
ROWS_PER_BATCH = 256  # in memory at once, with the files of their images


def part_schema(evidence: Iterable[Column]) -> pa.Schema:
    """The columns of a part: key, id, failure, arm, attempt range, evidence."""
    import pyarrow as pa

    run = [*((name, pa.string()) for name in (KEY, ID, FAILURE, ARM)), (FIRST, pa.int32()), (ATTEMPTS, pa.int32())]
    return pa.schema([*run, *((column.name, arrow_type(column.dtype)) for column in evidence)])


@dataclass(frozen=True)
class Row:
    """A row of the dataset: its id, and the key that its parts know it by.

    The id names the row's random numbers and the content is what was asked, so both are in the key: a row
    whose content has changed under its old id is another row. So are stored replies that are read again.
    """

    id: str
    key: str


def read_rows(ds: datasets.Dataset, collector: Collector, layout: Layout) -> list[Row]:
    """The rows of a dataset in order; reads every image file once."""
    others = collector.reads(ds.features)
    found = []
    for batch in batches(ds, columns_read(ds, collector, layout), range(len(ds)), ROWS_PER_BATCH):
        for place, raw in enumerate(raw_rows(batch, layout)):
            more = {name: batch[name][place] for name in others}
            identity = collector.row_id({**raw, **more}, layout)
            parts = [row_content_id(raw, layout), identity]
            parts += [json.dumps(_counted(name, value), sort_keys=True, default=str) for name, value in more.items()]
            found.append(Row(identity, blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()))
    return found


def _counted(name: str, value: Any) -> Any:
    """The value of a column, of settings without what does not tell evidence apart."""
    if name != SETTINGS.name or not isinstance(value, str) or NOT_COUNTED not in value:
        return value
    return counted(json.loads(value))


def batches(
    ds: datasets.Dataset, columns: list[str], indices: range | list[int], size: int
) -> Iterator[dict[str, list[Any]]]:
    """These columns, `size` rows at a time, images not decoded; memory does not grow with the rows read."""
    stored = ds.select_columns(columns).with_format("arrow")
    for start in range(0, len(indices), size):
        yield stored[list(indices[start : start + size])].to_pydict()
        release_mapped_files()


def columns_read(ds: datasets.Dataset, collector: Collector, layout: Layout) -> list[str]:
    """The columns of the dataset that are read, or of which a field is read."""
    read = {*layout.columns, *(name.partition(".")[0] for name in layout.columns), *collector.reads(ds.features)}
    return [name for name in ds.column_names if name in read]


@dataclass(frozen=True)
class Stretch:
    """Attempts `first` to `stop` (not included) of a row, of one arm or of all: they are in row `place` of `part`."""

    part: str
    place: int
    first: int
    stop: int
    failed: bool
    arm: str | None = None


class Index:
    """Which attempts of which rows lie in which part of one fingerprint.

    Args:
        folder: the run.
        fingerprint: whose parts.
        schema: what every part must have; others are listed in `unusable`, and never trusted.
    """

    def __init__(self, folder: RunFolder, fingerprint: str, schema: pa.Schema) -> None:
        self.folder = folder
        self.fingerprint = fingerprint
        self.schema = schema
        self.unusable: list[Unusable] = []
        self.ids: dict[str, str] = {}
        self._stretches: dict[str, list[Stretch]] = {}
        self._read: set[str] = set()
        self.refresh()

    def refresh(self) -> None:
        """Read the parts that are new."""
        for name in self.folder.parts(self.fingerprint):
            if name in self._read:
                continue
            self._read.add(name)
            part = self.folder.read_part(self.fingerprint, name, self.schema)
            if isinstance(part, Unusable):
                self.unusable.append(part)
            else:
                self.add(name, part)

    def add(self, name: str, part: pa.Table) -> None:
        """Take note of what a part holds."""
        self._read.add(name)
        told = (part[column].to_pylist() for column in (KEY, ID, FAILURE, FIRST, ATTEMPTS, ARM))
        for place, (key, identity, failure, first, attempts, arm) in enumerate(zip(*told, strict=True)):
            stretch = Stretch(name, place, first, first + attempts, failure is not None, arm)
            self._stretches.setdefault(key, []).append(stretch)
            self.ids[identity] = key

    def chosen(self, key: str, attempts: int, *, arm: str | None = None, trust_failures: bool = True) -> list[Stretch]:
        """Stretches of an arm that follow each other from attempt 0 up to `attempts`, as far as there are any.

        Where several hold the same attempts, one that did not fail goes first, then the longest, then
        the name of its part decides: never a clock.
        """
        held = self._stretches.get(key, ())
        usable = [one for one in held if one.arm in (None, arm) and (trust_failures or not one.failed)]
        usable.sort(key=lambda one: (one.failed, -one.stop, one.part, one.place))
        taken: list[Stretch] = []
        have = 0
        while have < attempts:
            following = next((one for one in usable if one.first <= have < one.stop), None)
            if following is None:
                break
            taken.append(following)
            have = following.stop
        return taken

    def missing(
        self, key: str, attempts: int, *, arm: str | None = None, trust_failures: bool = True
    ) -> tuple[int, int] | None:
        """First attempt and number of attempts that an arm of a row lacks; None when it has all."""
        taken = self.chosen(key, attempts, arm=arm, trust_failures=trust_failures)
        have = taken[-1].stop if taken else 0
        return None if have >= attempts else (have, attempts - have)

    def changed(self, rows: Iterable[Row]) -> list[Row]:
        """Rows whose id is known with another key: the dataset, or the replies in it, have changed under the run."""
        return [row for row in rows if row.key not in self._stretches and row.id in self.ids]

    def counts(self) -> tuple[int, int]:
        """Rows held, and how many of them failed at every try."""
        failed = sum(
            any(one.failed for arm in {one.arm for one in held} for one in self._all(key, arm))
            for key, held in self._stretches.items()
        )
        return len(self._stretches), failed

    def attempts(self) -> tuple[int, int]:
        """The fewest and the most attempts that an arm of a row has."""
        arms = {one.arm for held in self._stretches.values() for one in held} - {None} or {None}
        stops = [max((one.stop for one in self._all(key, arm)), default=0) for key in self._stretches for arm in arms]
        return (min(stops), max(stops)) if stops else (0, 0)

    def _all(self, key: str, arm: str | None) -> list[Stretch]:
        """All stretches of an arm, as far as they follow each other."""
        return self.chosen(key, max(one.stop for one in self._stretches[key]), arm=arm)
