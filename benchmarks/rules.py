"""How long every rule takes on the same rows, and all of them as `hf-rap compare --methods all`.

    python benchmarks/rules.py [--rows 100000] [--attempts 8] [--words 40]

Rows have two arms of attempts and both controls, with replies of so many words, tokens, visual dependence, learning impact and
attention; pass rates are drawn from the ends and from between. Seconds are those of one run on the clock, after a run on 1,000 rows.
The last line stands on docs/rules.md.
"""

from __future__ import annotations

import argparse
import time

import datasets
import numpy as np
import pyarrow as pa
from datasets import Dataset

from hf_rap import add_scores, cde_score, difficulty_score, select_cognitive
from hf_rap.select import METHODS
from hf_rap.select.comparison import compare_methods


def make(rows: int, attempts: int, words: int) -> Dataset:
    """Rows whose picture is solved more often than their text."""
    random = np.random.default_rng(0)
    rates = np.where(random.random(rows) < 0.6, random.integers(0, 2, rows), random.random(rows))
    ends = pa.array(np.arange(0, rows * attempts + 1, attempts, dtype=np.int32))

    def lists(values: pa.Array) -> pa.Array:
        return pa.ListArray.from_arrays(ends, values)

    columns = {"rap_id": pa.array([f"{row:032x}" for row in range(rows)])}
    for arm, of_rates in (("image", 1.0), ("text", 0.4), ("blank", 0.3), ("shuffled", 0.3)):
        right = random.random((rows, attempts)) < (rates * of_rates)[:, None]
        columns[f"rap_{arm}_rewards"] = lists(pa.array(right.ravel().astype(float)))
        columns[f"rap_{arm}_tokens"] = lists(pa.array(random.integers(5, 500, rows * attempts).astype(np.int32)))
    starts = np.array([" ".join(f"w{(place + shift) % 977}" for shift in range(words)) for place in range(977)])
    replies = pa.array(starts.tolist()).take(pa.array(random.integers(0, 977, rows * attempts)))
    columns["rap_image_responses"] = lists(replies)
    columns["rap_visual_dependence"] = pa.array(random.random(rows))
    columns["rap_limr"] = pa.array(random.random(rows))
    return add_scores(Dataset(pa.table(columns)), cde_score, difficulty_score)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--attempts", type=int, default=8)
    parser.add_argument("--words", type=int, default=40)
    given = parser.parse_args()
    datasets.disable_progress_bars()
    compare_methods(make(1_000, given.attempts, given.words), "all")
    ds = make(given.rows, given.attempts, given.words)
    print(f"{'rule':<20} seconds")
    for name, method in METHODS.items():
        options = {"budget": 0.05} if method.needs_budget else {}
        began = time.perf_counter()
        try:
            select_cognitive(ds, method=name, **options)
            print(f"{name:<20} {time.perf_counter() - began:7.2f}")
        except Exception as error:  # noqa: BLE001 - a rule that lacks evidence here is named
            print(f"{name:<20} not run: {error}"[:110])
    began, began_cpu = time.perf_counter(), time.process_time()
    comparison = compare_methods(ds, "all")
    seconds, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    print(f"\n{comparison}\n")
    print(
        f"{given.rows:,} rows, {given.attempts} attempts per arm: all in {seconds:.1f} s ({cpu:.1f} s of the processor)"
    )


if __name__ == "__main__":
    main()
