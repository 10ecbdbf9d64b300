"""How long intervals, a selection by probability and the expected agreement take for a million rows.

    python benchmarks/intervals.py [--rows 1000000]

Five attempts per arm; prints seconds of CPU time, which other work on the machine does not lengthen.
"""

from __future__ import annotations

import argparse
import time

import datasets
import numpy as np
import pyarrow as pa

from hf_rap import CDEScore, DifficultyScore, add_scores, fit_prior, select_cognitive, stability


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    args = parser.parse_args()
    datasets.disable_progress_bars()
    datasets.disable_caching()
    evidence = make(args.rows)

    started = time.process_time()

    def lap(name: str) -> None:
        nonlocal started
        print(f"| {name} | {time.process_time() - started:.1f} |")
        started = time.process_time()

    print(f"| {args.rows:,} rows | CPU seconds |\n|---|---:|")
    prior = fit_prior(evidence)
    lap("fit the prior")
    add_scores(evidence, CDEScore(), DifficultyScore())
    lap("cde and difficulty alone")
    scored = add_scores(evidence, CDEScore(prior=prior), DifficultyScore(prior=prior))
    lap("cde and difficulty with mean, interval and probability")
    select_cognitive(scored, min_probability=0.8)
    lap("select with min_probability")
    stability(scored, {})
    lap("stability, with replacement, at 5, 8, 16 and 32 attempts")


def make(rows: int) -> datasets.Dataset:
    random = np.random.default_rng(0)
    p1 = random.beta(0.6, 0.6, rows)
    columns = {"rap_id": pa.array([f"row {row}" for row in range(rows)])}
    for name, rate in (("rap_image_rewards", p1), ("rap_text_rewards", p1 * random.random(rows))):
        rewards = (random.random((rows, 5)) < rate[:, None]).astype(np.float64)
        starts = pa.array(np.arange(0, rewards.size + 1, 5, dtype=np.int32))
        columns[name] = pa.ListArray.from_arrays(starts, pa.array(rewards.ravel()))
    return datasets.Dataset(pa.table(columns))


if __name__ == "__main__":
    main()
