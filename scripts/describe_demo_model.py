"""Measure the built-in model on planted rows and write its model card to stdout.

python scripts/describe_demo_model.py > hf_rap/demo/grid-vlm/README.md
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict

from hf_rap import Rollouts, collect_evidence
from hf_rap.demo import demo_engine, make_planted

CARD = """---
license: apache-2.0
library_name: transformers
pipeline_tag: image-text-to-text
tags:
- hf-rap
---

# grid-vlm

A vision-language model of {parameters:,} parameters that looks at 3 x 3 grids of coloured shapes, thinks in a few words
between `<think>` and `</think>`, and boxes its answer. It ships with hf-rap, so that its demo, tests and benchmarks
run real multimodal inference on a CPU in seconds. It is good for nothing else.

LLaVA architecture: a CLIP vision tower (2 layers, 128 wide, 48 x 48 pixels, 9 image tokens), a Llama decoder (4 layers,
128 wide, context 512), byte-level BPE with {tokens} tokens. Loads with `AutoProcessor` and `AutoModelForImageTextToText`,
without torchvision. Trained from scratch by `scripts/train_demo_model.py` on pictures and questions made by `hf_rap.demo`.

## How often it is right

{attempts} attempts per row and arm at temperature 1.0 on {rows} planted rows (seed {seed}), made from other random numbers than its lessons:

| kind of row | rows | right with the image | right without |
|---|---:|---:|---:|
{kinds}

By type of question, rows of `needs_image` and `hard` only:

| kind | question | rows | right with the image | right without |
|---|---|---:|---:|---:|
{questions}

The table is the output of `python scripts/describe_demo_model.py`.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--attempts", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    engine = demo_engine()
    planted = make_planted(args.rows, seed=args.seed)
    evidence = collect_evidence(planted, Rollouts(engine, attempts=args.attempts, max_new_tokens=64))
    by_kind, by_question = defaultdict(list), defaultdict(list)
    for row in evidence.remove_columns("images"):
        by_kind[(row["kind"],)].append(row)
        if row["kind"] in ("needs_image", "hard"):
            by_question[row["kind"], row["source"]].append(row)
    loaded = engine.load()
    sys.stdout.write(
        CARD.format(
            parameters=sum(weights.numel() for weights in loaded.model.parameters()),
            tokens=len(loaded.processor.tokenizer),
            attempts=args.attempts,
            rows=args.rows,
            seed=args.seed,
            kinds="\n".join(table_row(names, rows) for names, rows in sorted(by_kind.items())),
            questions="\n".join(table_row(names, rows) for names, rows in sorted(by_question.items())),
        )
    )


def table_row(names: tuple[str, ...], rows: list[dict]) -> str:
    rates = [rate([row[f"rap_{arm}_rewards"] for row in rows]) for arm in ("image", "text")]
    return f"| {' | '.join(f'`{name}`' for name in names)} | {len(rows)} | {rates[0]} | {rates[1]} |"


def rate(rewards: list[list[float | None] | None]) -> str:
    known = [reward for attempts in rewards for reward in attempts or () if reward is not None]
    return f"{sum(known) / len(known):.1%}" if known else "not judged"


if __name__ == "__main__":
    main()
