"""What the gold's likelihood could save as a screen before any rollout, beside a probe, on a pool of planted rows.

    python benchmarks/first_look.py POOL    # the run folder of benchmarks/probed.py

Truth is the cde of 32 attempts. Each score leaves out its lowest rows up to the best cut that there is, the one that keeps 99 % of the
rows worth keeping (cde > 0.5) with the truth known. Saved are their tokens, against five attempts of every row. The probe is fitted to
five attempts of 350 rows drawn at random, which it does not leave out; a likelihood needs none.
"""

from __future__ import annotations

import argparse

import datasets
import numpy as np

from hf_rap import Likelihood, PromptStates, Rollouts, add_scores, collect_evidence, collect_in_run, fit_probe
from hf_rap.demo import demo_engine, make_planted
from hf_rap.scorers import likelihood_cde_score
from hf_rap.scorers.probe import left_out

TRUTH, ATTEMPTS, LABELLED, RECALL = 32, 5, 350, 0.99


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pool")
    parser.add_argument("--rows", type=int, default=5_000)
    args = parser.parse_args()
    datasets.disable_progress_bars()
    from sklearn.metrics import roc_auc_score

    planted, engine = make_planted(args.rows), demo_engine()
    whole = collect_in_run(planted, Rollouts(engine, attempts=TRUTH, max_new_tokens=64), args.pool)
    states = collect_in_run(planted, PromptStates(engine), args.pool)
    likely = add_scores(collect_evidence(planted, Likelihood(engine)), likelihood_cde_score)
    arms = ("image", "text")
    rates = [[np.nan if row is None else np.mean(row) for row in whole[f"rap_{arm}_rewards"]] for arm in arms]
    truth = np.nan_to_num(np.subtract(*rates), nan=-1) > 0.5
    tokens = sum(np.array([np.sum(row or 0) / TRUTH for row in whole[f"rap_{arm}_tokens"]]) for arm in arms)
    likelihood = np.array(likely["rap_likelihood_cde"][:], dtype=float)
    order = np.random.default_rng(0).permutation(args.rows)
    above, below = order[truth[order]], order[~truth[order]]
    few = np.sort(np.concatenate([above[: round(len(below) * 0.09 / 0.91)], below]))
    pools = {"5,000 rows": np.arange(args.rows), "of these, 9 %": few, "600 rows": np.sort(order[:600])}
    print("| pool | worth keeping | by | AUC | left out at recall 99 % | tokens saved |")
    print("|---|---:|---|---:|---:|---:|")
    for name, rows in pools.items():
        labelled = np.random.default_rng(1).permutation(rows)[:LABELLED]
        slice_ = states.select(labelled)
        for arm in arms:
            rewards = [None if row is None else row[:ATTEMPTS] for row in whole.select(labelled)[f"rap_{arm}_rewards"]]
            slice_ = slice_.add_column(f"rap_{arm}_rewards", rewards)
        foretold = np.full(args.rows, np.nan)
        foretold[rows] = np.array(
            fit_probe(slice_)(states.select(rows).with_format("arrow")[:])["rap_probe_cde"], dtype=float
        )
        foretold[labelled] = np.nan  # they are rolled out
        scores = {"likelihood, value": likelihood, "likelihood, size": np.abs(likelihood), "probe": foretold}
        for by, score in scores.items():
            known = rows[~np.isnan(score[rows])]
            known = known[np.argsort(score[known], kind="stable")]
            out = known[: round(left_out(truth[known], RECALL) * len(known))]
            print(
                f"| {name} | {truth[rows].mean():.0%} | {by} | {roc_auc_score(truth[known], score[known]):.3f} "
                f"| {len(out) / len(rows):.0%} | {tokens[out].sum() / tokens[rows].sum():.1%} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
