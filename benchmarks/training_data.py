"""The planted pool, the held-out rows, and what each arm of benchmarks/training.py trains on."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hf_rap import Rollouts, TransformersEngine, add_scores, cde_score, collect_evidence, difficulty_score
from hf_rap.demo import IMAGE_IS_NEEDED, make_planted
from hf_rap.engines.base import Request, Sampling
from hf_rap.rows.prompts import DEFAULT_PROMPT
from hf_rap.select import select_cognitive
from hf_rap.verify import judge

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import datasets

# Shares of the kinds in the pool. "wasteful" is what the motivation speaks of: three rows of four are given away by
# the text, trivial or cannot be solved. "even" is the mix of `make_planted`. Neither has rows whose gold
# cannot be read: those are found before a model runs, and no trainer should get them.
MIXES: Mapping[str, Mapping[str, float]] = {
    "wasteful": {
        "needs_image": 0.15,
        "hard": 0.10,
        "text_gives_it_away": 0.45,
        "trivial": 0.15,
        "unsolvable": 0.15,
    },
    "even": {"needs_image": 0.32, "hard": 0.21, "text_gives_it_away": 0.26, "trivial": 0.105, "unsolvable": 0.105},
}
HELD_OUT_SEED = 1_000_000  # no pool is made from it
HELD_OUT: Mapping[str, int] = {
    "needs_image": 180,
    "hard": 120,
    "text_gives_it_away": 80,
    "trivial": 30,
    "unsolvable": 30,
}
WHOLE, RAP, RAP_CDE, RANDOM, BAND, RELEASED = (
    "whole pool",
    "rap",
    "rap, cde alone",
    "random",
    "difficulty band",
    "rap-released",
)
ARMS = (WHOLE, RANDOM, BAND, RELEASED, RAP, RAP_CDE)
ATTEMPTS = 5
MEASURED_ATTEMPTS = 2
MAX_NEW_TOKENS = 48  # the longest reply that was taught has about 40


def planted_rows(counts: Mapping[str, int], *, seed: int) -> datasets.Dataset:
    """So many planted rows of each kind, in the random order of `make_planted`."""
    total = 2 * sum(counts.values())
    while True:
        ds = make_planted(total, seed=seed)
        left, chosen = dict(counts), []
        for row, kind in enumerate(ds["kind"]):
            if left.get(kind, 0):
                left[kind] -= 1
                chosen.append(row)
        if not any(left.values()):
            return ds.select(chosen).flatten_indices()
        total *= 2


def make_pool(rows: int, mix: str, *, seed: int) -> datasets.Dataset:
    """The rows that there are to train on; `kind` is for the report alone."""
    return planted_rows({kind: round(rows * share) for kind, share in MIXES[mix].items()}, seed=seed)


def choose_rows(pool: datasets.Dataset, start: str, folder: Path, *, seed: int, device: str | None) -> dict[str, Any]:
    """Scores the pool with the model that is going to be trained, as a user does, and selects.

    Returns, ready for JSON: `arms`, arm -> positions in the pool; `kinds`, arm -> rows per kind; the
    tokens of the replies (`image_tokens`, `text_tokens`, `mean_reply`), the seconds of `rollouts` and
    of `selecting`, and `marginal`: wall and CPU.
    """
    found = folder / f"chosen-{seed}.json"
    if found.exists():
        return json.loads(found.read_text())
    engine = TransformersEngine(start, device=device, dtype="float32")
    engine.load()
    clock = Clock()
    rollouts = Rollouts(engine, attempts=ATTEMPTS, max_new_tokens=MAX_NEW_TOKENS, seed=seed)
    evidence = collect_evidence(pool, rollouts)
    rolled = clock.lap()
    scored = add_scores(evidence, cde_score, difficulty_score)
    rap = select_cognitive(scored, method="rap-paper", seed=seed).kept_rows  # what `rap` did when the figures were made
    arms = {
        WHOLE: range(len(pool)),
        RANDOM: select_cognitive(scored, method="random", budget=len(rap), seed=seed).kept_rows,
        BAND: select_cognitive(scored, method="difficulty").kept_rows,
        RELEASED: select_cognitive(scored, method="rap-released").kept_rows,
        RAP: rap,
        RAP_CDE: select_cognitive(scored, replace_easy=False, seed=seed).kept_rows,
    }
    selected = clock.lap()
    rows = {arm: [int(row) for row in chosen] for arm, chosen in arms.items()}
    kinds = pool["kind"][:]
    tokens = {
        arm: [one or 0 for each in evidence[f"rap_{arm}_tokens"] for one in each or ()] for arm in ("image", "text")
    }
    chosen = {
        "arms": rows,
        "kinds": {arm: dict(Counter(kinds[row] for row in each)) for arm, each in rows.items()},
        "image_tokens": sum(tokens["image"]),
        "text_tokens": sum(tokens["text"]),
        "mean_reply": sum(tokens["image"]) / len(tokens["image"]),
        "rollouts": rolled,
        "selecting": selected,
    }
    found.write_text(json.dumps(chosen))
    return chosen


def scoring_tokens(arm: str, chosen: Mapping[str, Any]) -> int:
    """Tokens that were sampled to choose the rows of an arm: the band needs no replies without the image."""
    if arm in (WHOLE, RANDOM):
        return 0
    return chosen["image_tokens"] + (0 if arm == BAND else chosen["text_tokens"])


def measure(model: str, held_out: datasets.Dataset, mix: str, *, device: str | None) -> dict[str, Any]:
    """Accuracy on held-out rows, asked with their image: of replies at temperature 1, and of greedy ones.

    Returns:
        `image`: on the questions that need their image; `all`: on all kinds, weighted as in the pool; both
        of sampled replies. `greedy_image`, `greedy_all`: of greedy ones. `kinds`: kind -> accuracy of sampled replies.

    """
    engine = TransformersEngine(model, device=device, dtype="float32", batch_size=64)
    requests = [
        Request(row["id"], "image", DEFAULT_PROMPT.messages(row["problem"]), tuple(row["images"]), MEASURED_ATTEMPTS)
        for row in held_out
    ]
    sampled = rates(engine.complete(requests, Sampling(1.0, max_new_tokens=MAX_NEW_TOKENS)), held_out)
    greedy = rates(
        engine.complete([replace(one, attempts=1) for one in requests], Sampling(0.0, max_new_tokens=MAX_NEW_TOKENS)),
        held_out,
    )
    return {
        "image": accuracy(sampled, IMAGE_IS_NEEDED, mix),
        "all": accuracy(sampled, tuple(sampled), mix),
        "greedy_image": accuracy(greedy, IMAGE_IS_NEEDED, mix),
        "greedy_all": accuracy(greedy, tuple(greedy), mix),
        "kinds": sampled,
    }


def rates(answers: list[Any], rows: datasets.Dataset) -> dict[str, float]:
    """Kind -> share of right replies."""
    right: dict[str, list[float]] = {}
    for kind, gold, question, replies in zip(rows["kind"], rows["answer"], rows["problem"], answers, strict=True):
        rewards = [judge(reply.text, gold, question=question).reward for reply in replies]
        right.setdefault(kind, []).extend(reward for reward in rewards if reward is not None)
    return {kind: mean(rewards) for kind, rewards in right.items()}


def accuracy(of_kinds: Mapping[str, float], kinds: tuple[str, ...], mix: str) -> float:
    """The mean of some kinds, weighted by their shares of the pool."""
    shares = MIXES[mix]
    return sum(shares[kind] * of_kinds[kind] for kind in kinds) / sum(shares[kind] for kind in kinds)


def mean(numbers: list[float]) -> float:
    return sum(numbers) / len(numbers)


class Clock:
    """Wall and CPU seconds of this process, lap by lap."""

    def __init__(self) -> None:
        self._last = (time.perf_counter(), time.process_time())

    def lap(self) -> dict[str, float]:
        """Since the last lap."""
        now = (time.perf_counter(), time.process_time())
        wall, cpu = (new - old for new, old in zip(now, self._last, strict=True))
        self._last = now
        return {"wall_seconds": wall, "cpu_seconds": cpu}
