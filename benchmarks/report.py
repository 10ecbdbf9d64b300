"""How large a page of many rows is, when its first picture is there, and how long a move of a threshold takes.

    python benchmarks/report.py [--rows 50000] [--moves 50] [--folder FOLDER]

Rows are made up: pictures of 320 x 240 with lines, five replies per arm of about 400 characters. The browser is the system's
Chromium, driven by Playwright (scripts/requirements/browser.txt). A move is from the event to the frame in which
funnel, reasons, histograms and grid are drawn.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from io import BytesIO
from pathlib import Path

import numpy as np
from datasets import Dataset
from PIL import Image, ImageDraw

from hf_rap import report, select_cognitive

PICTURES = 500  # different ones
WORDS = [
    "the",
    "angle",
    "at",
    "the",
    "centre",
    "is",
    "twice",
    "the",
    "angle",
    "at",
    "the",
    "circle",
    "so",
    "we",
    "add",
    "both",
    "sides",
    "and",
    "divide",
    "by",
    "the",
    "length",
]


def picture(draw: np.random.Generator) -> bytes:
    image = Image.new("RGB", (320, 240), "white")
    for _ in range(12):
        ImageDraw.Draw(image).line([tuple(map(int, draw.integers(0, 320, 2))) for _ in range(3)], fill="black", width=2)
    file = BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def rows(count: int) -> Dataset:
    draw = np.random.default_rng(0)
    pictures = [picture(draw) for _ in range(PICTURES)]

    def reply(answer: int) -> str:
        return f"<think>{' '.join(draw.choice(WORDS, 70))}</think> \\boxed{{{answer}}}"

    replies = [reply(place % 10) for place in range(2_000)]

    def made():
        for place in range(count):
            right, guessed = draw.integers(0, 6, 2).tolist()
            image, text = ([float(number < share) for number in range(5)] for share in (right, guessed))
            yield {
                "id": f"row-{place}",
                "problem": f"<image>What is the angle number {place} in this drawing, in degrees?",
                "images": [{"bytes": pictures[place % PICTURES], "path": None}],
                "answer": str(place % 10),
                "source": f"source {place % 7}",
                "rap_id": f"row-{place}",
                "rap_image_rewards": image,
                "rap_text_rewards": text,
                "rap_image_responses": [replies[(7 * place + number) % 2_000] for number in range(5)],
                "rap_text_responses": [replies[(11 * place + number) % 2_000] for number in range(5)],
                "rap_image_tokens": [90] * 5,
                "rap_text_tokens": [80] * 5,
                "rap_cde": (right - guessed) / 5,
                "rap_difficulty": (5 - right) / 5,
                "rap_ace": float(draw.random()),
            }

    return Dataset.from_generator(made, cache_dir=tempfile.mkdtemp())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--moves", type=int, default=50)
    parser.add_argument("--folder", type=Path, help="Where the page is kept; default: nowhere.")
    args = parser.parse_args()
    from playwright.sync_api import sync_playwright

    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    selection = select_cognitive(rows(args.rows), max_ace=0.8)
    with tempfile.TemporaryDirectory() as work, sync_playwright() as started:
        target = (args.folder or Path(work)) / f"rows-{args.rows}"
        began = time.perf_counter()
        page_of = report(selection, target, title=f"{args.rows:,} rows")
        written = time.perf_counter() - began
        files = [path for path in page_of.rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files)
        at_once = (page_of / "index.html").stat().st_size
        opened = started.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = opened.new_page(viewport={"width": 1600, "height": 1000})
        began = time.perf_counter()
        page.goto(f"file://{page_of / 'index.html'}")
        page.wait_for_selector(".cell img")
        first = time.perf_counter() - began
        page.wait_for_selector("#grid[data-ready]", timeout=300_000)
        ready = time.perf_counter() - began
        took = page.evaluate(
            """async (moves) => {
              const field = document.getElementById("handle-min_cde"), took = [];
              for (let move = 0; move < moves; move++) {
                const began = performance.now();
                field.value = (((move * 37) % 200) / 100 - 1).toFixed(2);
                field.dispatchEvent(new Event("change"));
                await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
                took.push(performance.now() - began);
              }
              return took;
            }""",
            args.moves,
        )
        opened.close()
    print(f"rows                       {args.rows:,}")
    print(f"written in                 {written:.0f} s ({1000 * written / args.rows:.1f} ms a row)")
    print(f"size                       {size / 1e6:.0f} MB in {len(files):,} files")
    print(f"read before the first row  {at_once / 1e6:.1f} MB")
    print(f"first picture              {first:.2f} s")
    print(f"all texts searchable       {ready:.1f} s")
    print(
        f"move of a threshold        median {statistics.median(took):.0f} ms, worst of {args.moves} {max(took):.0f} ms"
    )


if __name__ == "__main__":
    main()
