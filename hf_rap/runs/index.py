"""What a run holds for each row, what is still missing, and what was graded or cut off by other settings than those of now."""

from __future__ import annotations

import json
from hashlib import blake2b
from itertools import islice
from threading import RLock
from typing import TYPE_CHECKING, Any

from hf_rap.columns import IMAGE_REWARDS, arrow_type
from hf_rap.errors import RunError
from hf_rap.evidence.attempts import OF_ARM, of_grades
from hf_rap.rows.cells import columns_of
from hf_rap.rows.questions import own_id, raw_rows, stored_digest, system_turn
from hf_rap.stats.settings import graded_by
from hf_rap.system import release_mapped_files

from .contents import (
    ARM,
    ATTEMPTS,
    FAILURE,
    FIRST,
    GRADER,
    ID,
    KEY,
    LIMIT,
    STOP,
    Contents,
    contents_of,
)
from .folder import Unusable, by_content
from .row_table import Row
from .stretches import Stretches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import datasets
    import pyarrow as pa

    from hf_rap.columns import Column
    from hf_rap.evidence.collector import Collector
    from hf_rap.rows.layouts import Layout

    from .folder import RunFolder
    from .row_table import Rows
    from .stretches import Stretch

# Columns of rollouts with one entry per attempt; none for an arm that was left out.
_PER_ATTEMPT = {column.name for columns in OF_ARM.values() for column in columns}
_ROWS_LOOKED_UP = 65_536  # at once
_OLD_ID = 32  # characters of an id that an earlier release made of files
ROWS_PER_BATCH = 256  # in memory at once, with the files of their images


def part_schema(evidence: Iterable[Column]) -> pa.Schema:
    """The columns of a part: key, id, failure, arm, attempt range, grader, token limit, evidence."""
    import pyarrow as pa

    words = ((name, pa.string()) for name in (KEY, ID, FAILURE, ARM, GRADER))
    numbers = ((name, pa.int32()) for name in (FIRST, ATTEMPTS, LIMIT))
    return pa.schema([*words, *numbers, *((column.name, arrow_type(column.dtype)) for column in evidence)])


def read_rows(ds: datasets.Dataset, collector: Collector, layout: Layout, indices: range | None = None) -> list[Row]:
    """The rows of a dataset in order; reads every image file once, and decodes it where the row has no id of its own.

    `indices`: of the rows that are wanted; None: all.
    """
    names = collector.reads(ds.features)
    wanted = range(len(ds)) if indices is None else indices

    rows: list[Row] = []
    for batch in batches(ds, columns_read(ds, collector, layout), wanted, ROWS_PER_BATCH):
        for place, raw in enumerate(raw_rows(batch, layout)):
            more = {name: batch[name][place] for name in names}
            identity, stored = collector.row_id({**raw, **more}, layout), stored_digest(raw, layout)
            own = own_id(raw, layout) is not None
            content = [stored, identity] if own else [identity]
            if collector.keeps_system(more) and (system := system_turn(raw, layout)):
                content.append(system)
            keys = _key(content, collector.depends_on(more)), _key(content, more)
            rows.append(Row(identity, *keys, None if own else stored))
    return rows


def _key(content: list[str], more: Mapping[str, Any]) -> str:
    parts = [*content, *(json.dumps(value, sort_keys=True, default=str) for value in more.values())]
    return blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()


def batches(
    ds: datasets.Dataset, columns: list[str], indices: range | list[int], size: int
) -> Iterator[dict[str, list[Any]]]:
    """These columns, `size` rows at a time, images not decoded; memory does not grow with the rows read."""
    stored = ds.select_columns(columns).with_format("arrow")
    for start in range(0, len(indices), size):
        yield columns_of(stored[list(indices[start : start + size])])
        release_mapped_files()


def columns_read(ds: datasets.Dataset, collector: Collector, layout: Layout) -> list[str]:
    """The columns of the dataset that the evidence depends on."""
    read = {*layout.columns_in(ds.column_names), *collector.reads(ds.features)}
    return [name for name in ds.column_names if name in read]


class Index:
    """Which attempts of which rows lie in which part.

    What a part holds is kept beside the parts (`contents`), so that a start reads those alone that are new.

    Args:
        folder: the run.
        fingerprints: of the folders whose parts these are; they stand for the same settings.
        schema: what every part must have; others are listed in `unusable`, and never trusted.
        grader: whose grades count; None takes any.
        limit: tokens that a reply may have now: a row that was too long for more is not taken for one that is too long. None
            takes it.
    """

    def __init__(
        self,
        folder: RunFolder,
        fingerprints: Sequence[str],
        schema: pa.Schema,
        *,
        grader: str | None = None,
        limit: int | None = None,
    ) -> None:
        self.folder = folder
        self.fingerprints = fingerprints
        self.schema = schema
        self.grader = grader
        self.limit = limit
        self.unusable: list[Unusable] = []
        self._new: list[
            tuple[Mapping[str, int], pa.Table]
        ] = []  # of which no stretch is made yet: who counts needs few
        self._made = Stretches()
        self._read: set[str] = set()
        self._refused: dict[str, str] = {}  # with the stamps that their files had
        self._told: dict[str, dict[str, Any]] = {}
        # A stream reads its rows, and looks at what others have written, in another thread than it writes.
        self._lock = RLock()
        self._unread: set[str] = set()  # parts of which it is only said what they hold
        self._contents = {fingerprint: Contents(folder, fingerprint, schema) for fingerprint in fingerprints}
        self.refresh()

    @property
    def parts(self) -> int:
        """How many there are, with those that are not trusted."""
        return len(self._read)

    @property
    def _stretches(self) -> Stretches:
        """All stretches by the key of their row."""
        if self._new:
            with self._lock:
                for rows_of, contents in self._new:
                    self._made.add(rows_of, contents)
                self._new = []
        return self._made

    def refresh(self) -> None:
        """Take note of the parts that are new; reads those whose contents are not kept."""
        with self._lock:
            self._refresh()

    def _refresh(self) -> None:
        for fingerprint, contents in self._contents.items():
            there = self.folder.listed(fingerprint)
            # A part that was refused is looked at again when its file is another one: its rows done again make the same name.
            new = [name for name in there if self._is_new(f"{fingerprint}/{name}", there[name])]
            for rows_of, table in contents.kept({name: there[name] for name in new}) if new else ():
                self._note({f"{fingerprint}/{name}": rows for name, rows in rows_of.items()}, table)
                self._unread |= {f"{fingerprint}/{name}" for name in rows_of}
            for name in new:
                path = f"{fingerprint}/{name}"
                if path in self._read and path not in self._refused:
                    continue
                part = self.read(path)
                if isinstance(part, Unusable):
                    if path not in self._refused:
                        self.unusable.append(part)
                    self._read.add(path)
                    self._refused[path] = there[name]
                else:
                    self.add(path, part, stamp=there[name])

    def _is_new(self, path: str, stamp: str) -> bool:
        return path not in self._read or self._refused.get(path, stamp) != stamp

    def keep(self, *, least: int = 1, join: bool = False) -> None:
        """Keep what the parts hold, where at least so many of them would have to be read again."""
        with self._lock:
            for contents in self._contents.values():
                contents.keep(least)
                if join:
                    contents.join()

    def read(self, path: str) -> pa.Table | Unusable:
        """A part; the grader and the token limit of one from before they were noted are those of its manifest."""
        import pyarrow as pa

        fingerprint, _, name = path.partition("/")
        later = [field for field in (GRADER, LIMIT) if field in self.schema.names]
        required = pa.schema([field for field in self.schema if field.name not in later])
        part = self.folder.read_part(fingerprint, name, required)
        if not isinstance(part, Unusable) and (why := wrong_in(part)):
            part = Unusable(path, why)
        if isinstance(part, Unusable) or all(field in part.column_names for field in later):
            return part
        if fingerprint not in self._told:
            settings = self.folder.manifest(fingerprint).get("settings")
            self._told[fingerprint] = settings if isinstance(settings, dict) else {}
        manifest_settings = self._told[fingerprint]
        for field, value in ((GRADER, graded_by(manifest_settings)), (LIMIT, manifest_settings.get("max_new_tokens"))):
            column = pa.array([value] * len(part), self.schema.field(field).type)
            part = part.append_column(field, column)
        return part

    def add(self, path: str, part: pa.Table, *, stamp: str | None = None) -> None:
        """Take note of what a part holds; `stamp`: of its file, before it was read; None for one that was just written."""
        contents = contents_of(part)
        fingerprint, _, name = path.partition("/")
        with self._lock:
            if path not in self._read or path in self._refused:
                self._contents[fingerprint].add(name, stamp, contents)
                self._note({path: len(part)}, contents)

    def _note(self, rows_of: Mapping[str, int], contents: pa.Table) -> None:
        """The rows of these parts, so many of each one after the other."""
        self._read |= set(rows_of)
        for path in rows_of:
            self._refused.pop(path, None)
        self._new.append((rows_of, contents))

    def take_plain(self) -> pa.Table:
        """Rows of which one part alone holds anything, all arms of it and from the first attempt on, out of the index: as nearly all are.

        For who counts and asks for no row after that: a table is counted in a tenth of the time that its stretches take.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        words = ((name, pa.string()) for name in (KEY, FAILURE, ARM, GRADER))
        types = pa.schema([*words, *((name, pa.int32()) for name in (FIRST, STOP, LIMIT))])
        with self._lock:
            tables = [contents.select(types.names).cast(types) for _, contents in self._new]
            whole = pa.Table.from_batches([batch for table in tables for batch in table.to_batches()], types)
            # Without a number of Python or numpy, for which Arrow would import pandas: that takes longer than all of this.
            keys = pc.value_counts(whole[KEY])
            times, is_at_first = keys.field("counts"), pc.invert(whole[FIRST].cast(pa.bool_()))
            once = keys.field("values").filter(pc.equal(times, pc.sign(times)))
            plain = pc.and_(pc.is_in(whole[KEY], once), pc.and_(whole[ARM].is_null(), is_at_first))
            start = 0
            left: list[tuple[Mapping[str, int], pa.Table]] = []
            for rows_of, contents in self._new:
                others = pc.invert(plain.slice(start, len(contents)))
                start += len(contents)
                if pc.any(others).as_py():
                    counts = _counted(others.to_pylist(), rows_of)
                    left.append((counts, contents.filter(others)))
            self._new = left
            return whole.filter(plain)

    def part(self, name: str) -> pa.Table:
        """A part that is in the index, read again.

        Raises:
            RunError: it has changed since it was indexed.
        """
        part = self.read(name)
        if not isinstance(part, Unusable) and not self._is_as_said(name, part):
            part = Unusable(name, "it holds other rows than the run's own table of its parts says")
        if isinstance(part, Unusable):
            for contents in self._contents.values():  # the next start finds out for itself
                contents.forget()
            raise RunError(f"{part.path} was good a moment ago; now: {part.why}. Start the same command again.")
        return part

    def _is_as_said(self, name: str, part: pa.Table) -> bool:
        """The index has each row of a part, where it stands, and so no others: it was told as many."""
        if name not in self._unread:
            return True
        rows = zip(part[KEY].to_pylist(), part[FIRST].to_pylist(), part[ATTEMPTS].to_pylist(), strict=True)
        for place, (key, first, attempts) in enumerate(rows):
            held = self._stretches.of(key)
            if not any(stretch[:4] == (name, place, first, first + attempts) for stretch in held):
                return False
        self._unread.discard(name)
        return True

    def rename(self, rows: Iterable[Row]) -> None:
        """Know rows by their keys of now, which an earlier run knows by another."""
        with self._lock:
            for row in rows:
                if row.older != row.key and row.older in self._stretches:
                    self._stretches.also(row.key, row.older, row.id)

    def place_of(self, key: str, wanted: Callable[[Stretch], bool]) -> tuple[tuple[str, str], int] | None:
        """Where the first part stands that holds such attempts of a row; None where none does."""
        held = self._stretches.of(key)
        return min(((by_content(stretch.part), stretch.place) for stretch in held if wanted(stretch)), default=None)

    def is_current(self, stretch: Stretch) -> bool:
        """Its grades are those of the grader of now."""
        return self.grader is None or stretch.grader == self.grader

    def lacks_grades(self, stretch: Stretch) -> bool:
        """Nothing but grades is missing: another try makes these again, and asks no model."""
        alone = not stretch.failed or of_grades(stretch.failure)
        return self.grader is not None and stretch.ungraded > 0 and alone

    def chosen(
        self,
        key: str,
        attempts: int,
        *,
        arm: str | None = None,
        trust_failures: bool = True,
        any_grader: bool = False,
    ) -> list[Stretch]:
        """Stretches of an arm that follow each other from attempt 0 up to `attempts`, as far as there are any.

        Where several hold the same attempts, one with grades of now goes first, then one that did not fail, the one with
        the largest token limit, the most grades, the longest, and then the name of its part decides: never a clock.
        """
        held = self._stretches.of(key)
        if len(held) == 1 and held[0].failure is None and self.is_current(held[0]):  # as nearly all are
            alone = held[0]
            fits = alone.arm in (None, arm) and alone.first == 0
            return [alone] if fits and attempts > 0 else []
        usable = [
            stretch
            for stretch in held
            if stretch.arm in (None, arm)
            and (trust_failures or not stretch.failed or self.lacks_grades(stretch))
            and (self.is_current(stretch) or (any_grader and not _unasked(stretch)))
            and not self._was_too_long(stretch)
        ]
        usable.sort(
            key=lambda stretch: (
                not self.is_current(stretch),
                stretch.failed and not self.lacks_grades(stretch),
                -(stretch.limit or 0),
                stretch.ungraded,
                -stretch.stop,
                by_content(stretch.part),
                stretch.place,
            )
        )
        taken: list[Stretch] = []
        have = 0
        while have < attempts:
            following = next((stretch for stretch in usable if stretch.first <= have < stretch.stop), None)
            if following is None:
                break
            taken.append(following)
            have = following.stop
        return taken

    def _was_too_long(self, stretch: Stretch) -> bool:
        """For more tokens of a reply than it may have now."""
        return self.limit is not None and _too_long(stretch) and (stretch.limit or 0) > self.limit

    def missing(
        self, key: str, attempts: int, *, arm: str | None = None, trust_failures: bool = True
    ) -> tuple[int, int] | None:
        """First attempt and number of attempts that an arm of a row lacks; None when it has all."""
        taken = self.chosen(key, attempts, arm=arm, trust_failures=trust_failures)
        have = taken[-1].stop if taken else 0
        return None if have >= attempts else (have, attempts - have)

    def changed(self, rows: Rows) -> list[Row]:
        """Rows whose id is known with another key: the dataset, or the replies in it, have changed under the run."""
        if not self._stretches.has_ids:
            return []
        changed = []
        for unknown in _some(self._unknown(rows)):
            known = self._stretches.known_ids(row.id for row in unknown)
            changed += [row for row in unknown if row.id in known]
        return changed

    def under_old_ids(self, rows: Rows) -> list[Row]:
        """Rows without an id of their own that an earlier release has put here, under an id made of their files."""
        if not self._stretches.has_ids:
            return []
        old = []
        for unknown in _some(self._unknown(rows.with_("old_id"))):
            # Longer ones begin with it: step scores put a hash of the response behind it.
            known = self._stretches.known_ids((row.old_id or "" for row in unknown), longest=_OLD_ID)
            old += [row for row in unknown if row.old_id in known]
        return old

    def _unknown(self, rows: Rows) -> Iterator[Row]:
        return (rows[number] for number in self._stretches.unknown(rows.table["key"]))

    def counts(self, *, done: bool = False) -> tuple[int, int]:
        """Rows held, and how many of them failed at every try; with `done` only rows that are graded by the grader of now."""
        rows = failed = 0
        for key, held in self._every_key():
            stretches = [stretch for arm in {stretch.arm for stretch in held} for stretch in self._all(key, arm)]
            rows += bool(stretches) or not done
            failed += any(stretch.failed for stretch in stretches)
        return rows, failed

    def attempts(self) -> tuple[int, int]:
        """The fewest and the most attempts that an arm of a row has."""
        arms = self._stretches.every(ARM) - {None} or {None}
        stops = [
            max((stretch.stop for stretch in self._all(key, arm)), default=0)
            for key in self._stretches.keys()  # noqa: SIM118 - no dictionary
            for arm in arms
        ]
        return (min(stops), max(stops)) if stops else (0, 0)

    def _all(self, key: str, arm: str | None) -> list[Stretch]:
        """All stretches of an arm, as far as they follow each other."""
        return self.chosen(key, max(stretch.stop for stretch in self._stretches.of(key)), arm=arm)

    def every(self) -> Iterator[Stretch]:
        """All that there are."""
        return (stretch for _, held in self._every_key() for stretch in held)

    def limits(self) -> set[int | None]:
        """The token limits that there are."""
        return self._stretches.every(LIMIT)

    def _every_key(self) -> Iterator[tuple[str, Sequence[Stretch]]]:
        return ((key, self._stretches.of(key)) for key in self._stretches.keys())  # noqa: SIM118 - no dictionary


def _some(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while some := list(islice(rows, _ROWS_LOOKED_UP)):
        yield some


def _counted(chosen: list[bool], rows_of: Mapping[str, int]) -> dict[str, int]:
    """How many rows of each part are chosen; the rows of one follow those of another."""
    each = iter(chosen)
    return {path: sum(islice(each, rows)) for path, rows in rows_of.items()}


def wrong_in(part: pa.Table) -> str | None:
    """What no part of ours says: rows without a key, attempts that are none, rewards beyond [0, 1]; None for a good one."""
    import pyarrow.compute as pc

    for name in (KEY, ID, FIRST, ATTEMPTS):
        if part[name].null_count:
            return f"{name} is null in {part[name].null_count} rows"
    if len(part) and (pc.min(part[FIRST]).as_py() < 0 or pc.min(part[ATTEMPTS]).as_py() < 1):
        return "it counts attempts from below 0, or none"
    return _wrong_rewards(part) or _wrong_lengths(part)


def _wrong_rewards(part: pa.Table) -> str | None:
    import pyarrow.compute as pc

    for name in part.column_names:
        column = part[name]
        if not name.endswith("_rewards") or str(getattr(column.type, "value_type", "")) != "double":
            continue
        rewards = pc.list_flatten(column).drop_null()
        fine = pc.and_(pc.greater_equal(rewards, 0.0), pc.less_equal(rewards, 1.0))  # NaN is neither
        if not pc.all(fine, min_count=0).as_py():
            bad = rewards.filter(pc.invert(fine))[0].as_py()
            return f"{name} has {bad:g}, and rewards are in [0, 1]"
        replies = name.removesuffix("_rewards") + "_responses"
        if replies in part.column_names:
            same = pc.equal(pc.list_value_length(column), pc.list_value_length(part[replies]))
            if not pc.all(same, min_count=0).as_py():
                return f"{name} has not as many entries as {replies}"
    return None


def _wrong_lengths(part: pa.Table) -> str | None:
    """Lists with one entry per attempt that have more or fewer."""
    import pyarrow.compute as pc

    names = _PER_ATTEMPT & set(part.column_names) if IMAGE_REWARDS.name in part.column_names else ()
    for name in sorted(names):
        entries = pc.list_value_length(part[name])
        fine = pc.or_(pc.equal(entries, 0), pc.equal(entries, part[ATTEMPTS]))
        if not pc.all(fine, min_count=0).as_py():
            return f"{name} has not as many entries as {ATTEMPTS} says"
    return None


def _unasked(stretch: Stretch) -> bool:
    """A gold that one grader could not read says nothing about the next: the model was not asked."""
    return (stretch.failure or "").startswith("gold_unreadable")


def _too_long(stretch: Stretch) -> bool:
    return (stretch.failure or "").startswith("too_long")
