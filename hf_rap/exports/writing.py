"""How the exports reach the disk: one Parquet file, or JSON lines beside a folder of images."""

from __future__ import annotations

import hashlib
import json
import shlex
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_rap.columns import PREFIX
from hf_rap.rows.parquet import ROW_GROUP_BYTES, bytes_in, write_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import datasets
    import pyarrow as pa

    from .base import Given, Target

DATA_FILE = "train.parquet"
VAL_FILE = "val.parquet"
ROWS_PER_STEP = 128
# What Pillow calls a format -> the usual ending.
_ENDINGS = {"JPEG": "jpg", "MPO": "jpg", "TIFF": "tif"}


def plain_images() -> datasets.Features:
    """The type of an image column that readers do not decode.

    Trainers that rewrite every row with `Dataset.map` encode a decoded image anew, a JPEG with
    other pixels than before. Of a plain struct they keep the bytes.
    """
    from datasets import List, Value

    return List({"bytes": Value("binary"), "path": Value("string")})


def write_parquet(
    rows: Iterable[dict[str, Any]],
    features: datasets.Features,
    target: Target,
    make: Callable[[dict[str, Any]], dict[str, Any]] = dict,
) -> None:
    """`train.parquet`, or `val.parquet`, with what `make` makes of each row; `features` are of that."""
    write_rows(map(make, rows), features, target.folder / f"{target.split}.parquet")


def write_with_scores(
    rows: Iterable[dict[str, Any]], own: dict[str, Any], features: datasets.Features, target: Target
) -> None:
    """A file for trainers that hand further columns to the reward function: `accepted`, and the scores.

    Args:
        rows: in the universal layout.
        own: columns that the trainer knows, with the types that it wants.
        features: of `rows`.
        target: where it goes.
    """
    from datasets import List, Value

    scores = {name: feature for name, feature in features.items() if name.startswith(PREFIX)}
    write_parquet(
        rows,
        type(features)({**own, "accepted": List(Value("string")), **scores}),
        target,
        lambda row: {name: row[name] for name in (*own, *scores)} | {"accepted": row["extra_info"]["accepted"]},
    )


def write_rows(rows: Iterable[dict[str, Any]], features: datasets.Features, path: Path) -> None:
    """Rows with these features as one Parquet file, a few in memory at a time."""
    write_table(_tables(rows, features), features, path, metadata={})


def _tables(rows: Iterable[dict[str, Any]], features: datasets.Features) -> Iterator[pa.Table]:
    import pyarrow as pa

    schema = features.arrow_schema
    waiting: list[dict[str, Any]] = []
    held = 0
    for row in rows:
        size = bytes_in(row.get("images"))
        if waiting and (len(waiting) == ROWS_PER_STEP or held + size > ROW_GROUP_BYTES):
            yield pa.Table.from_pylist(waiting, schema)
            waiting, held = [], 0
        waiting.append(row)
        held += size
    if waiting:
        yield pa.Table.from_pylist(waiting, schema)


def write_json_lines(
    rows: Iterable[dict[str, Any]], target: Target, make: Callable[[dict[str, Any], list[Path]], dict[str, Any]]
) -> None:
    """`train.jsonl`, or `val.jsonl`, and `images/`; `make` gets a row and the paths of its images below the folder.

    An image is named by its content: ids hold slashes and worse, and equal images are written once.
    """
    (target.folder / "images").mkdir(exist_ok=True)
    write_lines(
        (make(row, [_write_image(image["bytes"], target.folder) for image in row["images"]]) for row in rows), target
    )


def write_lines(rows: Iterable[dict[str, Any]], target: Target) -> None:
    """`train.jsonl`, or `val.jsonl`."""
    with (target.folder / f"{target.split}.jsonl").open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _write_image(content: bytes, folder: Path) -> Path:
    from PIL import Image

    with Image.open(BytesIO(content)) as opened:
        kind = opened.format or "png"
    path = Path("images") / f"{hashlib.sha256(content).hexdigest()[:32]}.{_ENDINGS.get(kind, kind.lower())}"
    if not (folder / path).exists():
        (folder / path).write_bytes(content)
    return path


def write_reward(folder: Path, trainer: str, name: str) -> None:
    """The file that a trainer loads its reward function from: hf_rap must be installed beside the trainer."""
    (folder / reward_file(trainer)).write_text(
        f'"""Rewards replies with the verifier that scored the rows."""\n\n'
        f"from hf_rap.training.{trainer} import {name}  # noqa: F401\n",
        encoding="utf-8",
    )


def reward_file(trainer: str) -> str:
    """Its name."""
    return f"reward_{trainer}.py"


def without_val(given: Given, name: str) -> str:
    """A comment where no rows are held out for a trainer that does not start without; else nothing."""
    return (
        ""
        if given.held_out
        else f"# no rows are held out: give {name} rows that are not trained on, or export with --val-rows\n"
    )


def command(*lines: str) -> str:
    """One command line over several lines."""
    return " \\\n  ".join(lines)


def option(name: str, value: str | Path) -> str:
    """`--name=value`, quoted for the shell."""
    return shlex.quote(f"--{name}={value}")


def setting(name: str, value: str | Path) -> str:
    """`name="value"` for Hydra and OmegaConf, which split at spaces and commas otherwise; quoted for the shell."""
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return shlex.quote(f'{name}="{text}"')
