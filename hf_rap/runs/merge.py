"""From the parts of a run to the evidence of a dataset, in the order of its rows."""

from __future__ import annotations

import atexit
import tempfile
from collections import OrderedDict
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

from hf_rap.errors import RunError
from hf_rap.system import disk_trouble, release_mapped_files, scratch_folder

from .before import with_identity

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    import datasets
    import pyarrow as pa

    from hf_rap.evidence.collector import Collector

    from .index import Index
    from .row_table import Rows
    from .stretches import Stretch

ROWS_PER_BATCH = 256  # evidence in memory at once
_BYTES_AT_HAND = 32_000_000  # of parts that were read last
_PARTS_AT_HAND = 16  # about as many
_READ_AGAIN = 4  # so often on average: beyond that they are put into one file first


def merge(
    index: Index,
    rows: Rows,
    collector: Collector,
    goal: Callable[[int], Mapping[str | None, int]],
    *,
    engine: Mapping[str, Any] | None = None,
    lacking: Collection[int] = (),
) -> datasets.Dataset:
    """The evidence of `rows`, with as many attempts per arm as `goal` says of each; of those that are `lacking`, nulls.

    All others must be in the index. `engine`, what it tells of itself, is given where some was written before models had
    an identity.

    Memory does not grow with the run: evidence goes into a file in the temporary folder, which lives as long as this
    process. Parts are read as rows need them. Where these stand in quite another order than the parts, as in a dataset that
    was shuffled since, the parts go through a file there as well.

    Raises:
        RunError: a part has changed since it was indexed, or the temporary folder has no room.
    """
    held = ExitStack()
    try:
        folder = held.enter_context(scratch_folder())
        evidence = _merged(index, rows, collector, goal, folder, engine=engine, lacking=lacking)
    except OSError as error:
        held.close()
        trouble = disk_trouble(error) or (
            str(error) if isinstance(error, FileNotFoundError) else None
        )  # no folder at all
        if trouble is None:
            raise
        raise RunError(
            f"The evidence is all in the run {index.folder.url!r}, but there is no room to put it together in the temporary "
            f"folder {_temporary_folder()!r}: {trouble}. Make room there, or name another folder in TMPDIR, and start the same "
            "command again: nothing is asked a second time."
        ) from error
    except BaseException:
        held.close()
        raise
    atexit.register(held.close)
    return evidence


def _temporary_folder() -> str:
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:
        return "TMPDIR"


def _merged(
    index: Index,
    rows: Rows,
    collector: Collector,
    goal: Callable[[int], Mapping[str | None, int]],
    folder: Path,
    *,
    engine: Mapping[str, Any] | None,
    lacking: Collection[int],
) -> datasets.Dataset:
    import datasets

    def chosen(number: int) -> dict[str | None, list[Stretch]]:
        if number in lacking:
            return {}
        key = rows.key(number)
        return {arm: index.chosen(key, attempts, arm=arm) for arm, attempts in goal(number).items()}

    features = collector.features
    parts, follow = _parts_of(chosen, len(rows))
    stored: _Stored = _AsTheyCome(index) if follow else _InOneFile(index, parts, folder / "parts.arrow")

    def assemble(batch: dict[str, list[int]]) -> dict[str, list[Any]]:
        of_rows = {number: chosen(number) for number in batch["number"]}
        held = stored.rows({each for of_row in of_rows.values() for of_arm in of_row.values() for each in of_arm})
        merged = []
        for number, of_row in of_rows.items():
            if not of_row:
                merged.append(dict.fromkeys(features))
                continue
            pieces = {
                arm: [(range(each.first, each.stop), held[each]) for each in of_arm] for arm, of_arm in of_row.items()
            }
            row = collector.join(pieces, goal(number))
            merged.append(row if engine is None else with_identity(row, engine))
        return {name: [row[name] for row in merged] for name in features}

    return datasets.Dataset.from_dict({"number": range(len(rows))}).map(
        assemble,
        batched=True,
        batch_size=ROWS_PER_BATCH,
        remove_columns="number",
        features=features,
        cache_file_name=str(folder / "evidence.arrow"),
        new_fingerprint=folder.name,  # hashing all that `assemble` holds takes longer than the merge
        desc="merging",
    )


def _parts_of(chosen: Callable[[int], Mapping[str | None, Sequence[Stretch]]], count: int) -> tuple[set[str], bool]:
    """The parts that rows need, and whether reading them as rows come to them reads few of them again."""
    at_hand: OrderedDict[str, None] = OrderedDict()
    parts: set[str] = set()
    reads = 0
    for number in range(count):
        for part in {each.part for of_arm in chosen(number).values() for each in of_arm}:
            if part not in at_hand:
                parts.add(part)
                reads += 1
                if len(at_hand) == _PARTS_AT_HAND:
                    at_hand.popitem(last=False)
            at_hand[part] = None
            at_hand.move_to_end(part)
    return parts, reads <= _READ_AGAIN * len(parts)


class _Stored(Protocol):
    """What the parts hold."""

    def rows(self, stretches: Iterable[Stretch]) -> dict[Stretch, dict[str, Any]]: ...


class _AsTheyCome:
    """Parts, of which those that were read last are at hand."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._at_hand: OrderedDict[str, pa.Table] = OrderedDict()
        self._bytes = 0

    def rows(self, stretches: Iterable[Stretch]) -> dict[Stretch, dict[str, Any]]:
        """The evidence of each."""
        of_parts: dict[str, list[Stretch]] = {}
        for stretch in stretches:
            of_parts.setdefault(stretch.part, []).append(stretch)
        held: dict[Stretch, dict[str, Any]] = {}
        for name in sorted(of_parts, key=lambda name: name not in self._at_hand):
            rows = self._part(name).take([stretch.place for stretch in of_parts[name]]).to_pylist()
            held.update(zip(of_parts[name], rows, strict=True))
        return held

    def _part(self, name: str) -> pa.Table:
        part = self._at_hand.get(name)
        if part is None:
            part = self._at_hand[name] = self._index.part(name).select(self._index.schema.names)
            self._bytes += part.nbytes
            while len(self._at_hand) > 1 and self._bytes > _BYTES_AT_HAND:
                _, dropped = self._at_hand.popitem(last=False)
                self._bytes -= dropped.nbytes
        self._at_hand.move_to_end(name)
        return part


class _InOneFile:
    """Parts, written one after the other into one Arrow file, where every row is at hand."""

    def __init__(self, index: Index, parts: Collection[str], path: Path) -> None:
        import datasets
        import pyarrow as pa

        self._starts: dict[str, int] = {}
        rows = 0
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, index.schema) as writer:
            for name in sorted(parts):
                part = index.part(name)
                self._starts[name] = rows
                rows += len(part)
                writer.write_table(part.select(index.schema.names).combine_chunks())
        self._stored = datasets.Dataset.from_file(str(path)).with_format("arrow")

    def rows(self, stretches: Iterable[Stretch]) -> dict[Stretch, dict[str, Any]]:
        """The evidence of each."""
        places = {stretch: self._starts[stretch.part] + stretch.place for stretch in stretches}
        held = dict(zip(places, self._stored[list(places.values())].to_pylist(), strict=True)) if places else {}
        release_mapped_files()
        return held
