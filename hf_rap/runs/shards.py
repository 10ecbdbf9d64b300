"""A stream through a run: its rows are read a few at a time, so that a set that fits no disk can be collected.

    RUN/<fingerprint>/shards/<file>-<digest>.json    the keys of the rows of a shard that was read to its end

Rows are known by their content, in a stream as in a table, so a run goes on from one with the other. What a start reads: the
first rows of the stream, and of its shards those of which the run lacks a row. A shard that is done is known by its file and
is not read again; where it is no file (a stream that was mapped, filtered or shuffled) all is read, and nothing asked twice.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import contextmanager, suppress
from functools import lru_cache, partial
from hashlib import blake2b
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_rap.errors import RapError, RunError, SourceError, logger_of, one_line
from hf_rap.evidence.collector import check_collector, prepared
from hf_rap.options import read_json
from hf_rap.rows.compat import shard_files
from hf_rap.rows.media import allowed, checked_roots
from hf_rap.rows.settling import FIRST_ROWS, first_rows, undecoded

from .before import with_identity
from .fill import Run
from .flight import Flight
from .index import read_rows
from .row_table import Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import datasets

    from .sharing import Sharing

logger = logger_of(__name__)

FOLDER = "shards"
PIECE_BYTES = 1 << 26  # of rows that are in memory at once, about
PIECE_ROWS = 16_384
_PARTS_HELD = 32  # in memory, when evidence is read back
_ROWS_JOINED = 256
_ROWS_READ = 64
_COMMIT = re.compile(r"hf://\S+@[0-9a-f]{40}/\S+")  # what lies there does not change


def collect_stream(stream: datasets.IterableDataset, collector: Any, url: str, **options: Any) -> Any:
    """The stream with its evidence, all of which is collected now; options and errors are those of `Run`.

    Images stay files in what comes back, as those of `collect_evidence`.

    Raises:
        SettingError: the collector looks at all rows at once (shuffled pictures).
        SourceError: the stream has no rows, or one that does not have the types of the first.
    """
    check_collector(collector)
    with allowed(checked_roots(options.get("media_roots", ()))):
        if stream.features is None:  # as of one that was mapped
            with _said("The stream"):
                stream = stream.cast(first_rows(stream).features)
        collector.check(stream.features)
        given, stream = stream.features, undecoded(stream)
        with _said("The stream"):
            first = _first(stream)
        # As a stream of these rows: a collector that looks at all of them is not to take them for all.
        _, collector = prepared(collector, first.to_iterable_dataset())
        shards = _Shards(stream, first.features)
        with Run(first, collector, url, **options) as run:
            _Filling(run, shards).go()
    features = type(given)({**given, **run.collector.features})
    return stream.map(
        partial(_with_evidence, _Stored(run, first.features)), batched=True, batch_size=_ROWS_JOINED, features=features
    )


def _first(stream: datasets.IterableDataset) -> datasets.Dataset:
    """The rows that a layout is settled by: of the first shard alone, where that has enough."""
    files = shard_files(stream)
    if files and len(files) > 1:
        with suppress(SourceError):  # without a row
            first = first_rows(stream.shard(num_shards=len(files), index=0))
            if len(first) >= FIRST_ROWS:
                return first
    return first_rows(stream)


class _Filling:
    """The pieces of a stream on their way through a run: asked without a pause between them, the next ones read meanwhile.

    A shard is noted when the run holds all of its rows; the rows themselves are in memory no longer than until they are asked.
    """

    def __init__(self, run: Run, shards: _Shards) -> None:
        self._run = run
        self._shards = shards
        self._reading: Flight[None, _Piece | None] = Flight(2)
        self._next: _Piece | None = None
        self._error: SourceError | None = None
        self._asked: Sharing | None = None
        self._rows: dict[int, list[Row]] = {}  # of shards that are not noted
        self._ended: set[int] = set()

    def go(self) -> None:
        """Do what the run lacks of all of them; the first process waits for the others, and does what they leave undone."""
        self._read(self._shards.pieces(self._run))
        while self._next is not None:
            self._run.fill_each(self._turns(), self._begun)
            if self._asked is not None:
                self._asked.through()
            self._note()
            if self._error is not None:
                raise self._error
            if self._next is not None:
                self._do_alone(self._next)
                self._take()
        if self._run.rank == 0:
            self._finish()

    def _read(self, pieces: Iterator[_Piece]) -> None:
        self._pieces = pieces
        self._reading.begin(None, lambda: next(pieces, None))
        self._take()

    def _take(self) -> None:
        """The next piece, and begin to read the one after it."""
        pieces = self._pieces
        self._next = None
        self._next = self._reading.oldest()[1]
        self._reading.drop()
        if self._next is not None:
            self._reading.begin(None, lambda: next(pieces, None))

    def _turns(self) -> Iterator[None]:
        """Turns the run to the next piece, up to one of which something stored is to be done anew: that is done alone."""
        while (piece := self._next) is not None:
            self._turn_to(piece)
            if self._run.has_to_redo():
                return
            self._keep_rows(piece)
            yield
            del piece
            self._note()
            try:
                self._take()
            except SourceError as error:  # what is under way is answered first
                self._error = error
                return

    def _turn_to(self, piece: _Piece) -> None:
        about = f"shard {piece.shards[-1] + 1:,} of {self._shards.count:,}"
        self._run.turn_to(piece.ds, piece.rows, about=about, starts=piece.starts)

    def _begun(self, sharing: Sharing) -> None:
        if sharing.rows:
            self._asked = sharing

    def _keep_rows(self, piece: _Piece) -> None:
        for row, shard in zip(piece.rows, piece.shards, strict=True):
            self._rows.setdefault(shard, []).append(row)
        self._ended |= set(piece.ended)

    def _do_alone(self, piece: _Piece) -> None:
        self._turn_to(piece)
        self._run.fill()
        if self._run.rank == 0:
            self._run.finish()
        self._keep_rows(piece)
        self._note()

    def _note(self) -> None:
        """The shards of which the run holds all, by now."""
        for shard in sorted(self._ended):
            if self._run.lacks_of(self._rows.get(shard, ()), retry=False):
                return  # those behind it will hardly be done
            self._shards.note(self._run, shard, self._rows.pop(shard, []))
            self._ended.remove(shard)

    def _finish(self) -> None:
        """Wait for what other processes have in work; shards of which they leave something undone are read again."""
        for shard in sorted(self._ended):
            self._run.wait_for(self._rows.get(shard, ()))
        self._note()
        left = sorted(self._ended)
        self._rows, self._ended = {}, set()
        for piece in self._shards.pieces(self._run, left):
            self._do_alone(piece)


def _is_done(run: Run, shards: _Shards, number: int) -> bool:
    """All rows of the shard are known, and nothing is to be done for any of them."""
    rows = shards.rows_of(run, number)
    return rows is not None and not run.lacks_of(rows, retry=run.retry_errors)


def _joined(tables: list[datasets.Dataset]) -> datasets.Dataset:
    import datasets

    return tables[0] if len(tables) == 1 else datasets.concatenate_datasets(tables)


class _Piece(NamedTuple):
    """Rows of some shards that follow each other, as many as memory holds.

    Attributes:
        ds: the rows.
        rows: what they are known by.
        shards: of each row the number of its shard.
        ended: shards whose last row is here or before.
        starts: of the blocks that processes claim.
    """

    ds: datasets.Dataset
    rows: list[Row]
    shards: list[int]
    ended: list[int]
    starts: list[int]


class _Shards:
    """The shards of a stream, in their order."""

    def __init__(self, stream: datasets.IterableDataset, features: datasets.Features) -> None:
        self.stream = stream
        self.features = features
        self.files = shard_files(stream)
        self.count = 1 if self.files is None else len(self.files)
        if self.files is None:
            logger.warning(
                "The shards of this stream are no files, or were mapped, filtered or shuffled: a start that goes on reads all "
                "of it again, though it asks nothing twice."
            )

    def pieces(self, run: Run, shards: Iterable[int] | None = None) -> Iterator[_Piece]:
        """The rows of these shards, or of all, as far as they are not done, some at a time.

        A process that comes late finds more of them done, and so has other pieces. No piece ends within a block.
        """
        blocks: list[datasets.Dataset] = []
        numbers: list[int] = []
        ended: list[int] = []
        size = 0
        for number in range(self.count) if shards is None else shards:
            if _is_done(run, self, number):
                continue
            for block in self._blocks(number, run.rows_per_part):
                if numbers and (size >= PIECE_BYTES or len(numbers) + len(block) > PIECE_ROWS):
                    piece = self._piece(run, blocks, numbers, ended)
                    blocks, numbers, ended, size = [], [], [], 0
                    yield piece
                    del piece  # who has taken it may be done with it before the next one is wanted
                blocks.append(block)
                numbers += [number] * len(block)
                size += block.data.nbytes
            ended.append(number)
        if blocks:
            yield self._piece(run, blocks, numbers, ended)

    def _blocks(self, number: int, rows: int) -> Iterator[datasets.Dataset]:
        """A shard in blocks that start at its first row and follow from its content alone: so many rows, or what memory holds."""
        tables: list[datasets.Dataset] = []
        for table in self._tables(number, min(rows, PIECE_ROWS)):
            tables.append(table)
            if (
                sum(map(len, tables)) >= min(rows, PIECE_ROWS)
                or sum(each.data.nbytes for each in tables) >= PIECE_BYTES
            ):
                yield _joined(tables)
                tables = []
        if tables:
            yield _joined(tables)

    def _tables(self, number: int, most: int) -> Iterator[datasets.Dataset]:
        """The rows of a shard, a few at a time: as Python values they take several times the memory.

        Of each `most` rows one table has the last.
        """
        shard = self.stream.shard(num_shards=self.count, index=number) if self.count > 1 else self.stream
        rows: list[dict[str, Any]] = []
        left = most
        with _said(f"Shard {number + 1:,} of the stream"):
            for row in shard:
                rows.append(row)
                left -= 1
                if len(rows) >= _ROWS_READ or left == 0:
                    yield self._table(rows)
                    rows, left = [], left or most
            if rows:
                yield self._table(rows)

    def _piece(self, run: Run, blocks: list[datasets.Dataset], numbers: list[int], ended: list[int]) -> _Piece:
        ds = _joined(blocks)
        starts = [0, *accumulate(map(len, blocks[:-1]))]
        return _Piece(ds, read_rows(ds, run.collector, run.layout), numbers, ended, starts)

    def rows_of(self, run: Run, number: int) -> list[Row] | None:
        """The rows of a shard that was read to its end and has not changed since; None where that is not known."""
        name = self._name(run, number)
        if name is None:
            return None
        with suppress(OSError, ValueError, TypeError, KeyError):
            rows = read_json(run.folder.read(name))["rows"]
            return [Row(identity, key, older, old_id) for identity, key, older, old_id in rows]
        return None

    def note(self, run: Run, number: int, rows: Sequence[Row]) -> None:
        """The shard was read to its end."""
        name = self._name(run, number)
        if name is not None and run.rank == 0:
            content = {"rows": [[row.id, row.key, row.older, row.old_id] for row in rows]}
            run.folder.write(name, json.dumps(content, separators=(",", ":")).encode())

    def _name(self, run: Run, number: int) -> str | None:
        """Of the record of a shard: by its file, and by what rows are known by."""
        if self.files is None:
            return None
        file = self.files[number]
        state = _state(file)
        if state is None:
            return None
        about = [state, run.columns, repr(run.layout), run.collector.kind]
        digest = blake2b(json.dumps(about, default=str).encode(), digest_size=12).hexdigest()
        plain = re.sub(r"[^\w.-]+", "_", file.rpartition("/")[2])[:60]
        return f"{run.fingerprint}/{FOLDER}/{plain}-{digest}.json"

    def _table(self, rows: list[dict[str, Any]]) -> datasets.Dataset:
        import datasets
        import pyarrow as pa

        try:
            return datasets.Dataset.from_list(rows, features=self.features)
        except (pa.ArrowException, TypeError, ValueError, KeyError) as error:
            raise SourceError(
                f"A row of the stream does not have the columns and types of its first rows: {one_line(error)}. Say them: "
                "load_dataset(..., features=...)."
            ) from error


@contextmanager
def _said(what: str) -> Iterator[None]:
    """What goes wrong in datasets and on the way to the Hub, in one sentence."""
    import pyarrow as pa
    from datasets.exceptions import DatasetsError

    try:
        yield
    except RapError:
        raise
    except (DatasetsError, pa.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
        raise SourceError(
            f"{what} cannot be read: {one_line(error)}. What is collected stays in the run; start the same command again."
        ) from error


def _state(file: str) -> list[Any] | None:
    """What changes when the file does; None where that cannot be told."""
    if _COMMIT.fullmatch(file):
        return [file]
    if "://" in file or "::" in file:
        return None
    try:
        status = Path(file).stat()
    except OSError:
        return None
    return [os.path.realpath(file), status.st_size, status.st_mtime_ns]


class _Stored:
    """The evidence of rows, from the parts of a run."""

    def __init__(self, run: Run, features: datasets.Features) -> None:
        self.features = type(features)({name: features[name] for name in run.columns})
        self.index, self.collector, self.layout = run.index, run.collector, run.layout
        self.engine = run.engine_now
        self.goal = {arm: run.collector.attempts_in(arm) for arm in run.collector.separate_arms}
        self.names = [column.name for column in run.collector.stored]
        self._part = lru_cache(_PARTS_HELD)(self._read)

    def of(self, row: Row) -> dict[str, Any]:
        """The evidence of a row."""
        pieces = {}
        for arm, attempts in self.goal.items():
            chosen = self.index.chosen(row.key, attempts, arm=arm)
            if attempts and (not chosen or chosen[-1].stop < attempts):
                raise RunError(f"Row {row.id!r} is not in the run {self.index.folder.url!r}: collect the stream again.")
            pieces[arm] = [
                (range(stretch.first, stretch.stop), self._part(stretch.part).slice(stretch.place, 1).to_pylist()[0])
                for stretch in chosen
            ]
        evidence = self.collector.join(pieces, self.goal)
        return evidence if self.engine is None else with_identity(evidence, self.engine)

    def _read(self, name: str) -> Any:
        return self.index.part(name).select(self.names)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_part"}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        self._part = lru_cache(_PARTS_HELD)(self._read)


def _with_evidence(stored: _Stored, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The columns of evidence for a batch of the stream."""
    import datasets

    # What was filtered or mapped hands out opened pictures, which become files here as they did when they were collected.
    table = datasets.Dataset.from_dict({name: batch[name] for name in stored.features}, features=stored.features)
    rows = [stored.of(row) for row in read_rows(table, stored.collector, stored.layout)]
    return {name: [row[name] for row in rows] for name in stored.collector.features}
