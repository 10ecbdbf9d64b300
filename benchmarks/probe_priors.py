"""How well two scorings agree, with one prior for all rows and with priors by what a probe foretells; on a pool of planted rows.

    python benchmarks/probe_priors.py POOL    # of benchmarks/probed.py --collect

Two scorings take the first attempts of the pool and the next ones, each with a prior and a probe of its own; kept are rows whose
cde is above 0.5 with a probability of more than one half. Their rows agree by Jaccard; precision and recall of each are
against the cde of the attempts that neither has, the mean of both. Agreement alone would flatter: both see the same states.
Then the same for sequential attempts, ten per arm at most: its probe is fitted to five attempts of 350 rows, which are counted.
"""

from __future__ import annotations

import argparse
import logging

import datasets
import numpy as np

from hf_rap import PromptStates, Rollouts, collect_in_run
from hf_rap.adaptive.sequential import believe, plan
from hf_rap.adaptive.state import State
from hf_rap.adaptive.stopping import Sequential
from hf_rap.demo import demo_engine, make_planted
from hf_rap.rows.batches import Batch
from hf_rap.scorers.probe import fit_labelled, foretell, read_states
from hf_rap.stats.counts import Counts
from hf_rap.stats.posterior import Posterior, fit_counts

TRUTH, MOST = 32, 10
LABELLED, OF_LABELLED = 350, 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pool")
    parser.add_argument("--rows", type=int, default=5_000)
    args = parser.parse_args()
    datasets.disable_progress_bars()
    logging.disable(logging.WARNING)
    planted, engine = make_planted(args.rows), demo_engine()
    states = collect_in_run(planted, PromptStates(engine), args.pool)
    names = ["rap_image_states", "rap_text_states"]
    numbers, there = read_states(Batch("benchmark", states.select_columns(names).with_format("arrow")[:]))
    made = collect_in_run(planted, Rollouts(engine, attempts=TRUTH, max_new_tokens=64), args.pool)
    image, text = (
        np.array([row for row, has in zip(made[f"rap_{arm}_rewards"], there, strict=True) if has])
        for arm in ("image", "text")
    )
    numbers = numbers[there]

    def kept(part: slice, *, probe: bool) -> np.ndarray:
        count = np.full(len(numbers), part.stop - part.start)
        arms = [Counts(arm[:, part].sum(axis=1), count) for arm in (image, text)]
        rates = None
        if probe:
            rates = np.clip(
                foretell(fit_labelled(numbers, arms, states="", min_cde=0.5, min_auc=0).fits, numbers), 0, 1
            )[:, :2]
        return Posterior(fit_counts(*arms, rates=rates), *arms, rates).cde_above(0.5) > 0.5

    print("| attempts | Jaccard, one prior | precision | recall | Jaccard, by the probe | precision | recall |")
    print("|---:|" + "---:|" * 6)
    for attempts in (1, 2, 3, 5, 8):
        truth = image[:, 2 * attempts :].mean(axis=1) - text[:, 2 * attempts :].mean(axis=1) > 0.5
        figures: list[float] = []
        for probe in (False, True):
            both = [kept(slice(start, start + attempts), probe=probe) for start in (0, attempts)]
            figures += [
                (both[0] & both[1]).sum() / (both[0] | both[1]).sum(),
                float(np.mean([(each & truth).sum() / each.sum() for each in both])),
                float(np.mean([(each & truth).sum() / truth.sum() for each in both])),
            ]
        print(f"| {attempts} | " + " | ".join(f"{figure:.3f}" for figure in figures) + " |", flush=True)

    print("\n| attempts per row and arm | by | Jaccard | precision | recall |\n|---:|---|---:|---:|---:|")
    rewards = np.stack([image, text], axis=1)  # (rows, arms, attempts)
    truth = image[:, 2 * MOST :].mean(axis=1) - text[:, 2 * MOST :].mean(axis=1) > 0.5
    for budget in (2, 2.5, 3, 4, 5, 6, 7.5):
        for name in ("fixed", "sequential", "sequential, probe"):
            if name == "fixed" and budget % 1:
                continue
            both, made = zip(
                *(sequential(rewards[:, :, start : start + MOST], numbers, budget, name) for start in (0, MOST)),
                strict=True,
            )
            agreement = (both[0] & both[1]).sum() / (both[0] | both[1]).sum()
            precision, recall = (
                np.mean([(each & truth).sum() / of for each, of in zip(both, sizes, strict=True)])
                for sizes in ([each.sum() for each in both], [truth.sum()] * 2)
            )
            cells = " | ".join(f"{figure:.3f}" for figure in (agreement, precision, recall))
            print(f"| {np.mean(made):.2f} | {name} | {cells} |", flush=True)


def sequential(rewards: np.ndarray, numbers: np.ndarray, budget: float, name: str) -> tuple[np.ndarray, float]:
    """The rows that such a collection keeps, and its mean number of attempts per row and arm."""
    stopping = Sequential(start=2, most=MOST, probe_prior=name.endswith("probe"))
    made = np.zeros(rewards.shape[:2], dtype=np.int64)
    rates = None
    if stopping.probe_prior:
        labelled = np.sort(np.random.default_rng(0).permutation(len(rewards))[:LABELLED])
        made[labelled] = OF_LABELLED
        arms = [
            Counts(arm[labelled, :OF_LABELLED].sum(axis=1), np.full(LABELLED, OF_LABELLED))
            for arm in rewards.transpose(1, 0, 2)
        ]
        probe = fit_labelled(numbers[labelled], arms, states="", min_cde=0.5, min_auc=0)
        rates = np.clip(foretell(probe.fits, numbers), 0, 1)[:, :2]
    if name == "fixed":
        made[:] = int(budget)

    def state() -> State:
        solved = np.where(np.arange(MOST) < made[:, :, None], rewards, 0).sum(axis=2).astype(np.int64)
        return State(solved, made.copy(), MOST - made)

    while name != "fixed" and (wanted := plan(state(), made, stopping, budget, rates)).any():
        made += wanted
    return believe(state(), stopping, rates) > 0.5, float(made.mean())


if __name__ == "__main__":
    main()
