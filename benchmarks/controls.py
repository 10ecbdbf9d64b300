"""Is removing the image the right counterfactual? Planted rows, selected by three of them.

    python benchmarks/controls.py [--rows 600] [--attempts 5] [--seed 0]

The built-in model answers every planted row with its picture, on its text alone, with a grey picture of
the same size, and with other rows' pictures: another one for each attempt, or one for all. The rule is cde above 0.5, without replacement. A fresh
scoring by the text alone (another seed) stands beside them: how much two selections differ anyway.
"""

from __future__ import annotations

import argparse
from collections import Counter

import numpy as np

from hf_rap import CDEScore, Controls, Rollouts, add_scores, collect_evidence
from hf_rap.columns import ARM_COLUMNS, CDE
from hf_rap.demo import IMAGE_IS_NEEDED, KINDS, demo_engine, make_planted

MIN_CDE = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--attempts", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    # Many attempts in small batches: as fast, and the memory stays small.
    engine = demo_engine(batch_size=max(2, 80 // args.attempts))

    def asked(seed: int):
        rollouts = Rollouts(engine, attempts=args.attempts, max_new_tokens=64, seed=seed)
        return collect_evidence(make_planted(args.rows, seed=args.seed), rollouts)

    evidence_of_image = asked(args.seed)
    evidence = collect_evidence(evidence_of_image, Controls(engine, seed=args.seed))
    kinds = np.array(evidence["kind"])
    kept, means = {}, {}
    for control in ("text", "blank", "shuffled"):
        cde = np.array(add_scores(evidence, CDEScore(control=control)).with_format("numpy")[CDE.name], dtype=float)
        kept[control], means[control] = cde > MIN_CDE, cde
    lone = collect_evidence(evidence_of_image, Controls(engine, arms=("shuffled",), seed=args.seed, donors_per_row=1))
    cde = np.array(add_scores(lone, CDEScore(control="shuffled")).with_format("numpy")[CDE.name], dtype=float)
    kept["shuffled, one giver"] = cde > MIN_CDE
    again = add_scores(asked(args.seed + 1), CDEScore()).with_format("numpy")[CDE.name]
    kept["text, scored again"] = np.array(again, dtype=float) > MIN_CDE

    rates(evidence, kinds)
    selections(kept, means, kinds)
    overlaps(kept)
    disagreements(kept, means, kinds, np.array(evidence["source"]))


def rates(evidence, kinds: np.ndarray) -> None:
    """How often each arm is right."""
    print(f"\n| planted kind | rows | {' | '.join(ARM_COLUMNS)} |\n|---|{'---:|' * (1 + len(ARM_COLUMNS))}")
    for kind in KINDS:
        cells = []
        for of_arm in ARM_COLUMNS.values():
            rows = zip(kinds, evidence[of_arm.rewards.name], strict=True)
            known = [one for name, rewards in rows if name == kind for one in rewards or () if one is not None]
            cells.append(f"{np.mean(known):.1%}" if known else "unknown")
        print(f"| `{kind}` | {np.sum(kinds == kind)} | {' | '.join(cells)} |")


def selections(kept: dict, means: dict, kinds: np.ndarray) -> None:
    """What each keeps, kind by kind."""
    print(f"\n| kept, cde > {MIN_CDE} | {' | '.join(kept)} |\n|---|{'---:|' * len(kept)}")
    for kind in KINDS:
        print(f"| `{kind}` | {' | '.join(str(np.sum(one & (kinds == kind))) for one in kept.values())} |")
    needed = np.isin(kinds, IMAGE_IS_NEEDED)
    shares = {
        "of the kept rows, need their image": lambda one: np.sum(one & needed) / np.sum(one),
        "of the rows that need their image, kept": lambda one: np.sum(one & needed) / np.sum(needed),
    }
    print(f"| all | {' | '.join(str(np.sum(one)) for one in kept.values())} |")
    for name, share in shares.items():
        print(f"| {name} | {' | '.join(f'{share(one):.1%}' for one in kept.values())} |")
    for control, cde in means.items():
        cells = [f"{np.nanmean(cde[one]):.3f}" if np.any(one) else "-" for one in kept.values()]
        print(f"| mean cde against {control} | {' | '.join(cells)} |")


def overlaps(kept: dict) -> None:
    """Jaccard, each with each."""
    print(f"\n| Jaccard | {' | '.join(kept)} |\n|---|{'---:|' * len(kept)}")
    for name, one in kept.items():
        cells = [f"{np.sum(one & other) / np.sum(one | other):.2f}" for other in kept.values()]
        print(f"| {name} | {' | '.join(cells)} |")


def disagreements(kept: dict, means: dict, kinds: np.ndarray, sources: np.ndarray) -> None:
    """Rows that one keeps and another does not, by kind and type of question."""
    print("\n| kept by | and not by | rows | which (kind, type of question) |\n|---|---|---:|---|")
    for one, other in (("text", "blank"), ("blank", "text"), ("text", "shuffled"), ("shuffled", "text")):
        rows = kept[one] & ~kept[other]
        common = Counter(zip(kinds[rows], sources[rows], strict=True)).most_common(3)
        told = ", ".join(f"{count} {kind} {source}" for (kind, source), count in common)
        print(f"| {one} | {other} | {np.sum(rows)} | {told} |")
    print("\n| rows | mean of cde against text minus blank | against text minus shuffled |\n|---|---:|---:|")
    for source in sorted(set(sources)):
        rows = (sources == source) & np.isin(kinds, IMAGE_IS_NEEDED)
        if rows.any():
            gaps = [np.nanmean(means["text"][rows] - means[control][rows]) for control in ("blank", "shuffled")]
            print(f"| `{source}`, image needed | {gaps[0]:+.3f} | {gaps[1]:+.3f} |")


if __name__ == "__main__":
    main()
