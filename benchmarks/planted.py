"""Does the selector keep what it claims? Precision and recall on planted rows, whose kind is known.

python benchmarks/planted.py [--rows 600] [--attempts 5] [--seed 0]
"""

from __future__ import annotations

import argparse

from hf_rap import Rollouts, add_scores, cde_score, collect_evidence, difficulty_score, select_cognitive
from hf_rap.demo import demo_engine, make_planted
from hf_rap.demo.measure import kept_share, precision, results_per_kind


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--attempts", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    rollouts = Rollouts(demo_engine(), attempts=args.attempts, max_new_tokens=64, seed=args.seed)
    evidence = collect_evidence(make_planted(args.rows, seed=args.seed), rollouts)
    scored = add_scores(evidence, cde_score, difficulty_score)
    for title, options in (
        ("cde alone, min_cde 0.5", {"replace_easy": False}),
        ("cde and replacement of always solved rows", {"replace_easy": True}),
        ("the same, replacements with cde above 0.2", {"replace_easy": True, "min_replacement_cde": 0.2}),
    ):
        results = results_per_kind(select_cognitive(scored, min_cde=0.5, seed=args.seed, **options))
        print(f"\n{title}")
        print(f"{'kind':<20} {'rows':>5} {'kept':>5} {'share':>7}  {'solved with image':>18} {'without':>9}")
        for result in results:
            rates = ["unknown" if rate is None else f"{rate:.1%}" for rate in (result.image_rate, result.text_rate)]
            share = kept_share(results, result.kind)
            print(f"{result.kind:<20} {result.rows:>5} {result.kept:>5} {share:>7.1%}  {rates[0]:>18} {rates[1]:>9}")
        found = precision(results)
        print(f"kept rows that need their image: {'none kept' if found is None else f'{found:.1%}'}")


if __name__ == "__main__":
    main()
