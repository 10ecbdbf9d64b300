"""What publishing a large dataset takes: extra memory and disk, against a Hub on this machine.

python benchmarks/publishing.py [GIGABYTES]    0 measures only what a changed version costs, see changed_versions.py
"""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROW_BYTES = 500_000  # a photo
SERVER = Path(__file__).parents[1] / "tests" / "hub" / "fake_hub.py"


def main() -> None:
    gigabytes = float(sys.argv[1]) if len(sys.argv) > 1 else 5
    import changed_versions

    changed_versions.main()
    if gigabytes:
        measure_memory(gigabytes)


def measure_memory(gigabytes: float) -> None:
    with tempfile.TemporaryDirectory() as work:
        hub = subprocess.Popen(
            [sys.executable, str(SERVER), f"{work}/hub"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        try:
            os.environ.update(re.findall(r"(HF_\w+)=(\S+)", hub.stdout.readline()))
            os.environ["HF_HOME"] = f"{work}/home"
            Path(f"{work}/tmp").mkdir()
            tempfile.tempdir = f"{work}/tmp"
            measure(gigabytes, Path(work))
        finally:
            hub.terminate()


def measure(gigabytes: float, work: Path) -> None:
    from datasets import Dataset, Features, Image, List, Value, disable_progress_bars

    from hf_rap import publish, select_cognitive

    disable_progress_bars()
    rows = int(gigabytes * 1e9 / ROW_BYTES)

    def generate():
        for number in range(rows):
            yield {
                "rap_id": str(number),
                "images": [{"bytes": noise_png(number), "path": None}],
                "problem": "<image>?",
                "answer": "1",
                "rap_cde": float(number % 10 == 0),
            }

    features = Features(
        {
            "rap_id": Value("string"),
            "images": List(Image()),
            "problem": Value("string"),
            "answer": Value("string"),
            "rap_cde": Value("float32"),
        }
    )
    ds = Dataset.from_generator(generate, features=features, cache_dir=str(work / "data"))
    selection = select_cognitive(ds, replace_easy=False)
    stored = sum(path.stat().st_size for path in (work / "data").rglob("*.arrow"))
    print(f"{rows} rows, {stored / 1e9:.2f} GB; {len(selection.selected)} kept", flush=True)
    # So that libraries are loaded before anything is measured.
    publish(dataclasses.replace(selection, scored=selection.scored.select(range(20))), "user/warm-up", "1.0.0")
    watch = Watch(work / "tmp")
    started = time.perf_counter()
    publish(selection, "user/large", "1.0.0")
    seconds = time.perf_counter() - started
    watch.stop()
    print(f"first: {seconds:.0f} s, {watch.memory / 1e6:.0f} MB more memory, {watch.disk / 1e6:.0f} MB on disk at most")
    started = time.perf_counter()
    publish(selection, "user/large", "1.0.0")
    print(f"again, a no-op: {time.perf_counter() - started:.0f} s")


def noise_png(seed: int) -> bytes:
    """A small picture with noise behind its end, which readers ignore: as large as a photo, and not compressible."""
    import io
    from random import Random

    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (64, 64), (seed % 256, 0, 0)).save(file, "PNG")
    return file.getvalue() + Random(seed).randbytes(ROW_BYTES)


class Watch:
    """The most anonymous memory of this process (without mapped files) and the most bytes in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.running = folder, True
        self.before, self.memory, self.disk = anonymous(), 0, 0
        self.thread = threading.Thread(target=self._look, daemon=True)
        self.thread.start()

    def _look(self) -> None:
        while self.running:
            self.memory = max(self.memory, anonymous() - self.before)
            sizes = []
            for path in self.folder.rglob("*.parquet"):
                try:
                    sizes.append(path.stat().st_size)
                except FileNotFoundError:
                    continue
            self.disk = max(self.disk, sum(sizes))
            time.sleep(0.05)

    def stop(self) -> None:
        """No more looking."""
        self.running = False
        self.thread.join()


def anonymous() -> int:
    found = re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 if found else 0


if __name__ == "__main__":
    main()
