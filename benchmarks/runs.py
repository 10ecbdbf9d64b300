"""What a run folder costs, what a second worker brings, and how full a server is kept.

    python benchmarks/runs.py overhead      # run folder against bare Dataset.map, same model, same rows
    python benchmarks/runs.py workers       # two processes against one, one torch thread each
    python benchmarks/runs.py endpoint      # EndpointEngine against a bare asyncio client, same concurrency
    python benchmarks/runs.py ids           # the id of a row without one: its picture is decoded
    python benchmarks/runs.py memory        # 100,000 rows with 40 KB images; a stub answers in place of a model
    python benchmarks/runs.py               # all of them

Both sides of a comparison run in turns on the same machine; figures are ratios, median and range.
"""

from __future__ import annotations

import argparse
import asyncio
import http.server
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from hf_rap import Completion, EndpointEngine, Rollouts, collect_in_run
from hf_rap.demo import demo_engine, make_planted
from hf_rap.engines.base import Request, Sampling


def report(name: str, ratios: list[float], wanted: str) -> None:
    print(
        f"{name}: {statistics.median(ratios):.3f} (median of {len(ratios)}, {min(ratios):.3f} to {max(ratios):.3f}); "
        f"wanted {wanted}",
        flush=True,
    )


def overhead(rounds: int) -> None:
    """Seconds of a whole run, merge included, over seconds of `ds.map(rollouts)`."""
    import torch

    torch.set_num_threads(1)
    ds = make_planted(512)
    rollouts = Rollouts(demo_engine(), attempts=5, max_new_tokens=64)
    rollouts(ds.select(range(16))[:])  # load and warm up
    ratios = []
    for _ in range(rounds):
        started = time.perf_counter()
        ds.map(rollouts, batched=True, batch_size=64, load_from_cache_file=False)
        bare = time.perf_counter() - started
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            collect_in_run(ds, rollouts, f"{folder}/run")
            ratios.append((time.perf_counter() - started) / bare)
    report("run folder / bare map, seconds", ratios, "at most 1.05")


_WORKER = """
import sys, time, torch
torch.set_num_threads(1)
from hf_rap import Rollouts
from hf_rap.runs.fill import Run
from hf_rap.demo import demo_engine, make_planted
rank, world, run, ready = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
ds = make_planted(256)
rollouts = Rollouts(demo_engine(), attempts=5, max_new_tokens=64)
rollouts(ds.select(range(16))[:])
with Run(ds, rollouts, run, rank=rank, world=world, rows_per_part=32) as opened:
    print("ready", flush=True)
    sys.stdin.readline()
    opened.fill()
    print(time.monotonic(), flush=True)
"""


def seconds_with(world: int) -> float:
    """From the moment that all processes have their model until the last has done its rows."""
    with tempfile.TemporaryDirectory() as folder:
        workers = [
            subprocess.Popen(
                [sys.executable, "-c", _WORKER, str(rank), str(world), f"{folder}/run", "go"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
            for rank in range(world)
        ]
        for worker in workers:
            worker.stdout.readline()
        started = time.monotonic()
        for worker in workers:
            worker.stdin.write("go\n")
            worker.stdin.flush()
        ended = max(float(worker.stdout.readline()) for worker in workers)
        for worker in workers:
            worker.wait()
    return ended - started


def workers(rounds: int) -> None:
    """Rows per second of two processes over those of one."""
    report("two workers / one, rows/s", [seconds_with(1) / seconds_with(2) for _ in range(rounds)], "at least 1.7")


class Slow(http.server.BaseHTTPRequestHandler):
    """Answers after 0.3 s, as many at once as are asked: all that limits the rate is the client."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    BODY = json.dumps(
        {
            "id": "x",
            "object": "chat.completion",
            "created": 0,
            "model": "m",
            "system_fingerprint": "",
            "choices": [
                {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "\\boxed{3}"}}
            ],
            "usage": {"prompt_tokens": 1, "completion_tokens": 5, "total_tokens": 6},
        }
    ).encode()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        time.sleep(0.3)
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(self.BODY)))
        self.end_headers()
        self.wfile.write(self.BODY)

    def log_message(self, *_args) -> None:
        pass


def bare_client(url: str, requests: list[Request], concurrency: int) -> None:
    """What one would write in ten lines: httpx, a semaphore, no retry, no check."""
    from huggingface_hub import AsyncInferenceClient  # noqa: F401 - so that both sides have paid for the import
    from huggingface_hub.utils._http import httpx2 as httpx  # the same HTTP library as the other side

    from hf_rap.engines.endpoint import with_images

    async def main() -> None:
        free = asyncio.Semaphore(concurrency)
        async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_keepalive_connections=concurrency)) as client:

            async def one(request: Request) -> None:
                async with free:
                    body = {"model": "m", "messages": with_images(request), "max_tokens": 16, "seed": 1}
                    (await client.post(f"{url}/chat/completions", json=body)).json()

            await asyncio.gather(*(one(request) for request in requests for _ in range(request.attempts)))

    asyncio.run(main())


def endpoint(rounds: int, concurrency: int = 32) -> None:
    """Requests per second of EndpointEngine over those of a bare client, with one picture in each."""
    import io

    from PIL import Image

    file = io.BytesIO()
    picture = Image.effect_noise((200, 200), 60).convert("RGB")
    picture.save(file, format="JPEG", quality=95)
    messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "How many?"}]}]
    requests = [
        Request(f"row {number}", "image", messages, (picture,), attempts=5, files=(file.getvalue(),))
        for number in range(256)
    ]

    class Server(http.server.ThreadingHTTPServer):
        request_queue_size = 256
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Slow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/v1"
    engine = EndpointEngine(url, model="m", concurrency=concurrency)
    engine.complete(requests[:2], Sampling(max_new_tokens=16))  # finds out that n is not honoured
    ratios = []
    for _ in range(rounds):
        started = time.perf_counter()
        bare_client(url, requests, concurrency)
        bare = time.perf_counter() - started
        started = time.perf_counter()
        engine.complete(requests, Sampling(max_new_tokens=16))
        ratios.append(bare / (time.perf_counter() - started))
    server.shutdown()
    report(f"EndpointEngine / bare client, requests/s at {concurrency} in flight", ratios, "at least 0.9")


@dataclass(frozen=True)
class FixedText:
    """A stub in place of a model: every reply is the same kilobyte."""

    def complete(self, requests, sampling):
        reply = Completion("<think>" + "because " * 120 + "</think> \\boxed{3}", 250, truncated=False)
        return [[reply] * request.attempts for request in requests]

    def describe(self):
        return {"engine": "stub", "model": "fixed text"}


def memory(rows: int = 100_000) -> None:
    """Peak memory of a whole run, in a process of its own, over rows that lie in Parquet files."""
    with tempfile.TemporaryDirectory() as folder:
        code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import runs; runs.memory_child"
        subprocess.run([sys.executable, "-c", f"{code}_make({folder!r}, {rows})"], check=True)
        subprocess.run([sys.executable, "-c", f"{code}({folder!r})"], check=True)


def memory_child_make(folder: str, rows: int) -> None:
    """`rows` rows with 40 KB of image each, in one Parquet file, a few at a time."""
    import io
    from random import Random

    import datasets
    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL import Image

    small = io.BytesIO()
    Image.new("RGB", (28, 28), "red").save(small, format="PNG")
    features = datasets.Features(
        {
            "images": datasets.List(datasets.Image()),
            "problem": datasets.Value("string"),
            "answer": datasets.Value("string"),
        }
    )
    schema = features.arrow_schema
    rng = Random(0)
    with pq.ParquetWriter(f"{folder}/rows.parquet", schema, compression="none") as writer:
        for start in range(0, rows, 1000):
            made = [
                {
                    # A small PNG with 40 KB of noise behind its end, which decoders skip.
                    "images": [{"bytes": small.getvalue() + rng.randbytes(40_000), "path": None}],
                    "problem": f"<image>How many? ({number})",
                    "answer": "3",
                }
                for number in range(start, min(rows, start + 1000))
            ]
            writer.write_table(pa.Table.from_pylist(made, schema=schema), row_group_size=100)


def memory_child(folder: str) -> None:
    """Runs, writes the file, and prints the peak of its memory, mapped files included."""
    import datasets

    from hf_rap.cli.files import write_file

    ds = datasets.Dataset.from_parquet(f"{folder}/rows.parquet", cache_dir=f"{folder}/cache")
    Path("/proc/self/clear_refs").write_text("5")  # from here on the system notes the peak, VmHWM
    peaks = {"VmHWM": 0, "RssAnon": 0}

    def watch() -> None:
        while True:
            status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
            for name, peak in peaks.items():
                peaks[name] = max(peak, int(status[name].split()[0]))
            time.sleep(0.02)

    threading.Thread(target=watch, daemon=True).start()
    started = time.perf_counter()
    evidence = collect_in_run(ds, Rollouts(FixedText(), attempts=2), f"{folder}/run")
    seconds = time.perf_counter() - started
    time.sleep(0.1)
    collected = dict(peaks)
    write_file(evidence, Path(folder) / "evidence.parquet")
    time.sleep(0.1)
    for what, found in (("collected", collected), ("and written to a file", peaks)):
        print(
            f"{len(evidence):,} rows of 40 KB {what}, stub engine: peak {found['VmHWM'] / 1e6:.2f} GB in all, of it "
            f"{found['RssAnon'] / 1e6:.2f} GB of its own and the rest mapped files; wanted under 1.5 GB",
            flush=True,
        )
    print(f"{seconds:.0f} s without the file", flush=True)


def ids(rounds: int) -> None:
    """Processor time of the id of a row that has none of its own, and of reading its file alone; noise and blur as a photo has."""
    import io

    from PIL import Image, ImageFilter

    from hf_rap.rows.layouts import Layout
    from hf_rap.rows.questions import row_id, stored_digest

    layout = Layout("question", "image", "answer")
    for size in ((336, 336), (1024, 768), (4000, 3000)):
        file = io.BytesIO()
        picture = Image.merge(
            "RGB", [Image.effect_noise(size, 90).filter(ImageFilter.GaussianBlur(2)) for _ in range(3)]
        )
        picture.save(file, "JPEG", quality=90)
        row = {"question": "How many?", "image": {"bytes": file.getvalue(), "path": None}, "answer": "3"}
        times = []
        for find in (row_id, stored_digest):
            started = time.process_time()
            for _ in range(2 * rounds):
                find(row, layout)
            times.append((time.process_time() - started) / (2 * rounds) * 1000)
        print(
            f"row id, JPEG of {size[0]} x {size[1]}, {len(file.getvalue()) / 1000:,.0f} KB: {times[0]:.1f} ms of processor "
            f"time; file alone {times[1]:.1f} ms",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["overhead", "workers", "endpoint", "ids", "memory"])
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    parts = {"overhead": overhead, "workers": workers, "endpoint": endpoint, "ids": ids}
    for name, part in parts.items():
        if args.what in (None, name):
            part(args.rounds)
    if args.what in (None, "memory"):
        memory()


if __name__ == "__main__":
    main()
