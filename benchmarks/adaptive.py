"""What adaptive attempts save: exact mode against all attempts, sequential mode against the same number for every row.

    python benchmarks/adaptive.py [--part exact|simulated|planted] [--seeds 20] [--rows 200] [--simulated-rows 20000]
                                  [--plot docs/images/adaptive.png]

`exact`: planted data, half of it of the kind `text_gives_it_away`, M = 5, min_cde 0.5; each seed makes new data and new
replies. All attempts are made once; then the planner asks for some of them, and the selections are compared.
`simulated`: p1 ~ Beta(0.6, 0.6), p0 = p1 times a uniform draw, rule cde > 0.5: the Jaccard overlap of two collections.
`planted`: the same with the small model, two seeds of sampling.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import tempfile
import time
from pathlib import Path

import datasets
import numpy as np

from hf_rap import (
    Exact,
    Rollouts,
    Sequential,
    add_scores,
    cde_score,
    collect_adaptive,
    collect_evidence,
    collect_in_run,
    difficulty_score,
    select_cognitive,
)
from hf_rap.adaptive.exact import plan as plan_exact
from hf_rap.adaptive.sequential import believe, expected_agreement, plan
from hf_rap.adaptive.state import State
from hf_rap.demo import demo_engine, make_planted
from hf_rap.evidence.attempts import OF_ARM
from hf_rap.stats.arrays import seeded_order

TOKENS = ("rap_image_tokens", "rap_text_tokens")
REWARDS = ("rap_image_rewards", "rap_text_rewards")
IMAGE_LISTS, TEXT_LISTS = (
    [column.name for column in OF_ARM[arm] if column.name != "rap_attention"] for arm in ("image", "text")
)
BUDGETS = (5.0, 8.0, 12.5, 20.0)  # mean attempts per row and arm
FIXED = (5, 8, 12, 20, 32, 64)


def half_given_away(rows: int, seed: int) -> datasets.Dataset:
    """Planted rows, half of them of the kind `text_gives_it_away`."""
    ds = make_planted(2 * rows, seed=seed)
    kinds = np.array(ds["kind"])
    given, others = (
        np.flatnonzero(mask)[: rows // 2] for mask in (kinds == "text_gives_it_away", kinds != "text_gives_it_away")
    )
    return ds.select(np.sort(np.concatenate([given, others])))


def total(evidence: datasets.Dataset, names: tuple[str, ...] = TOKENS) -> int:
    return sum(sum(one or 0 for one in row or ()) for name in names for row in evidence[name])


def attempts(evidence: datasets.Dataset) -> int:
    return sum(len(row or ()) for name in TOKENS for row in evidence[name])


def spare(full: datasets.Dataset, rule: Exact, planned: int) -> datasets.Dataset:
    """What `collect_adaptive` would have left of evidence with all attempts: the planner asks, the evidence answers."""
    table = full.remove_columns("images").to_dict()
    asked = [row is not None for row in table["rap_image_rewards"]]
    order = seeded_order(table["rap_id"], rule.seed)
    rewards = np.array(
        [
            [
                [np.nan if one is None else one for one in table[name][row]] if known else [np.nan] * planned
                for name in REWARDS
            ]
            for row, known in enumerate(asked)
        ],
        dtype=float,
    )
    made = np.zeros(rewards.shape[:2], dtype=np.int64)
    can = np.where(np.array(asked)[:, None], planned, 0)
    while True:
        seen = np.where(np.arange(planned) < made[:, :, None], rewards, np.nan)
        state = State(np.nansum(seen, axis=2).astype(np.int64), np.count_nonzero(~np.isnan(seen), axis=2), can - made)
        wanted = plan_exact(state, rule, order)
        if not wanted.any():
            break
        made += wanted
    for arm, names in enumerate((IMAGE_LISTS, TEXT_LISTS)):
        for name in (name for name in names if name in table):
            table[name] = [
                None if row is None else row[:number] for row, number in zip(table[name], made[:, arm], strict=True)
            ]
    told = json.dumps({**rule.as_dict(), "attempts": planned})
    table["rap_adaptive"] = [told if known else None for known in asked]
    features = full.features.copy()
    del features["images"]
    return datasets.Dataset.from_dict(
        table, features=type(features)({**features, "rap_adaptive": datasets.Value("string")})
    )


def exact(seeds: int, rows: int) -> None:
    rules = {
        "replacement off": Exact(replace_easy=False),
        "replacement on": Exact(),
        "replacement as in the paper": Exact(min_replacement_cde=None),
    }
    saved: dict[str, list[tuple[float, float, int]]] = {title: [] for title in rules}
    for seed in range(seeds):
        ds = half_given_away(rows, seed)
        full = collect_evidence(ds, Rollouts(demo_engine(batch_size=64), attempts=5, max_new_tokens=64, seed=seed))
        for title, rule in rules.items():
            evidence = spare(full, rule, 5)
            kept = [
                select_cognitive(
                    add_scores(one, cde_score, difficulty_score),
                    replace_easy=rule.replace_easy,
                    min_replacement_cde=rule.min_replacement_cde,
                )
                for one in (full, evidence)
            ]
            if kept[0].kept_rows.tolist() != kept[1].kept_rows.tolist():
                raise SystemExit(f"seed {seed}, {title}: the selections differ")
            share = 1 - total(evidence) / total(full)
            saved[title].append((share, 1 - attempts(evidence) / attempts(full), len(kept[0].kept_rows)))
    print(f"\n{seeds} seeds, {rows} rows each, M = 5, min_cde = 0.5: the selections of all seeds are equal.\n")
    print(
        "| | tokens saved, mean | lowest | highest | attempts saved, mean | rows kept, mean |\n|---|---:|---:|---:|---:|---:|"
    )
    for title, found in saved.items():
        tokens, tries, kept_rows = zip(*found, strict=True)
        print(
            f"| {title} | {statistics.mean(tokens):.1%} | {min(tokens):.1%} | {max(tokens):.1%} | "
            f"{statistics.mean(tries):.1%} | {statistics.mean(kept_rows):.0f} |"
        )


def jaccard(one: np.ndarray, other: np.ndarray) -> float:
    return np.count_nonzero(one & other) / max(np.count_nonzero(one | other), 1)


def simulate(rates: np.ndarray, seed: int) -> dict[tuple[str, float], tuple[np.ndarray, float]]:
    """Selections of one collection, and its own estimate of the agreement, by (mode, attempts per row and arm)."""
    random = np.random.default_rng(seed)
    found: dict[tuple[str, float], tuple[np.ndarray, float]] = {}
    rule = Sequential(most=256)
    nothing = np.zeros(rates.shape, dtype=np.int64)
    state = State(nothing, nothing, nothing + rule.most)
    for budget in BUDGETS:
        while (wanted := plan(state, state.judged, rule, budget)).any():
            solved = random.binomial(wanted, rates)
            state = state.after(solved, wanted - solved)
        above = believe(state, rule)
        found["sequential", budget] = above > 0.5, expected_agreement(above)
    for number in FIXED:
        solved = random.binomial(number, rates)
        cde = (solved[:, 0] - solved[:, 1]) / number
        above = believe(State(solved, nothing + number, nothing), rule)
        found["fixed, raw cde", number] = cde > 0.5, float("nan")
        found["fixed, posterior", number] = above > 0.5, expected_agreement(above)
    return found


def report(title: str, first: dict, second: dict, truth: np.ndarray | None) -> dict[str, list[tuple[float, float]]]:
    print(f"\n{title}\n")
    print(
        "| | attempts per row and arm | times M = 5 | Jaccard of two collections | expected by itself | Jaccard with the truth |"
    )
    print("|---|---:|---:|---:|---:|---:|")
    curves: dict[str, list[tuple[float, float]]] = {}
    for mode, number in sorted(first):
        (one, told), (other, _) = first[mode, number], second[mode, number]
        real = jaccard(one, other)
        curves.setdefault(mode, []).append((number, real))
        with_truth = "unknown" if truth is None else f"{jaccard(one, truth):.2f}"
        expected = "" if np.isnan(told) else f"{told:.2f}"
        print(f"| {mode} | {number:g} | {number / 5:.1f} | {real:.2f} | {expected} | {with_truth} |", flush=True)
    return curves


def simulated(rows: int) -> dict[str, list[tuple[float, float]]]:
    random = np.random.default_rng(0)
    image = random.beta(0.6, 0.6, rows)
    rates = np.stack([image, image * random.random(rows)], axis=1)
    started = time.process_time()
    first, second = simulate(rates, 1), simulate(rates, 2)
    curves = report(f"{rows:,} simulated rows", first, second, rates[:, 0] - rates[:, 1] > 0.5)
    print(f"\n{time.process_time() - started:.0f} s of CPU time for both collections")
    return curves


def planted(rows: int) -> dict[str, list[tuple[float, float]]]:
    ds = make_planted(rows, seed=1).filter(lambda kind: kind != "gold_unreadable", input_columns="kind")
    found = []
    for seed in (1, 2):
        rollouts = Rollouts(demo_engine(batch_size=64), attempts=32, max_new_tokens=64, seed=seed)
        decided: dict[tuple[str, float], tuple[np.ndarray, float]] = {}
        with tempfile.TemporaryDirectory() as url:
            full = collect_in_run(ds, rollouts, url)
            rewards = np.array(
                [[row[arm] for arm in ("rap_image_rewards", "rap_text_rewards")] for row in full], dtype=float
            )
            nothing = np.zeros(rewards.shape[:2], dtype=np.int64)
            for number in (one for one in FIXED if one <= 32):
                state = State(rewards[:, :, :number].sum(2).astype(np.int64), nothing + number, nothing)
                above = believe(state, Sequential())
                cde = (state.solved[:, 0] - state.solved[:, 1]) / number
                decided["fixed, raw cde", number] = cde > 0.5, float("nan")
                decided["fixed, posterior", number] = above > 0.5, expected_agreement(above)
            for budget in (one for one in BUDGETS if one <= 12.5):
                evidence = collect_adaptive(ds, rollouts, Sequential(budget=budget, most=32), url)
                scored = add_scores(evidence, cde_score, difficulty_score)
                selection = select_cognitive(scored, min_probability=0.5, replace_easy=False)
                keep = np.zeros(len(ds), dtype=bool)
                keep[selection.kept_rows] = True
                decided["sequential", budget] = keep, float("nan")
        found.append(decided)
    return report(f"{len(ds)} planted rows, the small model", *found, truth=None)


def draw(curves: dict[str, dict[str, list[tuple[float, float]]]], target: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(curves), 3.4), layout="constrained")
    for axes, (title, found) in zip(
        np.atleast_1d(figure.subplots(1, len(curves), sharey=True)), curves.items(), strict=True
    ):
        for mode, points in found.items():
            axes.plot(*zip(*sorted(points), strict=True), marker="o", markersize=3, label=mode)
        axes.set(title=title, xlabel="attempts per row and arm, mean", xscale="log")
        axes.set_xticks([5, 8, 12, 20, 32, 64], ["5", "8", "12", "20", "32", "64"])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("Jaccard of two collections")
    figure.axes[0].legend(fontsize=8)
    figure.savefig(target, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=["exact", "simulated", "planted"], action="append")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--simulated-rows", type=int, default=20_000)
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    datasets.disable_progress_bars()
    logging.disable(logging.WARNING)
    parts = args.part or ["exact", "simulated", "planted"]
    curves = {}
    if "exact" in parts:
        exact(args.seeds, args.rows)
    if "simulated" in parts:
        curves[f"simulated, {args.simulated_rows:,} rows"] = simulated(args.simulated_rows)
    if "planted" in parts:
        curves["planted, small model"] = planted(2 * args.rows)
    if args.plot and curves:
        draw(curves, args.plot)


if __name__ == "__main__":
    main()
