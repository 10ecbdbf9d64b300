"""What a changed version costs to send: new bytes of each config, by the chunks of hf-xet and by whole files.

python benchmarks/publishing.py 0          with 10,000 rows
python -c "import changed_versions; changed_versions.main(2_000)"    in this folder, with fewer

The Hub stores chunks where the client has hf-xet: it is its own chunker that counts here, against a store in a folder.
Without it (and for anybody who fetches a changed file) whole files count, by their checksums.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

IMAGE_BYTES = 80_000


def main(rows: int = 10_000) -> None:
    from datasets import disable_progress_bars

    disable_progress_bars()
    with tempfile.TemporaryDirectory() as work:
        measure(rows, Path(work))


def measure(rows: int, work: Path) -> None:
    import hf_xet

    from hf_rap import publish_to_folder, select_cognitive

    ds = make_rows(rows, work)
    first = Path(publish_to_folder(select_cognitive(ds, min_cde=0.5, replace_easy=False), work / "first"))
    sizes = {
        config: sum(file.stat().st_size for file in (first / config).iterdir()) for config in ("scored", "selected")
    }
    print(f"{rows:,} rows of {IMAGE_BYTES:,} bytes; bytes of each config: {sizes}", flush=True)
    print("change | config | new bytes, chunks | share | new bytes, whole files")
    for name, (changed, min_cde) in changes(rows).items():
        second = Path(
            publish_to_folder(select_cognitive(changed(ds), min_cde=min_cde, replace_easy=False), work / "second")
        )
        for config, size in sizes.items():
            store = f"local://{tempfile.mkdtemp(dir=work)}"
            session = hf_xet.XetSession()
            for folder in (first, second):
                commit = session.new_upload_commit(endpoint=store)
                for file in sorted((folder / config).iterdir()):
                    commit.start_upload_file(str(file))
                new = commit.wait_to_finish().dedup_metrics.new_bytes
            print(
                f"{name} | {config} | {new:,} | {new / size:.1%} | {whole_files(first, second, config):,}", flush=True
            )
            remove(Path(store.removeprefix("local://")))
        if min_cde != 0.5:
            came_in = sum(0.4 <= score < 0.5 for score in ds["rap_cde"]) * IMAGE_BYTES
            print(f"  rows that came into selected: {came_in:,} bytes", flush=True)
        remove(second)


def changes(rows: int) -> dict[str, tuple[Callable[[Any], Any], float]]:
    """Name -> what is done to the rows, and the threshold."""
    from datasets import concatenate_datasets

    ten = set(Random(1).sample(range(rows), 10))
    return {
        "other threshold": (lambda ds: ds, 0.4),
        "3 rows dropped": (
            lambda ds: ds.select([n for n in range(rows) if n not in (rows // 7, rows // 2, rows - 9)]),
            0.5,
        ),
        "a row in front": (lambda ds: concatenate_datasets([ds.select([rows // 3]), ds]), 0.5),
        "10 rows removed": (lambda ds: ds.select([n for n in range(rows) if n not in ten]), 0.5),
        "a column added": (lambda ds: ds.add_column("note", [f"note {n}" for n in range(rows)]), 0.5),
    }


def whole_files(first: Path, second: Path, config: str) -> int:
    from hf_rap.rows.provenance import hash_file

    there = {hash_file(file) for file in (first / config).iterdir()}
    return sum(file.stat().st_size for file in (second / config).iterdir() if hash_file(file) not in there)


def make_rows(rows: int, work: Path) -> Any:
    from datasets import Dataset, Features, Image, List, Value

    features = Features(
        {
            "rap_id": Value("string"),
            "images": List(Image()),
            "problem": Value("string"),
            "answer": Value("string"),
            "rap_cde": Value("float64"),
        }
    )

    def generate():
        random = Random(0)
        for number in range(rows):
            yield {
                "rap_id": f"row-{number}",
                "images": [{"bytes": picture(number, random), "path": None}],
                "problem": f"<image>What is in picture {number}?",
                "answer": str(number % 7),
                "rap_cde": random.random(),
            }

    return Dataset.from_generator(generate, features=features, cache_dir=str(work / "data"))


def picture(number: int, random: Random) -> bytes:
    """A small picture with noise behind its end, which readers ignore: as large as a photo, and no easier to compress."""
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (8, 8), (number % 256, 0, 0)).save(file, "PNG")
    return file.getvalue() + random.randbytes(int(IMAGE_BYTES * random.uniform(0.7, 1.3)))


def remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder)
