"""Does a fresh scoring agree with a selection as far as `hf_rap.stability` says? And do its probabilities come true?

    python benchmarks/stability.py [--quick] [--plot docs/images/stability.png] [--replies FOLDER]

Each dataset is scored several times over; from each scoring the agreement with a fresh one is predicted, and compared
with the agreement of all pairs. Four parts:

1. Simulated rows: p1 ~ Beta(0.6, 0.6) with the image, p0 = p1 times a uniform draw without; cde > 0.5.
2. Planted pictures with known pass rates: those that the small model has in all its replies of part 3 together.
3. Planted pictures, answered anew by the small model with other seeds.
4. What the prior is worth: independent Betas, the joint prior, and the joint prior fitted to the end.

About ten minutes on one core; `--quick` takes one.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets
import numpy as np
import pyarrow as pa

from hf_rap import Rollouts, add_scores, cde_score, collect_evidence, difficulty_score, select_cognitive, stability
from hf_rap.demo import demo_engine, make_planted
from hf_rap.stats.counts import Counts, read_counts
from hf_rap.stats.posterior import Posterior, fit_counts
from hf_rap.tables.figures import png

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Rates = tuple[NDArray[np.float64], NDArray[np.float64]]

RULES: dict[str, dict[str, Any]] = {
    "cde > 0.5": {"replace_easy": False},
    "cde > 0.5, replacement with a floor (the default)": {},
    "cde > 0.5, replacement as in the paper": {"method": "rap-paper"},
}
ATTEMPTS = (3, 5, 8, 16)
REWARDS = ("rap_image_rewards", "rap_text_rewards")
WITHIN = 0.05


@dataclass(frozen=True)
class Case:
    """One dataset, rule and number of attempts: the prediction from each scoring, and the mean overlap of all pairs."""

    data: str
    rows: int
    rule: str
    attempts: int
    predicted: list[float]
    real: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="Fewer sizes, scorings and pictures.")
    parser.add_argument("--plot", type=Path, default=Path("docs/images/stability.png"))
    parser.add_argument("--replies", type=Path, help="Folder that keeps the grades of part 3, for the next time.")
    args = parser.parse_args()
    datasets.disable_progress_bars()

    scorings = 3 if args.quick else 6
    cases: list[Case] = []
    for rows in (600,) if args.quick else (600, 2_000, 20_000):
        rates = simulate(rows, seed=rows)
        for attempts in ATTEMPTS:
            scored = [answer(rates, attempts, seed=seed) for seed in range(scorings)]
            cases += measure("simulated", scored, attempts)
    replies = planted(rows=200 if args.quick else 600, seeds=scorings, folder=args.replies)
    known = known_rates(replies)
    for attempts in ATTEMPTS:
        scored = [answer(known, attempts, seed=100 + seed) for seed in range(scorings)]
        cases += measure("planted, known pass rates", scored, attempts)
        cases += measure("planted, model run again", [first(one, attempts) for one in replies], attempts)
    print_cases(cases)
    bins = probabilities(rows=2_000 if args.quick else 20_000)
    print_prior(repeats=3 if args.quick else 20)
    args.plot.parent.mkdir(parents=True, exist_ok=True)
    args.plot.write_bytes(draw(cases, bins))
    print(f"\nplot: {args.plot}")


def simulate(rows: int, seed: int) -> Rates:
    """Pass rates with the image and without, (rows,) each."""
    random = np.random.default_rng(seed)
    p1 = random.beta(0.6, 0.6, rows)
    return p1, p1 * random.random(rows)


def answer(rates: Rates, attempts: int, seed: int) -> datasets.Dataset:
    """One scoring of rows with these pass rates; a rate of NaN was never judged."""
    random = np.random.default_rng(seed)
    columns: dict[str, Any] = {"rap_id": [f"row {row}" for row in range(len(rates[0]))]}
    for name, rate in zip(REWARDS, rates, strict=True):
        rewards = (random.random((len(rate), attempts)) < rate[:, None]).astype(np.float64)
        unknown = np.repeat(np.isnan(rate), attempts)
        starts = pa.array(np.arange(0, rewards.size + 1, attempts, dtype=np.int32))
        columns[name] = pa.ListArray.from_arrays(starts, pa.array(rewards.ravel(), mask=unknown))
    return add_scores(datasets.Dataset(pa.table(columns)), cde_score, difficulty_score)


def planted(rows: int, seeds: int, folder: Path | None) -> list[datasets.Dataset]:
    """The grades of the same planted pictures, answered by the small model once per seed."""
    found = []
    for seed in range(seeds):
        file = None if folder is None else folder / f"{rows}-{max(ATTEMPTS)}-{seed}.parquet"
        if file is None or not file.exists():
            rollouts = Rollouts(demo_engine(), attempts=max(ATTEMPTS), max_new_tokens=64, seed=seed)
            evidence = collect_evidence(make_planted(rows), rollouts).select_columns(["rap_id", *REWARDS])
            if file is not None:
                file.parent.mkdir(parents=True, exist_ok=True)
                evidence.to_parquet(file)
        else:
            evidence = datasets.Dataset.from_parquet(str(file))
        found.append(evidence)
    return found


def first(evidence: datasets.Dataset, attempts: int) -> datasets.Dataset:
    """The scores of the first attempts of every row."""
    columns = {"rap_id": evidence["rap_id"][:]}
    features = {name: evidence.features[name] for name in ("rap_id", *REWARDS)}
    for name in REWARDS:
        columns[name] = [None if rewards is None else rewards[:attempts] for rewards in evidence[name]]
    ds = datasets.Dataset.from_dict(columns, features=datasets.Features(features))
    return add_scores(ds, cde_score, difficulty_score)


def known_rates(replies: list[datasets.Dataset]) -> Rates:
    """The share of all replies to a row that are right; NaN where none was judged."""
    counted = [read_counts("known_rates", one) for one in replies]
    rates = []
    for arm in range(2):
        solved = sum(counts[arm].solved for counts in counted)
        judged = sum(counts[arm].judged for counts in counted)
        rates.append(np.where(judged > 0, solved / np.maximum(judged, 1), np.nan))
    return rates[0], rates[1]


def measure(data: str, scored: list[datasets.Dataset], attempts: int) -> list[Case]:
    found = []
    for name, rule in RULES.items():
        selections = [select_cognitive(one, **rule) for one in scored]
        kept = [set(selection.kept_rows.tolist()) for selection in selections]
        real = [len(one & other) / len(one | other) for one, other in combinations(kept, 2)]
        predicted = [stability(one.scored, one.rule, attempts=[attempts]).jaccard for one in selections]
        found.append(Case(data, len(scored[0]), name, attempts, predicted, float(np.mean(real))))
    return found


def print_cases(cases: list[Case]) -> None:
    print("| data | rows | rule | attempts | predicted | real | difference | worst single prediction |")
    print("|---|---:|---|---:|---:|---:|---:|---:|")
    for case in cases:
        mean = float(np.mean(case.predicted))
        worst = max((one - case.real for one in case.predicted), key=abs)
        print(
            f"| {case.data} | {case.rows:,} | {case.rule} | {case.attempts} | {mean:.3f} | {case.real:.3f} "
            f"| {mean - case.real:+.3f} | {worst:+.3f} |"
        )
    off = [abs(one - case.real) for case in cases for one in case.predicted]
    means = [abs(float(np.mean(case.predicted)) - case.real) for case in cases]
    print(
        f"\n{len(off)} predictions: {np.mean([one <= WITHIN for one in off]):.1%} within {WITHIN} of what reruns give, "
        f"mean distance {np.mean(off):.3f}, largest {max(off):.3f}. Mean of a case: largest distance {max(means):.3f}."
    )


def probabilities(rows: int) -> dict[int, list[tuple[float, float]]]:
    """Attempts -> per tenth of predicted probability of cde > 0.5, its mean and the share of rows where it is true."""
    found = {}
    p1, p0 = simulate(rows, seed=7)
    print("\n| attempts | probability said, mean of each tenth: share of rows where it is true |\n|---:|---|")
    for attempts in ATTEMPTS:
        posterior = posterior_of(*read_counts("probabilities", answer((p1, p0), attempts, seed=8)))
        found[attempts] = tenths(posterior.cde_above(0.5), p1 - p0 > 0.5)
        print(f"| {attempts} | {', '.join(f'{said:.2f}: {true:.2f}' for said, true in found[attempts])} |")
    return found


def tenths(said: NDArray[np.float64], true: NDArray[np.bool_]) -> list[tuple[float, float]]:
    place = np.minimum((said * 10).astype(int), 9)
    return [
        (float(said[place == one].mean()), float(true[place == one].mean()))
        for one in range(10)
        if (place == one).any()
    ]


def posterior_of(image: Counts, text: Counts, **options: Any) -> Posterior:
    return Posterior(fit_counts(image, text, **options), image, text)


def print_prior(repeats: int, rows: int = 4_000, attempts: int = 5) -> None:
    """How far probabilities and agreement are off by prior, on simulated rows, without replacement."""
    priors = {"independent Betas": 0, "joint, 50 steps": 50, "joint, 5,000 steps": 5_000}
    rules: dict[str, Callable[[int], Rates]] = {
        "text-only p is p times a uniform draw": lambda seed: simulate(rows, seed)
    }

    def independent(seed: int) -> Rates:
        random = np.random.default_rng(seed)
        return random.beta(0.8, 0.5, rows), random.beta(0.4, 0.9, rows)

    rules["independent arms"] = independent
    print("\n| simulated rows | prior | probabilities off by | interval of 90 % holds | agreement predicted - real |")
    print("|---|---|---:|---:|---:|")
    for title, make in rules.items():
        found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in priors}
        for seed in range(repeats):
            p1, p0 = make(seed)
            random = np.random.default_rng(1_000 + seed)
            once, again = (
                [Counts(random.binomial(attempts, p).astype(float), np.full(rows, attempts)) for p in (p1, p0)]
                for _ in range(2)
            )
            true = p1 - p0 > 0.5
            real = overlap(above(once), above(again))
            for name, steps in priors.items():
                posterior = posterior_of(once[0], once[1], steps=steps)
                said = posterior.cde_above(0.5)
                place = np.minimum((said * 10).astype(int), 9)
                gaps = [abs(said[place == one].sum() - true[place == one].sum()) for one in range(10)]
                low, high = posterior.cde_interval(0.9)
                expected = []
                for _ in range(10):
                    rates = posterior.draw(random)
                    drawn = [Counts(random.binomial(attempts, p).astype(float), once[0].judged) for p in rates]
                    expected.append(overlap(above(once), above(drawn)))
                held = np.mean((p1 - p0 >= low) & (p1 - p0 <= high))
                found[name].append((sum(gaps) / rows, float(held), float(np.mean(expected)) - real))
        for name, numbers in found.items():
            off, held, gap = np.mean(numbers, axis=0)
            print(f"| {title} | {name} | {off:.3f} | {held:.1%} | {gap:+.3f} |")


def above(counts: list[Counts]) -> NDArray[np.bool_]:
    """Rows with cde > 0.5, for arms with as many attempts."""
    flags: NDArray[np.bool_] = 2 * (counts[0].solved - counts[1].solved) > counts[0].judged
    return flags


def overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float(np.count_nonzero(one & other) / np.count_nonzero(one | other))


def draw(cases: list[Case], bins: dict[int, list[tuple[float, float]]]) -> bytes:
    """Predicted against real agreement, and probabilities against how often they come true."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    colours = {"simulated": "#0072B2", "planted, known pass rates": "#E69F00", "planted, model run again": "#009E73"}
    left.fill_between([0, 1], [-WITHIN, 1 - WITHIN], [WITHIN, 1 + WITHIN], color="#EEEEEE", label=f"within {WITHIN}")
    for (data, colour), marker in zip(colours.items(), "osD", strict=True):
        points = [(case.real, one) for case in cases if case.data == data for one in case.predicted]
        left.scatter(*zip(*points, strict=True), s=14, color=colour, marker=marker, alpha=0.6, label=data, linewidths=0)
    left.set_xlabel("agreement of reruns (mean Jaccard of all pairs)")
    left.set_ylabel("predicted from one scoring")
    limits = [one for case in cases for one in (*case.predicted, case.real)]
    left.set_xlim(min(limits) - 0.05, max(limits) + 0.05)
    left.set_ylim(min(limits) - 0.05, max(limits) + 0.05)
    for attempts, marker in zip(bins, "osD^", strict=True):
        right.plot(*zip(*bins[attempts], strict=True), marker=marker, markersize=4, label=f"{attempts} attempts")
    right.set_xlabel("probability of cde > 0.5 that was said")
    right.set_ylabel("share of rows where it is true")
    for axes in (left, right):
        axes.plot([0, 1], [0, 1], color="#222222", linewidth=0.8)
        axes.legend(frameon=False, fontsize=8, loc="upper left")
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    return png(figure)


if __name__ == "__main__":
    main()
