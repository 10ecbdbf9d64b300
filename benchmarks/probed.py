"""What a probe saves at a recall of 99 %, and what it loses, on a pool of planted rows.

    python benchmarks/probed.py POOL --collect    # a run folder: 32 attempts and states of 5,000 rows, about half an hour
    python benchmarks/probed.py POOL [--seeds 5]

Truth is the cde of 32 attempts. Every collection goes through the run folder, which holds all that it asks for. Tokens are those
of attempts that it would have had made, slice, audit and settling included, against five attempts of every row. The second table says
where those of rows that are not worth keeping went, in shares of the tokens of five attempts of every row.
"""

from __future__ import annotations

import argparse
import json
import logging

import datasets
import numpy as np

from hf_rap import Probing, PromptStates, Rollouts, collect_in_run, collect_probed
from hf_rap.adaptive.probing import share_at_most, slice_order
from hf_rap.demo import demo_engine, make_planted

TRUTH, ATTEMPTS = 32, 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pool")
    parser.add_argument("--collect", action="store_true")
    parser.add_argument("--rows", type=int, default=5_000)
    parser.add_argument("--planted", type=int, default=0, help="seed of the rows (default: 0)")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--audit", type=float, default=Probing.audit, help="share of the rows below the cut")
    args = parser.parse_args()
    datasets.disable_progress_bars()
    logging.disable(logging.WARNING)
    planted, engine = make_planted(args.rows, seed=args.planted), demo_engine()
    rollouts = Rollouts(engine, attempts=TRUTH, max_new_tokens=64)
    if args.collect:
        collect_in_run(planted, PromptStates(engine), args.pool)
    whole = collect_in_run(planted, rollouts, args.pool)
    rates = [
        [np.nan if row is None else np.mean(row) for row in whole[f"rap_{arm}_rewards"]] for arm in ("image", "text")
    ]
    truth = np.nan_to_num(np.subtract(*rates), nan=-1) > 0.5
    tokens = sum(
        np.array([np.sum(row or 0) / TRUTH for row in whole[f"rap_{arm}_tokens"]]) for arm in ("image", "text")
    )
    order = np.random.default_rng(0).permutation(args.rows)
    above, below = order[truth[order]], order[~truth[order]]
    few = np.sort(np.concatenate([above[: round(len(below) * 0.09 / 0.91)], below]))
    pools = {"all": np.arange(args.rows), "9 %": few, "600 rows": np.sort(order[:600])}
    print(
        "| pool | worth keeping | cut in | rows labelled | left out | tokens saved (worst) | recall (worst) | at least, 95 % |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    spent: dict[str, list[list[float]]] = {}
    for name, rows in pools.items():
        figures, lost, kept = [], 0, 0
        for seed in range(args.seeds):
            made = collect_probed(
                planted.select(rows),
                Rollouts(engine, attempts=ATTEMPTS, max_new_tokens=64),
                probing=Probing(seed=seed, audit=args.audit),
                url=args.pool,
            )
            record = json.loads(made["rap_probed"][0])
            out = np.array([str(error).startswith("below_probe") for error in made["rap_error"]])
            settled = record["settled_attempts"] * tokens.mean()
            saved = (ATTEMPTS * tokens[rows][out].sum() - settled) / (ATTEMPTS * tokens[rows].sum())
            worth = truth[rows]
            labelled = np.zeros(len(rows), dtype=bool)
            labelled[slice_order(made["rap_id"][:], seed)[: record["labelled"]]] = True
            foretold = np.array(made["rap_probe_cde"][:], dtype=float)
            audit = ~labelled & ~out & (foretold < (-np.inf if record["cut"] is None else record["cut"]))
            above = ~labelled & ~out & ~audit
            parts = [rows[~worth & part] for part in (np.ones_like(worth), labelled, audit, above)]
            shares = [ATTEMPTS * tokens[part].sum() / (ATTEMPTS * tokens[rows].sum()) for part in parts]
            spent.setdefault(name, []).append([*shares, settled / (ATTEMPTS * tokens[rows].sum())])
            lost, kept = lost + int((worth & out).sum()), kept + int(worth.sum())
            recall = 1 - (worth & out).sum() / worth.sum()
            figures.append((record["cut"] is not None, record["labelled"], out.mean(), saved, recall))
        cut, labelled, left_out, saved, recall = np.array(figures, dtype=float).T
        print(
            f"| {name} | {truth[rows].mean():.0%} | {int(cut.sum())} of {len(cut)} | {labelled.mean():,.0f} | {left_out.mean():.0%} | "
            f"{saved.mean():.1%} ({saved.min():.1%}) | {1 - lost / kept:.2%} ({recall.min():.2%}) | {1 - share_at_most(lost, kept):.2%} |",
            flush=True,
        )
    print("\n| pool | not worth keeping | of these in the slice | in the audit | above the cut | settling |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, shares in spent.items():
        print(f"| {name} | " + " | ".join(f"{share:.1%}" for share in np.mean(shares, axis=0)) + " |")


if __name__ == "__main__":
    main()
