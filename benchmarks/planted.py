"""Does the selector keep what it claims? Planted rows, whose kind is known, and what became of them.

    python benchmarks/planted.py [--rows 600] [--attempts 5] [--seed 0]

Prints the table that the README shows.
"""

from __future__ import annotations

import argparse

from hf_rap import Rollouts, add_scores, cde_score, collect_evidence, difficulty_score, select_cognitive
from hf_rap.demo import demo_engine, make_planted
from hf_rap.demo.measure import precision, results_per_kind

RULES = {
    "cde alone": {"replace_easy": False},
    "with replacement": {},
    "replacement, floor 0.2": {"min_replacement_cde": 0.2},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--attempts", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    rollouts = Rollouts(demo_engine(), attempts=args.attempts, max_new_tokens=64, seed=args.seed)
    evidence = collect_evidence(make_planted(args.rows, seed=args.seed), rollouts)
    scored = add_scores(evidence, cde_score, difficulty_score)
    results = {
        title: results_per_kind(select_cognitive(scored, min_cde=0.5, seed=args.seed, **options))
        for title, options in RULES.items()
    }
    print(
        f"| planted kind | rows | right with the image | right without | {' | '.join(f'kept, {title}' for title in RULES)} |"
    )
    print(f"|---|{'---:|' * (3 + len(RULES))}")
    for per_rule in zip(*results.values(), strict=True):
        kind = per_rule[0]
        rates = ["unknown" if rate is None else f"{rate:.1%}" for rate in (kind.image_rate, kind.text_rate)]
        kept = [str(result.kept) for result in per_rule]
        print(f"| `{kind.kind}` | {kind.rows} | {' | '.join([*rates, *kept])} |")
    shares = ["none kept" if (share := precision(found)) is None else f"{share:.1%}" for found in results.values()]
    print(f"| kept rows that need their image | | | | {' | '.join(shares)} |")


if __name__ == "__main__":
    main()
