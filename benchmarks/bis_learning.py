"""Do BIS subsets teach a step classifier more than random ones of the same size? On planted rollouts.

    python benchmarks/bis.py learning

The data are made, not real. A rollout of 2 to 9 steps is right up to its first error and wrong after
it; 16 continuations from a right step succeed with a chance q of its own question, those from a wrong
step by luck only. A step has 32 numbers as features: its correctness along one direction, a property of
the question along others, noise in all. The classifier (logistic regression) is trained on the hard
labels, score above 0, of all steps of the chosen rollouts, and tested on 4,000 new rollouts against
what is true. Everything between the scores and the subset is hf_rap.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass

import datasets
import numpy as np

from hf_rap import add_scores, bis_score, select_top

SEEDS = range(5)
RATIOS = (0.05, 0.10, 0.25)
ALPHAS = (0.2, 0.05)  # published for 10 % and for 25 %
SOURCES = 3
FEATURES = 32
CONTINUATIONS = 16
LUCK = 0.02  # chance that one continuation of a wrong step succeeds all the same
SIGNAL = 1.0  # distance of right and wrong steps from the middle, in standard deviations of the noise


@dataclass(frozen=True)
class Rollouts:
    """`length` and `source` are (n_rollouts,); the rest is one entry per step, rollout after rollout."""

    length: np.ndarray
    source: np.ndarray
    features: np.ndarray
    right: np.ndarray
    score: np.ndarray


def make(rng: np.random.Generator, rollouts: int) -> Rollouts:
    length = rng.integers(2, 10, rollouts)
    source = rng.integers(0, SOURCES, rollouts)
    row = np.repeat(np.arange(rollouts), length)
    place = np.arange(len(row)) - np.repeat(np.cumsum(length) - length, length)
    chance = rng.beta(1.0, 1.5, rollouts)  # how often the model solves this question
    # Errors fall anywhere; easy questions often have none.
    first_error = np.where(rng.random(rollouts) < chance, length, rng.integers(0, length))
    right = place < first_error[row]
    success = np.where(right, chance[row], LUCK)
    score = rng.binomial(CONTINUATIONS, success) / CONTINUATIONS
    features = rng.normal(size=(len(row), FEATURES))
    features[:, 0] += SIGNAL * np.where(right, 1, -1)
    features[:, 1:9] += rng.normal(size=(rollouts, 8))[row]  # what the question is about
    features[:, 9] += chance[row]  # how easy it looks
    return Rollouts(length, source, features, right, score)


def choose(data: Rollouts, ratio: float, alpha: float) -> np.ndarray:
    """The rollouts that BIS keeps."""
    ends = np.cumsum(data.length)[:-1]
    rows = [[{"score": score} for score in scores] for scores in np.split(data.score, ends)]
    ds = datasets.Dataset.from_dict({"source": data.source, "steps_with_score": rows})
    keep = select_top(add_scores(ds, bis_score), ratio=ratio, alpha=alpha).scored["rap_keep"][:]
    return np.flatnonzero(keep)


def choose_at_random(data: Rollouts, like: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As many of each source, at random."""
    counts = np.bincount(data.source[like], minlength=SOURCES)
    return np.concatenate(
        [rng.choice(np.flatnonzero(data.source == one), count, replace=False) for one, count in enumerate(counts)]
    )


def steps_of(data: Rollouts, rollouts: np.ndarray) -> np.ndarray:
    row = np.repeat(np.arange(len(data.length)), data.length)
    return np.isin(row, rollouts)


def fit(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Logistic regression by Newton's method with a ridge of 1."""
    inputs = np.c_[features, np.ones(len(features))]
    weights = np.zeros(inputs.shape[1])
    for _ in range(25):
        chance = 1 / (1 + np.exp(-inputs @ weights))
        gradient = inputs.T @ (chance - labels) + weights
        curvature = (inputs * (chance * (1 - chance))[:, None]).T @ inputs + np.eye(len(weights))
        step = np.linalg.solve(curvature, gradient)
        weights -= step
        if np.abs(step).max() < 1e-8:
            break
    return weights


def macro_f1(weights: np.ndarray, test: Rollouts) -> float:
    """Mean of the F1 of right and of wrong steps, in percent."""
    said = np.c_[test.features, np.ones(len(test.features))] @ weights > 0
    f1 = []
    for label in (True, False):
        hits = np.sum((said == label) & (test.right == label))
        f1.append(2 * hits / (np.sum(said == label) + np.sum(test.right == label)))
    return 100 * float(np.mean(f1))


def one_seed(seed: int, rollouts: int) -> dict[tuple[str, float], tuple[float, float, float]]:
    """(subset, ratio) -> F1, training labels that are not true, chosen rollouts without a positive step; in percent."""
    rng = np.random.default_rng(seed)
    train, test = make(rng, rollouts), make(rng, 4000)
    subsets = {("all", 1.0): np.arange(rollouts)}
    for ratio in RATIOS:
        subsets |= {(f"BIS {alpha}", ratio): choose(train, ratio, alpha) for alpha in ALPHAS}
        subsets["random", ratio] = choose_at_random(train, subsets[f"BIS {ALPHAS[0]}", ratio], rng)
    all_wrong = np.bincount(np.repeat(np.arange(rollouts), train.length), weights=train.score) == 0
    results = {}
    for name, chosen in subsets.items():
        steps = steps_of(train, chosen)
        labels = train.score[steps] > 0
        noise = 100 * float(np.mean(labels != train.right[steps]))
        f1 = macro_f1(fit(train.features[steps], labels), test)
        results[name] = (f1, noise, 100 * float(np.mean(all_wrong[chosen])))
    return results


def main() -> None:
    datasets.disable_progress_bars()
    for rollouts in (2_000, 20_000):
        seeds = [one_seed(seed, rollouts) for seed in SEEDS]
        print(f"\n{rollouts:,} rollouts to choose from; means and standard deviations over {len(seeds)} seeds")
        names = [*(f"BIS {alpha}" for alpha in ALPHAS), "random"]
        print(
            f"| share | rollouts | {' | '.join(f'{name}: macro-F1' for name in names)} | wrong labels in each | all-wrong rollouts |"
        )
        print("|---:|---:|---:|---:|---:|---:|---:|")
        for ratio in RATIOS:
            cells, noise, wrong = zip(*(told([seed[name, ratio] for seed in seeds]) for name in names), strict=True)
            print(
                f"| {ratio:.0%} | {int(ratio * rollouts):,} | {' | '.join(cells)} | {', '.join(noise)} | {', '.join(wrong)} |"
            )
        f1, noise_of_all, wrong_of_all = told([seed["all", 1.0] for seed in seeds])
        print(f"| 100% | {rollouts:,} | {f1} | the same | the same | {noise_of_all} | {wrong_of_all} |")


def told(found: list[tuple[float, float, float]]) -> tuple[str, str, str]:
    """F1 with its spread, and the two shares."""
    f1, noise, wrong = zip(*found, strict=True)
    return (
        f"{statistics.mean(f1):.2f} ± {statistics.stdev(f1):.2f}",
        f"{statistics.mean(noise):.1f} %",
        f"{statistics.mean(wrong):.1f} %",
    )


if __name__ == "__main__":
    main()
