"""Are wrong golds found? The planted rows with 5 % of their golds exchanged, the attempts of a model that never saw them.

    python benchmarks/gold_doubt.py [--rows 5000] [--attempts 16] [--run RUN]

The score has no number that was fitted to rows. Its shape (which attempts count, which of three priors) was chosen on the rows of
even number with wrong golds of seed 0; what is printed is of the rows of odd number with those of seeds 1, 2 and 3.

A wrong gold is the answer of another row with the same kind of question. The replies do not depend on the gold, so the model is asked
once, and the replies are graded again by the verifier for each draw; `--run` is a run folder whose replies are used.
"""

from __future__ import annotations

import argparse
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_rap import GoldDoubtScore, Rollouts, collect_evidence, collect_in_run, list_doubts, regrade
from hf_rap.demo import demo_engine, make_planted
from hf_rap.rows.recognition import recognise_layout
from hf_rap.verify import judge

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy.typing import NDArray

SHARE = 0.05
TOP = 0.025
SEEDS = (1, 2, 3)
SHOWN = (5, 8, 16)  # attempts per arm
PER_ATTEMPT = [
    f"rap_{arm}_{what}"
    for arm in ("image", "text")
    for what in ("rewards", "responses", "tokens", "truncated", "formatted")
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--attempts", type=int, default=16)
    parser.add_argument("--run")
    args = parser.parse_args()

    rollouts = Rollouts(demo_engine(), attempts=args.attempts, max_new_tokens=64, seed=0)
    rows = make_planted(args.rows, seed=0)
    evidence = collect_in_run(rows, rollouts, args.run) if args.run else collect_evidence(rows, rollouts)
    held_out = evidence.select(range(1, len(evidence), 2))
    held_out = held_out.filter(lambda error: error is None, input_columns="rap_error")  # golds that can be read
    print(
        "| attempts per arm | seed | wrong golds | answered | AUROC | AUROC, answered | precision of the first 2.5 % | with the image arm alone | of them hard rows with a right gold | doubt >= 0.5 | right of them | found of the answered |"
    )
    print(f"|{'---:|' * 12}")
    for attempts in (count for count in SHOWN if count <= args.attempts):
        for seed in SEEDS:
            print(line(with_wrong_golds(first(held_out, attempts), seed), attempts, seed))


def first(evidence: Dataset, attempts: int) -> Dataset:
    """The evidence of fewer attempts per row and arm."""
    there = [name for name in PER_ATTEMPT if name in evidence.column_names]

    def shorter(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return {name: [cell and cell[:attempts] for cell in batch[name]] for name in there}

    return evidence.remove_columns("images").map(shorter, batched=True)


def with_wrong_golds(evidence: Dataset, seed: int) -> Dataset:
    """The evidence with some golds exchanged and every reply graded anew; `wrong` says which, `true` holds what is right."""
    random = Random(f"wrong golds {seed}")
    answers: dict[str, list[str]] = {}
    for source, answer in zip(evidence["source"], evidence["answer"], strict=True):
        answers.setdefault(source, []).append(answer)
    wrong = set(random.sample(range(len(evidence)), round(SHARE * len(evidence))))
    golds = list(evidence["answer"])
    for row in sorted(wrong):
        others = [answer for answer in answers[evidence["source"][row]] if judge(answer, golds[row]).reward == 0]
        golds[row] = random.choice(others)
    planted = evidence.rename_column("answer", "true").add_column("answer", golds)
    planted = planted.add_column("wrong", [row in wrong for row in range(len(golds))])
    blank = [{"bytes": None, "path": None}] * len(golds)  # no gold or reply needs the pictures
    return regrade(planted.add_column("images", [[picture] for picture in blank]))


def line(planted: Dataset, attempts: int, seed: int) -> str:
    """What the score makes of them."""
    layout = recognise_layout(planted.column_names)
    doubts = np.array(GoldDoubtScore(layout=layout)(planted[:])["rap_gold_doubt"], dtype=float)
    wrong = np.array(planted["wrong"])
    answered = np.array([is_answered(row) for row in planted])
    alone = planted.remove_columns([name for name in planted.column_names if name.startswith("rap_text_")])
    by_image = np.array(GoldDoubtScore(layout=layout)(alone[:])["rap_gold_doubt"], dtype=float)
    hard = np.isin(planted["kind"], ("hard", "unsolvable")) & ~wrong
    top, top_by_image = first_of(doubts), first_of(by_image)
    listed = doubts >= 0.5
    names = [doubt.row for doubt in list_doubts(planted, layout=layout).doubts]
    assert set(names) == set(np.flatnonzero(listed).tolist()), Counter(names)
    cells = (
        attempts,
        seed,
        wrong.sum(),
        (wrong & answered).sum(),
        f"{auroc(doubts, wrong):.3f}",
        f"{auroc(doubts[~wrong | answered], wrong[~wrong | answered]):.3f}",
        f"{wrong[top].mean():.1%} of {len(top)}",
        f"{wrong[top_by_image].mean():.1%}",
        f"{hard[top].sum()} of {hard.sum()}",
        listed.sum(),
        f"{wrong[listed].mean():.1%}",
        f"{(listed & wrong & answered).sum() / (wrong & answered).sum():.1%}",
    )
    return f"| {' | '.join(map(str, cells))} |"


def first_of(doubts: NDArray[np.float64]) -> NDArray[np.int64]:
    """The most doubtful 2.5 % of all rows, those with an unreadable gold among them; equal ones by lot."""
    place = np.random.default_rng(0).permutation(len(doubts))
    return np.lexsort((place, -doubts))[: round(TOP * len(doubts) / 0.95)]


def is_answered(row: dict[str, Any]) -> bool:
    """The true answer is what most attempts with the image give: else nobody can know that the gold is wrong."""
    right = [judge(reply, row["true"]).reward == 1 for reply in row["rap_image_responses"]]
    others = Counter(reply for reply, fine in zip(row["rap_image_responses"], right, strict=True) if not fine)
    return sum(right) > max(others.values(), default=0)


def auroc(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """The share of pairs of a wrong and a right gold in which the wrong one has the higher score, ties counted half."""
    values, place = np.unique(scores, return_inverse=True)
    right, wrong = (np.bincount(place[flags], minlength=len(values)) for flags in (~positive, positive))
    below = np.cumsum(right) - right
    return float((wrong * (below + right / 2)).sum() / (right.sum() * wrong.sum()))


if __name__ == "__main__":
    main()
