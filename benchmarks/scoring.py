"""Scoring and selecting against what a user would write by hand with pyarrow and numpy, and the memory it takes.

    python benchmarks/scoring.py [--rows 10000 100000 1000000] [--rounds 3]

Each figure is of a process of its own that reads the rows from an Arrow file, as `load_from_disk` does: an id, a question,
a picture, two columns of five rewards, `rap_error` and `rap_settings`. What is compared takes turns. Seconds are those of the
fastest round, on the clock and of the processors (all processes together), and it is these that are compared, since other
work on the machine hardly changes them; memory is what the process has used beyond the rows as they are mapped from the file, at its highest.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
from datasets import Dataset, Features, Image, List, Value

from hf_rap import add_scores, cde_score, difficulty_score, select_cognitive

ATTEMPTS = 5
FEATURES = Features(
    {
        "rap_id": Value("string"),
        "problem": Value("string"),
        "image": Image(),
        "rap_image_rewards": List(Value("float64")),
        "rap_text_rewards": List(Value("float64")),
        "rap_error": Value("string"),
        "rap_settings": Value("string"),
    }
)
SETTINGS = json.dumps({"model": "a/model", "attempts": 5, "temperature": 1.0, "verifier": "hf_rap", "correct": 1.0})


def make(rows: int, folder: Path) -> None:
    """Rows whose picture is solved more often than their text, some without a judged attempt; in pieces, to disk."""
    random = np.random.default_rng(0)

    def rewards(rates: np.ndarray, known: np.ndarray) -> pa.Array:
        values = (random.random((len(rates), ATTEMPTS)) < rates[:, None]).astype(float).ravel()
        offsets = pa.array(np.arange(0, len(values) + 1, ATTEMPTS, dtype=np.int32))
        return pa.ListArray.from_arrays(offsets, pa.array(values, mask=np.repeat(~known, ATTEMPTS)))

    pieces = []
    for start in range(0, rows, 100_000):
        count = min(100_000, rows - start)
        rates, known = random.beta(0.6, 0.6, count), random.random(count) > 0.02
        picture = {"bytes": random.bytes(200), "path": None}
        table = pa.table(
            {
                "rap_id": [f"{start + place:032x}" for place in range(count)],
                "problem": [f"<image>Question {start + place}: how many?" for place in range(count)],
                "image": pa.array([picture] * count, Image().pa_type),
                "rap_image_rewards": rewards(rates, known),
                "rap_text_rewards": rewards(rates * random.random(count), known),
                "rap_error": pa.array(np.where(known, None, "gold_unreadable: no answer"), pa.string()),
                "rap_settings": [SETTINGS] * count,
            },
            schema=FEATURES.arrow_schema,
        )
        pieces.append(Dataset(table))
    datasets.concatenate_datasets(pieces).save_to_disk(folder)


def shares(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Solved and known rewards of each row."""
    lists = column.combine_chunks()
    ends = lists.offsets.to_numpy()
    flat = lists.values
    known = np.concatenate(([0], np.cumsum(flat.is_valid().to_numpy(zero_copy_only=False))))
    solved = np.concatenate(([0], np.cumsum(flat.to_numpy(zero_copy_only=False) >= 1)))
    return np.diff(solved[ends]), np.diff(known[ends])


def cde_by_hand(table: pa.Table) -> pa.Table:
    """The table with a column more."""
    (s1, n1), (s0, n0) = shares(table["rap_image_rewards"]), shares(table["rap_text_rewards"])
    with np.errstate(invalid="ignore", divide="ignore"):
        return table.append_column("rap_cde", pa.array((s1 * n0 - s0 * n1) / (n1 * n0), from_pandas=True))


def select_by_hand(ds: Dataset) -> int:
    """How many rows are kept: cde above a half, the always solved replaced by the hardest; no reasons, no dataset."""
    table = ds.select_columns(["rap_image_rewards", "rap_text_rewards"]).with_format("arrow")[:]
    (s1, n1), (s0, n0) = shares(table["rap_image_rewards"]), shares(table["rap_text_rewards"])
    with np.errstate(invalid="ignore", divide="ignore"):
        cde, difficulty = (s1 * n0 - s0 * n1) / (n1 * n0), (n1 - s1) / n1
    keep = cde > 0.5
    easy = keep & (difficulty == 0)
    hard = np.flatnonzero(~keep & (difficulty > 0) & (difficulty < 1) & (cde > 0.2))
    enter = hard[np.lexsort((-cde[hard], -difficulty[hard]))][: np.count_nonzero(easy)]
    keep[easy] = False
    keep[enter] = True
    return int(np.count_nonzero(keep))


def select_ours(ds: Dataset) -> int:
    return len(select_cognitive(add_scores(ds, cde_score, difficulty_score), min_cde=0.5).kept_rows)


WAYS = {
    "map by hand": lambda ds, processes: len(
        ds.with_format("arrow").map(cde_by_hand, batched=True, num_proc=processes)
    ),
    "map(cde_score)": lambda ds, processes: len(ds.map(cde_score, batched=True, num_proc=processes)),
    "select by hand": lambda ds, _: select_by_hand(ds),
    "add_scores + select": lambda ds, _: select_ours(ds),
}


def measure(way: str, folder: str, processes: int | None) -> None:
    """Runs in a process of its own, and prints its seconds, its memory in MB and what came out."""
    datasets.disable_caching()
    datasets.disable_progress_bars()
    ds = datasets.load_from_disk(folder)
    WAYS[way](ds.select(range(10)), None)  # imports
    highest, done = 0, threading.Event()
    before = own_memory()

    def watch() -> None:
        nonlocal highest
        while not done.wait(0.01):
            highest = max(highest, own_memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    began, began_cpu = time.perf_counter(), cpu_seconds()
    result = WAYS[way](ds, processes)
    seconds, cpu = time.perf_counter() - began, cpu_seconds() - began_cpu
    highest = max(highest, own_memory())
    done.set()
    watcher.join()
    print(json.dumps({"seconds": seconds, "cpu": cpu, "memory": (highest - before) / 1e6, "result": result}))


def cpu_seconds() -> float:
    """Of this process and of those it has started that have ended."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def own_memory() -> int:
    """Bytes of this process that are not pages of a file."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    return 1024 * int(next(line.split()[1] for line in status.read_text().splitlines() if line.startswith("RssAnon")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        way, folder, processes = args.measure
        measure(way, folder, int(processes) or None)
        return
    print(
        "| rows | way | processes | seconds | CPU seconds | times by hand | MB |\n|---:|---|---:|---:|---:|---:|---:|"
    )
    for rows in args.rows:
        with tempfile.TemporaryDirectory() as folder:
            make(rows, Path(folder) / "rows")
            runs = [(way, processes) for way in WAYS for processes in ((0, 2) if way.startswith("map") else (0,))]
            found: dict[tuple[str, int], list[dict[str, float]]] = {run: [] for run in runs}
            for _ in range(args.rounds):
                for way, processes in runs:
                    words = [sys.executable, __file__, "--measure", way, f"{folder}/rows", str(processes)]
                    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
                    found[way, processes].append(json.loads(done.stdout.splitlines()[-1]))
            assert {run["result"] for run in found["select by hand", 0]} == {
                run["result"] for run in found["add_scores + select", 0]
            }
            seconds, cpu = (
                {run: min(each[name] for each in found[run]) for run in runs} for name in ("seconds", "cpu")
            )
            for way, processes in runs:
                hand = "map by hand" if way.startswith("map") else "select by hand"
                memory = statistics.median(each["memory"] for each in found[way, processes])
                run = (way, processes)
                ratio = cpu[run] / cpu[hand, processes]
                cells = (f"{rows:,}", way, processes or 1, f"{seconds[run]:.2f}", f"{cpu[run]:.2f}", f"{ratio:.1f}")
                print("|", *(f"{cell} |" for cell in (*cells, f"{memory:,.0f}")), flush=True)


if __name__ == "__main__":
    main()
