"""Draw the plots of docs/difficulty.md and print its figures; evidence comes from the built-in data and model.

python scripts/draw_difficulty.py [--rows 600]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from hf_rap import (
    Rollouts,
    add_scores,
    cde_score,
    collect_evidence,
    compare_methods,
    difficulty_score,
    select_difficulty,
)
from hf_rap.demo import demo_engine, make_planted
from hf_rap.training import WEIGHTS
from hf_rap.versions.facts import collect_facts
from hf_rap.versions.plots import draw_comparison, draw_curves, draw_plots

FOLDER = Path(__file__).parents[1] / "docs" / "difficulty"
METHODS = ("rap", "rap-paper", "rap-released", "difficulty", "random", "hardest", "longest")
POINTS = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=600)
    args = parser.parse_args()

    FOLDER.mkdir(parents=True, exist_ok=True)
    accuracies = [point / POINTS for point in range(POINTS + 1)]
    weights = {name: [(one, weight(one)) for one in accuracies] for name, weight in WEIGHTS.items()}
    name = "accuracy of the group"
    (FOLDER / "weights.png").write_bytes(draw_curves(weights, x=name, y="weight of its rewards"))
    advantages = {
        name: [(p, weight * p * (1 - p)) for p, weight in points]
        for name, points in {**weights, "none": flat()}.items()
    }
    (FOLDER / "signal.png").write_bytes(draw_curves(advantages, x=name, y="w(p) p (1 - p)"))

    rollouts = Rollouts(demo_engine(), attempts=5, max_new_tokens=64)
    scored = add_scores(collect_evidence(make_planted(args.rows), rollouts), cde_score, difficulty_score)
    facts = collect_facts(select_difficulty(scored), name="planted", version="1.0.0")
    (FOLDER / "u_shape.png").write_bytes(draw_plots(facts)["plots/difficulty.png"])
    print(f"rows per pass rate {facts['pass_rates']['centres']}: {facts['pass_rates']['all']}")
    print(f"selected: {facts['rows']['kept']} of {facts['rows']['all']}")
    comparison = compare_methods(scored, METHODS)
    (FOLDER / "comparison.png").write_bytes(draw_comparison(comparison.as_dict()))
    for one in comparison.selections:
        print(f"{one.method:<14} {one.rows:>5} rows, difficulty {one.mean_difficulty}, cde {one.mean_cde}")
    print("Jaccard with rap:", dict(zip(METHODS, comparison.jaccard[0], strict=True)))


def flat() -> list[tuple[float, float]]:
    return [(point / POINTS, 1.0) for point in range(POINTS + 1)]


if __name__ == "__main__":
    main()
