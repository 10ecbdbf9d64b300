"""Where the replies of the built-in model hang on their picture, and whether that tells the rows that need it.

    python benchmarks/dependence.py [--rows 300] [--attempts 3]

Planted rows, each reply read again in every arm. By kind of question the mean of `rap_visual_dependence`, and of cde; then how well
either comparison orders rows with cde > 0.5 before the others (AUC; 0.5 is chance), and one reply, token by token.
"""

from __future__ import annotations

import argparse

import datasets
import numpy as np

from hf_rap import ReplyLikelihood, Rollouts, VisualDependenceScore, add_scores, cde_score, collect_evidence
from hf_rap.demo import demo_engine, make_planted
from hf_rap.evidence.reply_likelihood import ARMS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--attempts", type=int, default=3)
    args = parser.parse_args()
    datasets.disable_progress_bars()
    from sklearn.metrics import roc_auc_score

    engine = demo_engine()
    rollouts = Rollouts(engine, attempts=args.attempts, max_new_tokens=64, keep_ids=True)
    evidence = collect_evidence(collect_evidence(make_planted(args.rows), rollouts), ReplyLikelihood(engine, arms=ARMS))
    scored = add_scores(evidence, cde_score)
    cde = np.array(scored["rap_cde"][:], dtype=float)
    batch = scored.select_columns("rap_reply_logprobs")[:]
    dependence = {
        arm: np.array(VisualDependenceScore(arm)(batch)["rap_visual_dependence"], dtype=float) for arm in ARMS
    }
    source = np.array(scored["source"][:])
    print(f"| kind of question | rows | cde | {' | '.join(f'image against {arm}' for arm in ARMS)} |")
    print("|---|---:|---:|" + "---:|" * len(ARMS))
    for kind in sorted(set(source)):
        rows = (source == kind) & ~np.isnan(cde)
        means = " | ".join(f"{values[rows].mean():.3f}" for values in dependence.values())
        print(f"| `{kind}` | {rows.sum()} | {cde[rows].mean():.2f} | {means} |")
    rows = ~np.isnan(cde)
    aucs = " | ".join(f"{roc_auc_score(cde[rows] > 0.5, values[rows]):.3f}" for values in dependence.values())
    print(f"| AUC for cde > 0.5 | {rows.sum()} | | {aucs} |\n")
    place = next(place for place, kind in enumerate(source) if kind == "form_at" and cde[place] == 1)
    reply = scored[place]["rap_reply_logprobs"][0]
    print(scored[place]["problem"])
    for token, image, text in zip(reply["tokens"], reply["image"], reply["text"], strict=True):
        print(f"{token!r:>16} {image - text:7.3f}")


if __name__ == "__main__":
    main()
