r"""JSONL files in the layout of VisualPRM400K, one per source, read as Arrow tables.

One line, shortened; `image` may also be a list:

    {"image": "ai2d/abc.png", "question": "<image>\nWhich ... think step by step", "question_orig": "Which ...",
     "answer": "B", "response": "Step 1: ...", "steps_with_score": [{"step": "Step 1: ...", "score": 0.75,
     "num_mc_correct": 12, "num_mc_total": 16}, ...]}

A block of lines goes through Arrow's parser. Where that stumbles over a line (broken JSON, another
type), the lines of this block are read one by one, so that the line at fault can be named.
"""

from __future__ import annotations

import json
import mmap
from typing import TYPE_CHECKING, Any

from hf_rap.columns import STEPS, arrow_type
from hf_rap.errors import RowError, first_line
from hf_rap.options import ForeignError, read_json
from hf_rap.rows.json_lines import fault_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

BLOCK_BYTES = 1 << 23  # lines that are in memory at once; larger was seen to be slower
# How Arrow cuts a block between its threads; a line longer than this goes the slow way.
_PIECE_BYTES = 1 << 22
_NEWLINE = ord("\n")
_TEXTS = ("question", "question_orig", "answer", "response")
FIELDS = ("image", *_TEXTS, STEPS.name)


def schema() -> pa.Schema:
    """The columns of a parsed block."""
    import pyarrow as pa

    texts = [(name, pa.string()) for name in _TEXTS]
    return pa.schema([("image", pa.list_(pa.string())), *texts, (STEPS.name, arrow_type(STEPS.dtype))])


def read_blocks(path: Path) -> Iterator[tuple[pa.Table, NDArray[np.int64], dict[int, RowError]]]:
    """The lines of a file block by block: a table, the number of the line of each row, and row -> fault.

    A broken line is a row of nulls with a fault. Blank lines are skipped.
    """
    import numpy as np

    line, start, size = 1, 0, path.stat().st_size
    if not size:
        return  # an empty file cannot be mapped
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        while start < size:
            end = mapped.find(b"\n", min(start + BLOCK_BYTES, size) - 1) + 1 or size
            with memoryview(mapped) as whole, whole[start:end] as block:
                letters = np.frombuffer(block, dtype=np.uint8)
                count = int(np.count_nonzero(letters == _NEWLINE)) + (letters[-1] != _NEWLINE)
                del letters  # the file cannot be closed while something looks at it
                table = _parse(block)
                if table is not None and len(table) == count:
                    yield table, np.arange(line, line + count), {}
                else:
                    yield _parse_lines(bytes(block), line)
            line, start = line + count, end


def other_fields(path: Path) -> list[str]:
    """Fields of the first readable line that are not read; none where no line of the first thousand is."""
    with path.open("rb") as file:
        for line, _ in zip(file, range(1_000), strict=False):
            try:
                record = read_json(line, object)
            except ForeignError:
                continue
            if isinstance(record, dict):
                return [name for name in record if name not in FIELDS]
    return []


def is_visualprm(path: Path) -> bool:
    """Some of the first lines are in this layout."""
    with path.open("rb") as file:
        for line, _ in zip(file, range(100), strict=False):
            try:
                record = read_json(line, object)
            except ForeignError:
                continue
            if isinstance(record, dict) and STEPS.name in record:
                return True
    return False


def _parse(block: memoryview) -> pa.Table | None:
    import pyarrow as pa
    from pyarrow import json as arrow_json

    if any(fault_of(line) for line in bytes(block).split(b"\n") if line):
        return None
    wanted = schema()
    plain = wanted.set(0, pa.field("image", pa.string()))
    for fields in (plain, wanted):  # a file has one image per line, or lists of them
        try:
            table = arrow_json.read_json(
                pa.BufferReader(pa.py_buffer(block)),
                arrow_json.ReadOptions(block_size=_PIECE_BYTES),
                arrow_json.ParseOptions(explicit_schema=fields, unexpected_field_behavior="ignore"),
            )
        except pa.ArrowException:
            continue
        table = table.combine_chunks()
        if fields is plain:
            table = table.set_column(0, wanted.field(0), _one_each(table["image"].combine_chunks()))
        return table.cast(wanted)
    return None


def _one_each(values: Any) -> Any:
    """Each value as a list of one; null as null."""
    import numpy as np
    import pyarrow as pa

    if not values.null_count:
        return pa.ListArray.from_arrays(pa.array(np.arange(len(values) + 1, dtype=np.int32)), values)
    has_value = values.is_valid().to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(has_value)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values.drop_null(), mask=pa.array(~has_value))


def _parse_lines(block: bytes, first: int) -> tuple[pa.Table, NDArray[np.int64], dict[int, RowError]]:
    import numpy as np
    import pyarrow as pa

    rows: list[dict[str, Any]] = []
    numbers: list[int] = []
    faults: dict[int, RowError] = {}
    for number, line in enumerate(block.split(b"\n"), first):
        if not line or line.isspace():
            continue
        try:
            rows.append(_normal(read_json(line, object)))
        except (ValueError, TypeError) as error:  # ForeignError is one, and its cause says where
            why = error.__cause__ if isinstance(error.__cause__, ValueError) else error
            faults[len(rows)] = RowError("line_broken", first_line(why))
            rows.append({})
        numbers.append(number)
    table = pa.Table.from_pylist(rows, schema=schema())
    return table, np.array(numbers, dtype=np.int64), faults


def _normal(record: Any) -> dict[str, Any]:
    """The fields of one line with their types; ValueError or TypeError says what does not fit."""
    if not isinstance(record, dict):
        raise TypeError(f"the line holds a {type(record).__name__}, not an object")
    image = record.get("image")
    images = [image] if isinstance(image, str) else image
    if images is not None and not (isinstance(images, list) and all(isinstance(name, str) for name in images)):
        raise TypeError(f"image is {_short(image)}, not a name or a list of names")
    row: dict[str, Any] = {"image": images}
    for name in _TEXTS:
        value = record.get(name)
        row[name] = value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    steps = record.get(STEPS.name)
    if steps is not None and not isinstance(steps, list):
        raise TypeError(f"{STEPS.name} is {_short(steps)}, not a list")
    row[STEPS.name] = None if steps is None else [_step(step) for step in steps]
    return row


def _step(step: Any) -> dict[str, Any]:
    if not isinstance(step, dict):
        raise TypeError(f"a step is {_short(step)}, not an object")
    text, score = step.get("step"), step.get("score")
    if text is not None and not isinstance(text, str):
        raise TypeError(f"the text of a step is {_short(text)}")
    counts = {name: step.get(name) for name in ("num_mc_correct", "num_mc_total")}
    for name, count in counts.items():
        if count is not None and not (isinstance(count, int) and abs(count) < 1 << 63):
            raise TypeError(f"{name} is {_short(count)}, not a whole number")
    return {"step": text, "score": None if score is None else float(score), **counts}


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:60]}..."
