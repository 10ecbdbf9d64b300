"""Attempts per second of Rollouts against what a user would write: one `generate` call per row and arm.

    python benchmarks/rollouts.py [--rows 256] [--attempts 5] [--model FOLDER_OR_ID]

Both sides use the same loaded model, the same prompts, the same number of attempts and the same
token limit, in one process, in turns. The plain side is
`model.generate(do_sample=True, num_return_sequences=attempts)`.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from hf_rap import Rollouts, TransformersEngine
from hf_rap.demo import demo_engine, make_planted
from hf_rap.rows.prompts import DEFAULT_PROMPT


def plain(loaded, ds, attempts: int, max_new_tokens: int) -> int:
    """Replies drawn one row and one arm at a time; gives the number of attempts."""
    count = 0
    for row in ds:
        for messages, images in (
            (DEFAULT_PROMPT.messages(row["problem"]), row["images"]),
            (DEFAULT_PROMPT.messages(row["problem"], with_images=False), None),
        ):
            prompt = loaded.processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            inputs = loaded.processor(text=[prompt], images=images, return_tensors="pt").to(loaded.model.device)
            with torch.inference_mode():
                replies = loaded.model.generate(
                    **inputs, do_sample=True, num_return_sequences=attempts, max_new_tokens=max_new_tokens
                )
            loaded.processor.batch_decode(replies[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
            count += len(replies)
    return count


def ours(rollouts, ds) -> int:
    """Replies drawn, judged and laid out as columns by Rollouts; gives the number of attempts."""
    evidence = rollouts(ds[:])
    columns = (evidence["rap_image_rewards"], evidence["rap_text_rewards"])
    return sum(len(attempts) for column in columns for attempts in column)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--attempts", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("--model", default=None)
    args = parser.parse_args()

    engine = TransformersEngine(args.model) if args.model else demo_engine()
    rollouts = Rollouts(engine, attempts=args.attempts, max_new_tokens=args.max_new_tokens)
    planted = make_planted(2 * args.rows)
    ds = planted.filter(lambda kind: kind != "gold_unreadable", input_columns="kind").select(range(args.rows))
    loaded = engine.load()
    plain(loaded, ds.select(range(4)), args.attempts, args.max_new_tokens)  # warm up both sides
    ours(rollouts, ds.select(range(4)))

    rates: dict[str, list[float]] = {"plain generate": [], "Rollouts": []}
    for _ in range(args.rounds):
        started = time.perf_counter()
        count = plain(loaded, ds, args.attempts, args.max_new_tokens)
        rates["plain generate"].append(count / (time.perf_counter() - started))
        started = time.perf_counter()
        count = ours(rollouts, ds)
        rates["Rollouts"].append(count / (time.perf_counter() - started))
    for name, values in rates.items():
        print(f"{name:>15}: {statistics.median(values):7.1f} attempts/s (median of {args.rounds})")
    ratios = [new / old for old, new in zip(*rates.values(), strict=True)]
    print(f"{'ratio':>15}: {statistics.median(ratios):.1f}x (from {min(ratios):.1f}x to {max(ratios):.1f}x)")


if __name__ == "__main__":
    main()
