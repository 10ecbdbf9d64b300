"""How well rows are foretold from what the model holds of their prompts, by how many rows have attempts.

    python benchmarks/probe.py [--rows 600] [--attempts 8] [--seeds 5]

Planted rows and the built-in model. Of all rows some have attempts, drawn by a seed; `fit_probe` is fitted to these, and foretells
the others. Truth is their own attempts. "left out" is the share of the others, lowest foretold cde first, that goes before
so many of those with cde > 0.5 are lost; means over the seeds, in brackets the worst.
"""

from __future__ import annotations

import argparse
import time

import datasets
import numpy as np

from hf_rap import PromptStates, Rollouts, add_scores, cde_score, collect_evidence, fit_probe
from hf_rap.demo import demo_engine, make_planted
from hf_rap.scorers.probe import RECALLS, left_out

LABELLED = (50, 100, 200)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--attempts", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    datasets.disable_progress_bars()
    from sklearn.metrics import roc_auc_score

    engine = demo_engine()
    planted = make_planted(args.rows)
    began = time.process_time()
    evidence = collect_evidence(planted, Rollouts(engine, attempts=args.attempts, max_new_tokens=64))
    replies = time.process_time() - began
    began = time.process_time()
    evidence = collect_evidence(evidence, PromptStates(engine))
    states = time.process_time() - began
    scored = add_scores(evidence, cde_score)
    known = [
        row
        for row, (cde, error) in enumerate(zip(scored["rap_cde"], scored["rap_states_error"], strict=True))
        if cde is not None and error is None
    ]
    scored = scored.select(known)
    above = np.array(scored["rap_cde"][:]) > 0.5
    print(
        f"{len(known)} rows, {above.mean():.0%} with cde > 0.5; CPU seconds: {replies:.0f} for replies, {states:.0f} for states\n"
    )
    print(
        "| rows with attempts | AUC on the others | "
        + " | ".join(f"left out at recall {recall:.0%}" for recall in RECALLS)
        + " |"
    )
    print("|---:|" + "---:|" * (1 + len(RECALLS)))
    for labelled in LABELLED:
        figures = []
        for seed in range(args.seeds):
            order = np.random.default_rng(seed).permutation(len(known))
            probe = fit_probe(scored.select(order[:labelled]), min_auc=0)
            others = order[labelled:]
            foretold = np.array(scored.select(others).map(probe, batched=True)["rap_probe_cde"][:])
            figures.append(
                [
                    roc_auc_score(above[others], foretold),
                    *(left_out(above[others][np.argsort(foretold, kind="stable")], recall) for recall in RECALLS),
                ]
            )
        means, worst = np.mean(figures, axis=0), np.min(figures, axis=0)
        cells = [
            f"{means[0]:.3f} ({worst[0]:.3f})",
            *(f"{mean:.0%} ({low:.0%})" for mean, low in zip(means[1:], worst[1:], strict=True)),
        ]
        print(f"| {labelled} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
