"""Does the selector keep what it claims? Planted rows, whose kind is known, and what became of them.

    python benchmarks/planted.py [--rows 600] [--attempts 5] [--seed 0]

Prints the table that docs/evidence.md shows, and the metrics of `hf_rap.metrics` on all rows and on the kept ones.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import evaluate

from hf_rap import Rollouts, add_scores, cde_score, collect_evidence, difficulty_score, select_cognitive
from hf_rap.cli.demo_results import precision, results_per_kind
from hf_rap.demo import demo_engine, make_planted
from hf_rap.metrics import metric_path

if TYPE_CHECKING:
    import datasets

RULES = {
    "default": {},
    "cde alone": {"replace_easy": False},
    "paper to the letter": {"method": "rap-paper"},
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
    print(f"\n| rows | pass@1 | pass@{args.attempts} | modality gap |\n|---|---:|---:|---:|")
    kept = select_cognitive(scored, min_cde=0.5, seed=args.seed, **RULES["cde alone"]).selected
    for title, rows in {"all": scored, "kept, cde alone": kept}.items():
        rates = ["unknown" if rate is None else f"{rate:.1%}" for rate in rates_of(rows, args.attempts)]
        print(f"| {title} | {' | '.join(rates)} |")


def rates_of(rows: datasets.Dataset, attempts: int) -> tuple[float | None, float | None, float | None]:
    """pass@1, pass@attempts and the modality gap, graded anew from the stored replies."""
    asked = rows.filter(lambda error: error is None, input_columns="rap_error")
    if not len(asked):
        return None, None, None
    known = {"references": [[answer] for answer in asked["answer"]], "questions": list(asked["problem"])}
    image, text = list(asked["rap_image_responses"]), list(asked["rap_text_responses"])
    solved = evaluate.load(metric_path("pass_at_k")).compute(predictions=image, k=[1, attempts], **known)
    every = {name: [value for value in values for _ in range(attempts)] for name, values in known.items()}
    gap = evaluate.load(metric_path("modality_gap")).compute(
        predictions=[reply for replies in image for reply in replies],
        text_predictions=[reply for replies in text for reply in replies],
        **every,
    )
    return solved["pass@1"], solved[f"pass@{attempts}"], gap["modality_gap"]


if __name__ == "__main__":
    main()
