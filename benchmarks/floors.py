"""Which floor makes a replacement show that the image helps? Rules of replacement on planted and on simulated rows.

    python benchmarks/floors.py [--rows 20000] [--seed 0]

Prints the two tables of docs/measurements/floors.md. The planted rows are three draws of 600, counted once by the built-in model, five
attempts per arm (docs/evidence/planted-counts.json). The simulated rows are a quarter each: rows that the image helps
(p1 ~ Beta(0.6, 0.6), p0 a uniform share of it), rows that it helps a little (p0 from 0.8 p1 to p1), rows that are as often
right without it, and rows that nobody can solve but by a guess (p1 = p0 = 0.1).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hf_rap.demo import IMAGE_IS_NEEDED
from hf_rap.select.arrays import ranked, scores_of
from hf_rap.stats.counts import Counts
from hf_rap.stats.posterior import Posterior, fit_counts

COUNTS = Path(__file__).parents[1] / "docs" / "evidence" / "planted-counts.json"
MIN_CDE, ATTEMPTS = 0.5, 5
# What a replacement has to pass: a cde above a number, or a probability that the true cde is above 0.
FLOORS: dict[str, dict[str, float]] = {
    "none, as in the paper": {"cde": -2},
    "cde > -0.2": {"cde": -0.2},
    "cde > 0": {"cde": 0},
    "cde > 0.2 (default)": {"cde": 0.2},
    "cde > 0.3": {"cde": 0.3},
    "P(cde > 0) >= 0.8": {"probability": 0.8},
    "P(cde > 0) >= 0.9": {"probability": 0.9},
    "P(cde > 0) >= 0.95": {"probability": 0.95},
}


class Chosen(NamedTuple):
    """Rows that are kept, and those of them that are replacements: flags, (n_rows,)."""

    keep: Any
    replaced: Any


def choose(image: Counts, text: Counts, floor: dict[str, float], seed: int) -> Chosen:
    """The rule of `select_cognitive` with this floor, ties by a seeded order."""
    cde, difficulty = scores_of(image, text)
    above = cde > MIN_CDE
    keep = above & (difficulty > 0)
    hard = ~above & (difficulty > 0) & (difficulty < 1)
    if "cde" in floor:
        hard &= cde > floor["cde"]
    else:
        hard &= Posterior(fit_counts(image, text), image, text).cde_above(0) >= floor["probability"]
    order = np.random.default_rng(seed).permutation(len(cde))
    replaced = np.zeros(len(cde), dtype=bool)
    replaced[ranked(hard, -difficulty, -cde, order)[: np.count_nonzero(above & (difficulty == 0))]] = True
    return Chosen(keep | replaced, replaced)


def planted(seed: int) -> tuple[Counts, Counts, Any]:
    """Counts of both arms of 600 planted rows, and the kind of each."""
    rows = json.loads(COUNTS.read_text())[f"600 rows, seed {seed}, {ATTEMPTS} attempts"]
    kinds = np.array([kind for kind, _, _ in rows])
    arms = [
        Counts(
            np.array([row[place] or 0 for row in rows], dtype=np.float64),
            np.array([0 if row[place] is None else ATTEMPTS for row in rows]),
        )
        for place in (1, 2)
    ]
    return arms[0], arms[1], kinds


def simulated(rows: int, random: np.random.Generator) -> tuple[Any, Any]:
    """True pass rates with the image and without, (rows,)."""
    p1 = random.beta(0.6, 0.6, rows)
    kind = np.arange(rows) % 4
    share = np.select(
        [kind == 0, kind == 1, kind == 2], [random.random(rows), random.uniform(0.8, 1, rows), np.ones(rows)], 1.0
    )
    p1 = np.where(kind == 3, 0.1, p1)
    return p1, p1 * share


def answered(rates: tuple[Any, Any], attempts: int, random: np.random.Generator) -> tuple[Counts, Counts]:
    """Counts of one scoring."""
    judged = np.full(len(rates[0]), attempts)
    image, text = (Counts(random.binomial(attempts, rate).astype(np.float64), judged) for rate in rates)
    return image, text


def table(head: str, rows: list[list[str]]) -> None:
    print(f"| {head} |\n|---|{'---:|' * head.count(' | ')}")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    rows = []
    for name, floor in FLOORS.items():
        kept = replaced = needed = guessed = 0
        lowest = 1.0
        for seed in range(3):
            image, text, kinds = planted(seed)
            chosen = choose(image, text, floor, seed)
            right = int(np.isin(kinds[chosen.keep], IMAGE_IS_NEEDED).sum())
            kept, replaced = kept + int(chosen.keep.sum()), replaced + int(chosen.replaced.sum())
            needed, guessed = needed + right, guessed + int((kinds[chosen.keep] == "unsolvable").sum())
            lowest = min(lowest, right / int(chosen.keep.sum()))
        rows.append([name, str(kept), str(replaced), f"{needed / kept:.1%}", f"{lowest:.1%}", str(guessed)])
    print("Planted rows, three draws of 600:\n")
    table("floor | kept | replacements | need their image | in the worst draw | noise pictures", rows)

    random = np.random.default_rng(args.seed)
    rates = simulated(args.rows, random)
    true = rates[0] - rates[1]
    rows = []
    for attempts in (ATTEMPTS, 16):
        first, second = (answered(rates, attempts, random) for _ in range(2))
        for name, floor in FLOORS.items():
            one, other = (choose(*counts, floor, args.seed) for counts in (first, second))
            helped = true[one.replaced]
            both, either = np.count_nonzero(one.keep & other.keep), np.count_nonzero(one.keep | other.keep)
            shown = (f"{np.mean(helped > 0.1):.0%}", f"{helped.mean():.2f}") if helped.size else ("none", "none")
            counts = (str(attempts), f"{one.keep.sum():,}", f"{one.replaced.sum():,}")
            rows.append([name, *counts, *shown, f"{both / either:.2f}"])
    print(f"\nSimulated rows, {args.rows:,}:\n")
    table(
        "floor | attempts | kept | replacements | of them helped by more than 0.1 | their true cde, mean "
        "| overlap of two scorings",
        rows,
    )


if __name__ == "__main__":
    main()
