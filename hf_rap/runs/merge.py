"""From the parts of a run to the evidence of a dataset, in the order of its rows."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_rap.columns import ARMS, ERROR, IMAGE_REWARDS, TEXT_REWARDS
from hf_rap.errors import RunError
from hf_rap.rollouts import not_judged

from .folder import Unusable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import datasets

    from .index import Index, Row, Stretch

ROWS_PER_BATCH = 1000  # evidence in memory at once


def merge(index: Index, rows: Sequence[Row], attempts: int, features: datasets.Features) -> datasets.Dataset:
    """The evidence of `rows`, which must all be in the index, with `attempts` attempts each.

    Memory does not grow with the run: parts go through a file in the temporary folder, which lives as
    long as this process.

    Raises:
        RunError: a part has changed since it was indexed.
    """
    import datasets

    chosen = [index.chosen(row.key, attempts) for row in rows]
    folder = Path(tempfile.mkdtemp(prefix="hf-rap-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    starts = _spool(index, {one.part for stretches in chosen for one in stretches}, folder / "parts.arrow")
    stored = datasets.Dataset.from_file(str(folder / "parts.arrow")).with_format("arrow")

    def assemble(batch: dict[str, list[int]]) -> dict[str, list[Any]]:
        stretches = [chosen[number] for number in batch["number"]]
        held = iter(stored[[starts[one.part] + one.place for each in stretches for one in each]].to_pylist())
        merged = [merge_row([(one, next(held)) for one in each], attempts) for each in stretches]
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


def merge_row(held: Sequence[tuple[Stretch, dict[str, Any]]], attempts: int) -> dict[str, Any]:
    """One row's evidence from the stretches of its attempts, as one go would have written it."""
    first = held[0][1]
    merged: dict[str, Any] = {}
    pieces: dict[str, list[list[Any]]] = {}
    have = 0
    for stretch, row in held:
        stop = min(stretch.stop, attempts)
        for name, value in row.items():
            if isinstance(value, list):
                pieces.setdefault(name, []).append(value[have - stretch.first : stop - stretch.first])
            elif merged.get(name) is None:
                merged[name] = value
        have = stop
    joined = {name: [one for piece in each for one in piece] for name, each in pieces.items()}
    merged = {name: joined.get(name, merged.get(name)) for name in first}
    merged[ERROR.name] = _error(merged, [row[ERROR.name] for _, row in held])
    return merged


def _error(merged: dict[str, Any], errors: list[str | None]) -> str | None:
    """The `rap_error` of the merged row: that of a stretch, with replies that could not be graded counted anew."""
    other = next((error for error in errors if error is not None and not error.startswith("not_judged")), None)
    if other is not None:
        return other
    for arm, column in zip(ARMS, (IMAGE_REWARDS, TEXT_REWARDS), strict=True):
        rewards = merged[column.name] or []
        if None in rewards:
            told = (error for error in errors if error is not None and f" {arm} arm " in error)
            reason = next((error.rpartition("could not be graded: ")[2] for error in told), "reason not kept")
            return str(not_judged(arm, rewards.count(None), len(rewards), reason))
    return None


def _spool(index: Index, parts: set[str], path: Path) -> dict[str, int]:
    """Write these parts, one after the other, into one Arrow file; gives the row where each starts."""
    import pyarrow as pa

    starts: dict[str, int] = {}
    rows = 0
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, index.schema) as writer:
        for name in sorted(parts):
            part = index.folder.read_part(index.fingerprint, name, index.schema)
            if isinstance(part, Unusable):
                raise RunError(f"{part.path} was good a moment ago; now: {part.why}. Start the same command again.")
            starts[name] = rows
            rows += len(part)
            writer.write_table(part.select(index.schema.names).combine_chunks())
    return starts
