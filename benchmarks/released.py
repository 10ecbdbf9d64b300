"""How long the released selection takes, vectorised and as nested loops. All times are of one run, side by side.

python benchmarks/released.py [--rows 55000] [--repeats 5]
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from typing import TYPE_CHECKING

from datasets import Dataset, Features, List, Value

from hf_rap.select import select_cognitive

if TYPE_CHECKING:
    from collections.abc import Callable

LOOP_ROWS = (4_000, 8_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=55_000)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()

    print(f"{'rows':>7} {'hf_rap':>22} {'nested loops':>22} {'ratio':>22}")
    for rows in LOOP_ROWS:
        image, text = make_rewards(rows)
        ds = as_dataset(image, text)
        ours, loops = [], []
        for _ in range(args.repeats):  # in turn, so that a busy machine slows both
            ours.append(seconds(lambda ds=ds: select_cognitive(ds, method="rap-released")))
            loops.append(seconds(lambda image=image, text=text: nested_loops(image, text)))
        kept = select_cognitive(ds, method="rap-released").kept_rows.tolist()
        assert kept == nested_loops(image, text), "the two select different rows"
        ratios = [slow / fast for slow, fast in zip(loops, ours, strict=True)]
        print(f"{rows:>7,} {spread(ours, ' s'):>22} {spread(loops, ' s'):>22} {spread(ratios, 'x', digits=0):>22}")
    ds = as_dataset(*make_rewards(args.rows))
    times = [seconds(lambda: select_cognitive(ds, method="rap-released")) for _ in range(args.repeats)]
    print(f"{args.rows:>7,} {spread(times, ' s'):>22}")


def make_rewards(rows: int, seed: int = 0) -> tuple[list[list[float]], list[list[float]]]:
    """Five rewards per arm; the image helps, by a different amount in every row."""
    rng = random.Random(seed)
    rates = [rng.random() for _ in range(rows)]

    def attempts(rate: float) -> list[float]:
        return [rng.choice([0.9, 1.0]) if rng.random() < rate else rng.choice([0.0, 0.1]) for _ in range(5)]

    return [attempts(rate) for rate in rates], [attempts(rate * rng.random()) for rate in rates]


def as_dataset(image: list[list[float]], text: list[list[float]]) -> Dataset:
    rewards = List(Value("float64"))
    features = Features({"rap_image_rewards": rewards, "rap_text_rewards": rewards})
    return Dataset.from_dict({"rap_image_rewards": image, "rap_text_rewards": text}, features)


def nested_loops(image: list[list[float]], text: list[list[float]]) -> list[int]:
    """The rule the way the released script goes about it: for every row, look through all rows for its text arm."""
    names = [str(row) for row in range(len(image))]
    with_image = list(zip(names, [sum(reward == 1 for reward in rewards) / 5 for rewards in image], strict=True))
    alone = list(zip(names, [sum(reward == 1 for reward in rewards) / 5 for rewards in text], strict=True))
    solved = [sum(reward >= 0.9 for reward in rewards) for rewards in image]
    one_right = [name for name, count in zip(names, solved, strict=True) if count == 1]
    easy = {name for name, count in zip(names, solved, strict=True) if count == 5}
    mean1 = sum(rate for _, rate in with_image) / len(with_image)
    mean0 = sum(rate for _, rate in alone) / len(alone)
    core, pool = [], []
    for row, (name, rate) in enumerate(with_image):
        similarity = 1 - (rate - mean1) ** 2 / (1 - mean1) ** 2
        for other, rate_alone in alone:
            if other == name:
                gain = rate - rate_alone
                if similarity >= 0.6 and gain > 0.2 and name not in easy:
                    core.append(row)
                similar = similarity >= 0.85 and (gain > mean1 - mean0 or gain >= 0.2)
                if (similar or gain >= 0.6) and name in one_right:
                    pool.append(row)
    return sorted({*core, *random.Random(42).sample(pool, int(len(pool) * 0.1))})


def seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def spread(values: list[float], unit: str, digits: int = 3) -> str:
    """The median, and the range."""
    middle = statistics.median(values)
    return f"{middle:.{digits}f}{unit} ({min(values):.{digits}f}-{max(values):.{digits}f})"


if __name__ == "__main__":
    main()
