"""What only a card can tell of `TransformersEngine`: checks in half precision, equal replies, batches that fill the memory.

    python benchmarks/on_a_card.py [--size 3b] [--rows 512] [--new-tokens 128] [--dtype bfloat16]

The model is a Qwen2.5-VL of random weights (benchmarks/gpu.py), made in a folder, whose every step draws from nearly equal
tokens; and the small model that ships with hf_rap, which was trained. Told are:

- whether the replies and the attention of both are those of plain transformers (`hf_rap.engines.self_check`);
- the share of replies that are the same to the letter when the same rows are asked again: in the same batches, in batches of
  another size, and each row by itself;
- how many rows `batch_size="auto"` takes, batch by batch, and the share of the free memory that they took at their peak;
- what happens in a quarter of the memory that is free, which auto does not know of;
- whether `device="auto"` gives the replies of one card.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
import transformers
from engines import save_model
from gpu import make_requests

from hf_rap import TransformersEngine
from hf_rap.demo import MODEL, make_planted
from hf_rap.engines.base import Reply, Request, Sampling
from hf_rap.engines.loaded_model import LoadedModel
from hf_rap.errors import EngineError, RowError
from hf_rap.rows.prompts import PromptTemplate

ATTEMPTS = 5


def planted_requests(rows: int) -> list[Request]:
    """Rows for the small model, with their pictures."""
    return [
        Request(row["id"], "image", PromptTemplate().messages(row["problem"]), tuple(row["images"]), ATTEMPTS)
        for row in make_planted(rows, seed=5)
    ]


def checked(engine: TransformersEngine, name: str) -> None:
    """Loads the model, and says whether its replies and attention passed."""
    started = time.perf_counter()
    try:
        loaded = engine.load()
        print(
            f"{name}: replies checked, {time.perf_counter() - started:.0f} s with loading, {loaded.describe()['dtype']}"
        )
        request = make_requests("tiny", 1)[0]
        started = time.perf_counter()
        (seen,) = engine.attend([Reply(request, "abc def gh")], window=4)
        if isinstance(seen, RowError):
            raise EngineError(str(seen))
        print(f"{name}: attention checked, {time.perf_counter() - started:.0f} s", flush=True)
    except EngineError as error:
        print(f"{name}: NOT PASSED: {error}", flush=True)


def ask(loaded: LoadedModel, requests: list[Request], sampling: Sampling) -> list[list[str]]:
    """Texts of the replies to each request."""
    answers = loaded.complete(requests, sampling)
    failed = [answer for answer in answers if isinstance(answer, RowError)]
    if failed:
        print(f"{len(failed)} rows failed: {failed[0]}")
    return [[reply.text for reply in answer] if not isinstance(answer, RowError) else [] for answer in answers]


def in_batches_of(engine: TransformersEngine, size: int | None) -> LoadedModel:
    """The model of an engine, with batches of so many rows; None: as many as fit."""
    loaded = engine.load()
    return LoadedModel(loaded.model, loaded.processor, batch_size=size)


def equal_start(one: str, other: str) -> float:
    """The share of a reply before it and another part."""
    equal = next((place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))
    return equal / max(1, len(one))


def same(first: list[list[str]], second: list[list[str]]) -> str:
    """How many replies are equal, and where the others part."""
    pairs = [(a, b) for x, y in zip(first, second, strict=True) for a, b in zip(x, y, strict=True)]
    parted = sorted(equal_start(a, b) for a, b in pairs if a != b)
    where = f"; half of the others part before {parted[len(parted) // 2]:.0%} of their length" if parted else ""
    return f"{sum(a == b for a, b in pairs)} of {len(pairs)} replies are the same{where}"


def told_again(engine: TransformersEngine, name: str, requests: list[Request], new_tokens: int) -> None:
    """The same rows in the same and in other batches."""
    sampling = Sampling(max_new_tokens=new_tokens)
    first = ask(in_batches_of(engine, 16), requests, sampling)
    for what, again in (
        ("again, in the same batches", ask(in_batches_of(engine, 16), requests, sampling)),
        ("in batches of 7", ask(in_batches_of(engine, 7), requests, sampling)),
        (
            "the half that a stopped run had left",
            ask(in_batches_of(engine, 16), requests[len(requests) // 2 :], sampling),
        ),
        ("each row by itself", ask(in_batches_of(engine, 1), requests[:8], sampling)),
    ):
        other = first[len(requests) // 2 :] if "half" in what else first[: len(again)]
        print(f"{name}, {what}: {same(other, again)}", flush=True)


def batches_of_auto(engine: TransformersEngine, requests: list[Request], sampling: Sampling) -> list[list[str]]:
    """Asks with `batch_size="auto"` in parts as a run has them, and says how many rows each batch had."""
    loaded = in_batches_of(engine, None)
    plain, sizes, shares = loaded.in_batches, [], []

    def noted(*args, **options):
        for batch, answers in plain(*args, **options):
            sizes.append(len(batch))
            shares.append(loaded.memory.share() if loaded.memory else 0.0)
            yield batch, answers

    loaded.in_batches = noted
    texts, started = [], time.perf_counter()
    for start in range(0, len(requests), engine.rows_per_part):
        texts += ask(loaded, requests[start : start + engine.rows_per_part], sampling)
    took = time.perf_counter() - started
    print(
        f"auto: batches of {sizes} rows, which took {', '.join(f'{share:.0%}' for share in shares)} of the free memory"
    )
    print(f"auto: {sum(map(len, texts)) / took:.1f} attempts/s, {sampling.max_new_tokens} tokens each", flush=True)
    return texts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="3b", choices=["3b", "small", "tiny"])
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--new-tokens", type=int, default=128)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", default="bfloat16")
    args = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="  %(message)s")
    card = torch.cuda.get_device_name() if args.device == "cuda" else "a CPU"
    print(f"{card}, torch {torch.__version__}, transformers {transformers.__version__}")

    for dtype in ("float32", args.dtype):
        small = TransformersEngine(str(MODEL), device=args.device, dtype=dtype)
        checked(small, f"small model, {dtype}")
        told_again(small, f"small model, {dtype}", planted_requests(100), 64)

    with tempfile.TemporaryDirectory() as folder:
        save_model(args.size, args.dtype, Path(folder))
        checked(TransformersEngine(folder, device=args.device, dtype="float32"), f"{args.size}, float32")
        engine = TransformersEngine(folder, device=args.device)
        checked(engine, args.size)
        told_again(engine, args.size, make_requests(args.size, 32), args.new_tokens)
        sampling = Sampling(max_new_tokens=args.new_tokens)
        requests = make_requests(args.size, args.rows)
        whole = batches_of_auto(engine, requests, sampling)
        if args.device == "cuda":
            # A quarter of what is free beside the weights; the driver says that all of it is there.
            taken, total = torch.cuda.memory_allocated(), torch.cuda.get_device_properties(0).total_memory
            torch.cuda.empty_cache()
            torch.cuda.set_per_process_memory_fraction((taken + (total - taken) / 4) / total)
            tight = batches_of_auto(engine, requests, sampling)
            torch.cuda.set_per_process_memory_fraction(1.0)
            print(f"in a quarter of the memory: {same(whole, tight)}")
        one = ask(in_batches_of(engine, 16), requests[:16], sampling)
        spread = replace(engine, device="auto")
        checked(spread, f'{args.size}, device="auto"')
        print(f'device="auto": {same(one, ask(in_batches_of(spread, 16), requests[:16], sampling))}')


if __name__ == "__main__":
    main()
