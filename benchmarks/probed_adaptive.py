"""Tokens against what is selected: a probe, adaptive attempts and both, next to five attempts of every row; on a pool of planted rows.

    python benchmarks/probed_adaptive.py POOL [--seeds 3] [--plot docs/images/probed.png]    # of benchmarks/probed.py --collect

Truth is cde > 0.5 of 32 attempts, of which those of a collection are some. Jaccard, precision and recall are of the rows that it
selects without replacements, by its cde or, for sequential attempts and where it says so, by the posterior. Tokens count slice, audit
and settling.
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from hf_rap import (
    Exact,
    Probing,
    Rollouts,
    Sequential,
    add_scores,
    cde_score,
    collect_adaptive,
    collect_in_run,
    collect_probed,
    difficulty_score,
    select_cognitive,
)
from hf_rap.demo import demo_engine, make_planted

TRUTH, ATTEMPTS = 32, 5
ARMS = ("image", "text")
MARKERS = {"raw cde": "s", "by the posterior": "^", "exact": "D", "sequential": "o"}
POSTERIOR = "by the posterior"
STOPPING = {"": None, POSTERIOR: None, "exact": Exact(replace_easy=False)} | {
    f"sequential, {budget:g}": Sequential(budget=budget, most=16) for budget in (2.5, 3, 5)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pool")
    parser.add_argument("--rows", type=int, default=5_000)
    parser.add_argument("--planted", type=int, default=0, help="seed of the rows (default: 0)")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    datasets.disable_progress_bars()
    logging.disable(logging.WARNING)
    planted, engine = make_planted(args.rows, seed=args.planted), demo_engine()
    whole = collect_in_run(planted, Rollouts(engine, attempts=TRUTH, max_new_tokens=64), args.pool)
    rates = [[np.nan if row is None else np.mean(row) for row in whole[f"rap_{arm}_rewards"]] for arm in ARMS]
    truth = np.nan_to_num(np.subtract(*rates), nan=-1) > 0.5
    each = sum(np.mean([np.sum(row or 0) / TRUTH for row in whole[f"rap_{arm}_tokens"]]) for arm in ARMS)
    rollouts = Rollouts(engine, attempts=ATTEMPTS, max_new_tokens=64)
    points: dict[str, list[tuple[float, float]]] = {}
    print("| | tokens | Jaccard with the truth | precision | recall |\n|---|---:|---:|---:|---:|")
    for probe in (False, True):
        for name, stopping in STOPPING.items():
            figures = []
            for seed in range(args.seeds if probe else 1):
                made = collect(planted, rollouts, stopping, args.pool, Probing(seed=seed) if probe else None)
                kept = np.zeros(len(planted), dtype=bool)
                kept[selected(made, probe=probe, posterior=name.startswith((POSTERIOR, "sequential")))] = True
                tokens = sum(sum(row or ()) for arm in ARMS for row in made[f"rap_{arm}_tokens"])
                if probe:
                    record = json.loads(made["rap_probed"][0])
                    tokens += record["settled_attempts"] * each
                both = np.count_nonzero(kept & truth)
                share = tokens / (ATTEMPTS * each * len(planted))
                figures.append((share, both / np.count_nonzero(kept | truth), both / kept.sum(), both / truth.sum()))
            share, *others = np.mean(figures, axis=0)
            start = "probe" if probe else "five attempts of every row" if stopping is None else ""
            title = ", ".join(filter(None, [start, name]))
            kind = "sequential" if name.startswith("sequential") else name or "raw cde"
            points.setdefault(f"probe, {kind}" if probe else kind, []).append((share, others[0]))
            print(f"| {title} | {share:.1%} | " + " | ".join(f"{figure:.3f}" for figure in others) + " |", flush=True)
    if args.plot:
        draw(points, args.plot)


def collect(ds: Any, rollouts: Rollouts, stopping: Any, url: str, probing: Probing | None) -> Any:
    if probing is not None:
        return collect_probed(ds, rollouts, probing=probing, stopping=stopping, url=url)
    return collect_in_run(ds, rollouts, url) if stopping is None else collect_adaptive(ds, rollouts, stopping, url)


def selected(made: Any, *, probe: bool, posterior: bool) -> Any:
    options = {"min_probability": 0.5, "probe_prior": probe} if posterior else {}
    scored = add_scores(made, cde_score, difficulty_score)
    return select_cognitive(scored, replace_easy=False, **options).kept_rows


def draw(points: dict[str, list[tuple[float, float]]], target: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.8, 3.4), layout="constrained")
    axes = figure.subplots()
    for title, pairs in points.items():
        color, marker = ("C1" if title.startswith("probe") else "C0"), MARKERS[title.removeprefix("probe, ")]
        axes.plot(*zip(*sorted(pairs), strict=True), marker=marker, color=color, label=title)
    axes.set(xlabel="tokens, of five attempts of every row", ylabel="Jaccard with the truth")
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", fontsize=8)
    figure.savefig(target, dpi=110)


if __name__ == "__main__":
    main()
