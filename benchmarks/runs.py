"""What a run folder costs, what a second worker brings, and how full a server is kept.

    python benchmarks/runs.py overhead      # run folder against bare Dataset.map, same model, same rows
    python benchmarks/runs.py workers       # two processes against one, one torch thread each
    python benchmarks/runs.py endpoint      # a run over a server against a bare asyncio client, lognormal latencies
    python benchmarks/runs.py pictures      # memory of a run over a server, pictures of 12 megapixels
    python benchmarks/runs.py ids           # the id of a row without one: its picture is decoded
    python benchmarks/runs.py memory        # 100,000 rows with 40 KB images; a stub answers in place of a model
    python benchmarks/runs.py stream        # memory of a run over a stream of 20,000 such rows, and a second start
    python benchmarks/runs.py sizes         # start, listing and merge at 10,000, 30,000 and 100,000 rows with 40 KB images
    python benchmarks/runs.py growth        # the same at 10,000 to a million rows with stub images: what grows how
    python benchmarks/runs.py ranks         # work of 1, 2 and 4 processes that claim the rows of a run
    python benchmarks/runs.py               # all of them but growth

Both sides of a comparison run in turns on the same machine; figures are ratios, median and range.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_rap import Completion, EndpointEngine, Rollouts, collect_in_run, list_runs
from hf_rap.demo import demo_engine, make_planted

if TYPE_CHECKING:
    from collections.abc import Iterator


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


_SERVER = """
import asyncio, json, random, re, sys
BODY = json.dumps({"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": [{"index": 0,
    "finish_reason": "stop", "message": {"role": "assistant", "content": "\\\\boxed{3}"}}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 5, "total_tokens": 6}}).encode()
HEAD = b"HTTP/1.1 200 OK\\r\\ncontent-type: application/json\\r\\ncontent-length: %d\\r\\n\\r\\n" % len(BODY)
median = float(sys.argv[1])

async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            length = next((line for line in head.lower().split(b"\\r\\n") if line.startswith(b"content-length")), b":0")
            body = await reader.readexactly(int(length.split(b":")[1]))
            if b"thirty words" not in body:
                # What a request takes follows from its seed, so that both sides wait for the same.
                seed = re.search(rb'"seed": ?(\\d+)', body)
                await asyncio.sleep(random.Random(seed and int(seed[1])).lognormvariate(0, 1) * median if seed else 0)
            writer.write(HEAD + BODY)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


@contextmanager
def server_with(median: float) -> Iterator[str]:
    """A server in a process of its own whose latencies are lognormal (sigma 1), as many at once as are asked."""
    process = subprocess.Popen([sys.executable, "-c", _SERVER, str(median)], stdout=subprocess.PIPE, text=True)
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
    finally:
        process.kill()
        process.wait()


def bare_client(url: str, bodies: list[dict], concurrency: int) -> None:
    """What one would write in ten lines: the HTTP library of huggingface_hub, a semaphore, no retry, no check."""
    from hf_rap.rows.compat import http_library

    httpx = http_library()

    async def main() -> None:
        free = asyncio.Semaphore(concurrency)
        limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
        async with httpx.AsyncClient(timeout=None, limits=limits) as client:

            async def one(body: dict) -> None:
                async with free:
                    (await client.post(f"{url}/chat/completions", json=body)).json()

            await asyncio.gather(*map(one, bodies))

    asyncio.run(main())


def endpoint(rounds: int) -> None:
    """Requests per second of a whole run over a server, parts written, over those of a bare client that asks the same."""
    from hf_rap.runs.fill import Run
    from hf_rap.runs.index import batches

    for concurrency, rows in ((16, 160), (64, 640), (256, 2560)):
        ds = make_planted(rows)
        ratios = []
        for _ in range(rounds):
            with server_with(median=0.5) as url, tempfile.TemporaryDirectory() as folder:
                engine = EndpointEngine(url, model="m", concurrency=concurrency)
                rollouts = Rollouts(engine, attempts=1, max_new_tokens=16)
                (batch,) = batches(ds, ds.column_names, range(rows), rows)
                bodies = [
                    ask.body()
                    for row in rollouts.begin(batch)
                    for request, sampling in rollouts.requests(row).values()
                    for ask in engine.asks(request, sampling, together=False)
                ]
                collect_in_run(
                    ds.select(range(8)), rollouts, f"{folder}/warm"
                )  # imports what grades, asks what the server can
                with Run(ds, rollouts, f"{folder}/run") as run:
                    started = time.perf_counter()
                    run.fill()
                    streamed = time.perf_counter() - started
                started = time.perf_counter()
                bare_client(url, bodies, concurrency)
                ratios.append((time.perf_counter() - started) / streamed)
        report(f"run over a server / bare client, requests/s, {concurrency} in flight", ratios, "at least 0.97")


def pictures(rows: int = 256) -> None:
    """Peak memory of the client that asks about pictures of 12 megapixels, 32 in flight, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import runs; runs.pictures_child"
        subprocess.run([sys.executable, "-c", f"{code}_make({folder!r}, {rows})"], check=True)
        subprocess.run([sys.executable, "-c", f"{code}({folder!r})"], check=True)


def pictures_child_make(folder: str, rows: int) -> None:
    """So many rows on disk; eight pictures, each under many ids."""
    import io

    import datasets
    from PIL import Image, ImageFilter

    files = []
    for _ in range(8):
        noise = [Image.effect_noise((4000, 3000), 90).filter(ImageFilter.GaussianBlur(2)) for _ in range(3)]
        file = io.BytesIO()
        Image.merge("RGB", noise).save(file, "JPEG", quality=90)
        files.append(file.getvalue())
    features = datasets.Features(
        {
            "id": datasets.Value("string"),
            "image": datasets.Image(),
            "question": datasets.Value("string"),
            "answer": datasets.Value("string"),
        }
    )
    made = [
        {"id": str(row), "image": {"bytes": files[row % 8], "path": None}, "question": "How many?", "answer": "3"}
        for row in range(rows)
    ]
    datasets.Dataset.from_list(made, features=features).save_to_disk(f"{folder}/rows")


def pictures_child(folder: str) -> None:
    """Prints the peak of its memory."""
    import datasets

    with server_with(median=1.0) as url:
        ds = datasets.load_from_disk(f"{folder}/rows")
        Path("/proc/self/clear_refs").write_text("5")
        before = _own_memory()
        engine = EndpointEngine(url, model="m", concurrency=32)
        started = time.perf_counter()
        collect_in_run(ds, Rollouts(engine, attempts=1, max_new_tokens=16), f"{folder}/run")
        peak = _own_memory("VmHWM")
    print(
        f"{len(ds)} rows of 12 megapixels, 32 in flight: peak {peak / 1e6:.2f} GB in all, "
        f"{before / 1e6:.2f} GB before it began, {time.perf_counter() - started:.0f} s; wanted under 1.5 GB",
        flush=True,
    )


def _own_memory(what: str = "VmRSS") -> int:
    """Kilobytes of this process: resident now, or by another name of Linux."""
    return int(dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())[what].split()[0])


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


def memory_child_make(folder: str, rows: int, image_bytes: int = 40_000, first: int = 0) -> None:
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
    rng = Random(first)
    Path(folder).mkdir(exist_ok=True)
    with pq.ParquetWriter(f"{folder}/rows.parquet", schema, compression="none") as writer:
        for start in range(0, rows, 1000):
            made = [
                {
                    # A small PNG with 40 KB of noise behind its end, which decoders skip.
                    "images": [{"bytes": small.getvalue() + rng.randbytes(image_bytes), "path": None}],
                    "problem": f"<image>How many? ({first + number})",
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


def stream(rows: int = 20_000, shards: int = 8) -> None:
    """Peak memory of a run over a stream of shards, and seconds of a second start, each in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import runs; runs."
        for number in range(shards):
            made = f"memory_child_make('{folder}/{number}', {rows // shards}, first={number * rows})"
            subprocess.run([sys.executable, "-c", f"{code}{made}"], check=True)
        for what in ("collected", "started again"):
            subprocess.run([sys.executable, "-c", f"{code}stream_child({folder!r}, {what!r})"], check=True)


def stream_child(folder: str, what: str) -> None:
    """Collects what a folder of shards has, a stub in place of the model."""
    import datasets

    names = sorted(map(str, Path(folder).glob("*/rows.parquet")))
    rows = datasets.load_dataset("parquet", data_files=names, split="train", streaming=True)
    started, spent = time.perf_counter(), time.process_time()
    collect_in_run(rows, Rollouts(FixedText(), attempts=2), f"{folder}/run")
    peak = _own_memory("VmHWM")
    print(
        f"stream of {len(names)} shards {what}: peak {peak / 1e6:.2f} GB in all, {time.perf_counter() - started:.0f} s, of it "
        f"{time.process_time() - spent:.0f} s of processor time",
        flush=True,
    )


IMAGE_BYTES = 40_000
# What the same took before rows and parts were looked up in what a run keeps of them, by rows: processor seconds until it is
# ready to ask, processor seconds of a listing, GB of memory at most in a merge.
BEFORE = {10_000: (1.9, 0.35, 0.27), 30_000: (6.5, 1.2, 0.41), 100_000: (22.3, 6.6, 0.86)}


def sizes(counts: tuple[int, ...] = (10_000, 30_000, 100_000)) -> None:
    """A table of what a start, a listing and a merge take, beside what they took before."""
    print("rows      ready to ask    before   listing   before    merge, peak   before   merge", flush=True)
    for rows in counts:
        told = _measured(rows, IMAGE_BYTES)
        start, listing, merge = BEFORE[rows]
        print(
            f"{rows:>9,} {told['start']:>8.2f} CPU s {start:>7.1f} s {told['listing']:>7.2f} s {listing:>6.2f} s "
            f"{told['merge_gb']:>9.2f} GB {merge:>7.2f} GB {told['merge']:>6.1f} CPU s",
            flush=True,
        )


def growth(counts: tuple[int, ...] = (10_000, 30_000, 100_000, 1_000_000)) -> None:
    """What grows how, by measured sizes with stub images; and what the slope of the last two makes of ten million rows."""
    measured = []
    for rows in counts:
        measured.append(_measured(rows, 0))
        print(f"{rows:,}: {json.dumps(measured[-1])}", flush=True)
    few, many = measured[-2:]
    print(
        "what".ljust(32) + "".join(f"{rows:>12,}" for rows in counts) + "  per 1,000 rows   at 10,000,000", flush=True
    )
    for name, (what, unit) in GROWS.items():
        slope = (many[name] - few[name]) / (counts[-1] - counts[-2])
        at_ten = many[name] + slope * (10_000_000 - counts[-1])
        values = "".join(f"{told[name]:>12,.2f}" for told in measured)
        print(f"{what:<32}{values} {slope * 1000:>15,.4f} {at_ten:>14,.0f} {unit}", flush=True)


GROWS = {
    "first": ("first start, reads every row", "CPU s"),
    "start": ("later start, until ready to ask", "CPU s"),
    "start_mb": ("memory of its own, ready to ask", "MB"),
    "listing": ("listing", "CPU s"),
    "merge": ("merge", "CPU s"),
    "merge_mb": ("memory of its own in a merge", "MB"),
    "files": ("files in the run", ""),
    "kept_mb": ("what is kept of rows and parts", "MB"),
}


def _measured(rows: int, image_bytes: int) -> dict[str, float]:
    """Each step in a process of its own, over a run of which nothing is missing."""
    told: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for step in ("make", "start", "listing", "merge"):
            code = (
                f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import runs; "
                f"runs.size_child({step!r}, {folder!r}, {rows}, {image_bytes})"
            )
            done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True)
            told |= json.loads(done.stdout.splitlines()[-1])
    return told


def size_child(step: str, folder: str, rows: int, image_bytes: int) -> None:
    """One step over a dataset and its run; prints what it took as JSON."""
    import datasets

    from hf_rap.runs.fill import Run

    datasets.disable_progress_bars()
    if step == "make":
        memory_child_make(folder, rows, image_bytes=image_bytes)
    ds = datasets.Dataset.from_parquet(f"{folder}/rows.parquet", cache_dir=f"{folder}/cache")
    rollouts = Rollouts(FixedText(), attempts=2)
    url = f"{folder}/run"
    if step == "listing":
        print(json.dumps({"listing": _processor(lambda: list_runs(url))[0]}), flush=True)
        return
    run = Run(ds, rollouts, url)
    opened, _ = _processor(run.__enter__)
    try:
        if step == "make":
            first = opened
            _fill_with_copies(run)
            print(json.dumps({"first": first}), flush=True)
        elif step == "start":
            missing, _ = _processor(lambda: run.tasks(range(len(run.rows))))
            files = [path for path in Path(url).rglob("*") if path.is_file()]
            kept = sum(path.stat().st_size for path in files if path.parent.name == "index") / 1e6
            told = {
                "start": opened + missing,
                "start_mb": _own_memory("RssAnon") / 1000,
                "files": len(files),
                "kept_mb": kept,
            }
            print(json.dumps(told), flush=True)
        else:
            Path("/proc/self/clear_refs").write_text("5")
            own = [0]
            threading.Thread(target=_watch_own, args=[own], daemon=True).start()
            seconds, _ = _processor(run.read)
            told = {"merge": seconds, "merge_gb": _own_memory("VmHWM") / 1e6, "merge_mb": own[0] / 1000}
            print(json.dumps(told), flush=True)
    finally:
        run.__exit__()


def _fill_with_copies(run: Any) -> None:
    """Parts for all rows, whose evidence is that of the first 64: what a model says does not matter here."""
    from hf_rap.runs.fill import make_part
    from hf_rap.runs.index import batches
    from hf_rap.runs.task import Task

    (batch,) = batches(run.ds, run.columns, range(64), 64)
    part, _ = make_part(run.collector, batch, run.rows[:64], 0, 2)
    for start in range(0, len(run.rows), 64):
        rows = run.rows[start : start + 64]
        copied = part.slice(0, len(rows))
        for name, values in (("run_key", [row.key for row in rows]), ("run_id", [row.id for row in rows])):
            place = copied.schema.get_field_index(name)
            copied = copied.set_column(place, copied.schema.field(place), [values])
        run.write(Task([], rows, 0, 2), copied)


def _watch_own(peak: list[int]) -> None:
    while True:
        peak[0] = max(peak[0], _own_memory("RssAnon"))
        time.sleep(0.02)


def _processor(call: Any) -> tuple[float, Any]:
    """Processor seconds of a call, and what it gives."""
    started = time.process_time()
    given = call()
    return time.process_time() - started, given


_RANK = """
import sys, time
sys.path.insert(0, sys.argv[1])
import runs
from hf_rap import Rollouts
from hf_rap.demo import make_planted
from hf_rap.runs.fill import Run
rank, world, url = int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
with Run(make_planted(2048), Rollouts(runs.Slow(), attempts=2), url, rank=rank, world=world, rows_per_part=16) as run:
    print("ready", flush=True)
    sys.stdin.readline()
    started, worked = time.monotonic(), time.process_time()
    done = run.fill().done
    print(done, time.monotonic() - started, time.process_time() - worked, flush=True)
"""


@dataclass(frozen=True)
class Slow:
    """A stub whose replies take a while in which the processor is free, as those of a GPU."""

    seconds: float = 0.01

    def complete(self, requests, sampling):
        time.sleep(self.seconds * len(requests))
        return [[Completion("\\boxed{3}", 5, truncated=False)] * request.attempts for request in requests]

    def describe(self):
        return {"engine": "stub", "model": "slow"}


def ranks() -> None:
    """Rows that each of several processes did, and the processor time that a row took in all of them together."""
    for world in (1, 2, 4):
        with tempfile.TemporaryDirectory() as folder:
            here = str(Path(__file__).parent)
            children = [
                subprocess.Popen(
                    [sys.executable, "-c", _RANK, here, str(rank), str(world), f"{folder}/run"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                )
                for rank in range(world)
            ]
            for child in children:
                child.stdout.readline()
            for child in children:
                child.stdin.write("go\n")
                child.stdin.flush()
            told = [list(map(float, child.stdout.readline().split())) for child in children]
            for child in children:
                child.wait()
        done = [int(rows) for rows, _, _ in told]
        asked = 2 * Slow().seconds * sum(done)
        waited = sum(seconds for _, seconds, _ in told)
        work = sum(worked for _, _, worked in told) / sum(done)
        print(
            f"{world} processes: {sum(done):,} rows done ({min(done):,} to {max(done):,} each), {work * 1000:.2f} ms of processor "
            f"time a row, {asked / waited:.2f} of their time with the engine; the last ended {max(told[n][1] for n in range(world)):.1f} s "
            f"and the first {min(told[n][1] for n in range(world)):.1f} s after the start",
            flush=True,
        )


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


WHAT = ["overhead", "workers", "endpoint", "pictures", "ids", "memory", "stream", "sizes", "growth", "ranks"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=WHAT)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    parts = {"overhead": overhead, "workers": workers, "endpoint": endpoint, "ids": ids}
    for name, part in parts.items():
        if args.what in (None, name):
            part(args.rounds)
    if args.what in (None, "pictures"):
        pictures()
    if args.what in (None, "memory"):
        memory()
    if args.what in (None, "stream"):
        stream()
    if args.what in (None, "sizes"):
        sizes()
    if args.what in (None, "ranks"):
        ranks()
    if args.what == "growth":
        growth()


if __name__ == "__main__":
    main()
