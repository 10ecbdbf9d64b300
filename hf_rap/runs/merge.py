"""From the parts of a run to the evidence of a dataset, in the order of its rows."""

from __future__ import annotations

import atexit
import tempfile
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from hf_rap.errors import RunError
from hf_rap.system import disk_trouble, scratch_folder

from .before import with_identity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import datasets

    from hf_rap.evidence.collector import Collector

    from .index import Index, Row

ROWS_PER_BATCH = 1000  # evidence in memory at once


def merge(
    index: Index,
    rows: Sequence[Row],
    collector: Collector,
    goals: Sequence[Mapping[str | None, int]],
    *,
    engine: Mapping[str, Any] | None = None,
) -> datasets.Dataset:
    """The evidence of `rows`, which must all be in the index, with as many attempts per arm as `goals` says of each.

    `engine`, what it tells of itself, is given where some was written before models had an identity.

    Memory does not grow with the run: parts go through a file in the temporary folder, which lives as
    long as this process.

    Raises:
        RunError: a part has changed since it was indexed, or the temporary folder has no room.
    """
    held = ExitStack()
    try:
        evidence = _merged(index, rows, collector, goals, held.enter_context(scratch_folder()), engine=engine)
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
    rows: Sequence[Row],
    collector: Collector,
    goals: Sequence[Mapping[str | None, int]],
    folder: Path,
    *,
    engine: Mapping[str, Any] | None,
) -> datasets.Dataset:
    import datasets

    chosen = [
        {arm: index.chosen(row.key, attempts, arm=arm) for arm, attempts in goal.items()}
        for row, goal in zip(rows, goals, strict=True)
    ]
    features = collector.features
    starts = _spool(
        index,
        {stretch.part for of_row in chosen for stretches in of_row.values() for stretch in stretches},
        folder / "parts.arrow",
    )
    stored = datasets.Dataset.from_file(str(folder / "parts.arrow")).with_format("arrow")

    def assemble(batch: dict[str, list[int]]) -> dict[str, list[Any]]:
        stretches = {
            stretch: starts[stretch.part] + stretch.place
            for number in batch["number"]
            for of_arm in chosen[number].values()
            for stretch in of_arm
        }
        held = dict(zip(stretches, stored[list(stretches.values())].to_pylist(), strict=True))
        merged = []
        for number in batch["number"]:
            pieces = {
                arm: [(range(stretch.first, stretch.stop), held[stretch]) for stretch in of_arm]
                for arm, of_arm in chosen[number].items()
            }
            row = collector.join(pieces, goals[number])
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


def _spool(index: Index, parts: set[str], path: Path) -> dict[str, int]:
    """Write these parts, one after the other, into one Arrow file; gives the row where each starts."""
    import pyarrow as pa

    starts: dict[str, int] = {}
    rows = 0
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, index.schema) as writer:
        for name in sorted(parts):
            part = index.part(name)
            starts[name] = rows
            rows += len(part)
            writer.write_table(part.select(index.schema.names).combine_chunks())
    return starts
