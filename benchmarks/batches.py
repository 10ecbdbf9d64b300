"""Batch sizes over a run in which one picture never fits, on a card of our making; a plot.

    python benchmarks/batches.py [--out docs/images/batch_sizes.png]

2,000 rows of 5 replies, one of which has a picture of 200 times the usual size; the card holds 120 usual rows. Rows go through
the batches of the engine as they do in a run, in parts of `rows_per_part`; only what the model would do is left out, and
memory runs out where the tokens of a batch say so. "pinned" is what was done before: a batch that ran out of memory set the
size of all that followed it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from random import Random

import torch
from matplotlib.figure import Figure

from hf_rap.demo import demo_engine
from hf_rap.engines.loaded_model import LoadedModel
from hf_rap.errors import RowError
from hf_rap.tables.figures import DROPPED, INK, KEPT, png

ROWS, HUGE, PART = 2000, 700, 192
USUAL, HUGE_TIMES, FITS = 1000.0, 200, 120


class Card:
    """Memory for so many tokens."""

    def __init__(self) -> None:
        self.room = FITS * USUAL
        self.taken = 0.0
        self.sizes: list[int] = []

    def begin(self) -> None:
        self.taken = 0.0

    def share(self) -> float:
        return self.taken / self.room

    def run(self, tokens: list[float]) -> list[float | RowError]:
        """A batch, padded to its longest row."""
        needed = len(tokens) * max(tokens)
        if needed > self.room:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        self.taken = max(self.taken, needed)
        self.sizes.append(len(tokens))
        return list(tokens)


def rows() -> list[float]:
    """The tokens of each row."""
    rng = Random(0)
    tokens = [USUAL * rng.uniform(0.8, 1.0) for _ in range(ROWS)]
    tokens[HUGE] = HUGE_TIMES * USUAL
    return tokens


def sizes(batch_size: int | None) -> tuple[list[int], int]:
    """The batches that fitted, and the rows that got no answer."""
    card = Card()
    loaded = demo_engine().load()
    loaded = LoadedModel(loaded.model, loaded.processor, batch_size=batch_size, memory=card)
    failed = 0
    tokens = rows()
    for start in range(0, ROWS, PART):
        part = sorted(tokens[start : start + PART])
        work = loaded.in_batches("replies", part, lambda row: row, lambda batch: loaded.in_halves(batch, card.run))
        failed += sum(isinstance(answer, RowError) for _, answers in work for answer in answers)
    return card.sizes, failed


def pinned(batch_size: int) -> list[int]:
    """As it was."""
    card = Card()
    tokens = rows()

    def halves(batch: list[float]) -> None:
        nonlocal batch_size
        try:
            card.run(batch)
        except torch.cuda.OutOfMemoryError:
            middle = (len(batch) + 1) // 2
            if len(batch) > 1:
                batch_size = min(batch_size, middle)
                halves(batch[:middle])
                halves(batch[middle:])

    for start in range(0, ROWS, PART):
        part = sorted(tokens[start : start + PART])
        while part:
            batch, part = part[:batch_size], part[batch_size:]
            halves(batch)
    return card.sizes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    (auto, failed), (fixed, failed_too) = sizes(None), sizes(64)
    ways = {"auto": auto, "64": fixed, "64, pinned as before": pinned(64)}
    print("| batch size | batches | largest after the picture | rows without an answer |\n|---|---:|---:|---:|")
    for (name, taken), lost in zip(ways.items(), (failed, failed_too, 1), strict=True):
        print(f"| {name} | {len(taken)} | {max(taken[-3:])} | {lost} |")
    if args.out is not None:
        figure = Figure(figsize=(7, 3), layout="constrained")
        axes = figure.subplots()
        for (name, taken), colour in zip(ways.items(), (KEPT, INK, DROPPED), strict=True):
            done = [sum(taken[: place + 1]) for place in range(len(taken))]
            axes.step([0, *done], [taken[0], *taken], where="pre", color=colour, label=name)
        axes.axvline(HUGE, color=DROPPED, linestyle=":", linewidth=1)
        axes.set(xlabel="rows done (dotted: the picture that never fits)", ylabel="rows in a batch")
        axes.legend(title="batch size", loc="lower center", ncols=3, bbox_to_anchor=(0.5, 1.0), frameon=False)
        args.out.write_bytes(png(figure))


if __name__ == "__main__":
    main()
