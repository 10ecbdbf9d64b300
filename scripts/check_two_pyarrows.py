"""Publish the same rows from two environments with other versions of pyarrow, in both orders, to a Hub on this machine.

python scripts/check_two_pyarrows.py OTHER_PYTHON

Fails unless the one that comes second writes other bytes, and all the same finds its rows in the version of the first.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PUBLISH = """
import io, json, random, sys
import pyarrow
from datasets import Dataset, Features, Image, List, Value
from PIL import Image as Pictures
from hf_rap import publish, publish_to_folder, select_cognitive

def picture(number):
    file = io.BytesIO()
    Pictures.new("RGB", (8, 8), (number % 256, 0, 0)).save(file, "PNG")
    return file.getvalue() + random.Random(number).randbytes(3_000)

rows = range(2_000)
features = {"rap_id": Value("string"), "images": List(Image()), "problem": Value("string"), "answer": Value("string")}
features |= {"rap_cde": Value("float64"), "note": List(Value("float32"))}
ds = Dataset.from_dict(
    {
        "rap_id": [f"row-{n}" for n in rows],
        "images": [[{"bytes": picture(n // 2), "path": None}] if n % 5 else None for n in rows],
        "problem": [f"{'<image>' if n % 5 else ''}What is {n}?" for n in rows],
        "answer": [str(n % 7) for n in rows],
        "rap_cde": [random.Random(n).random() if n % 11 else None for n in rows],
        "note": [[n / 3, None, -0.0] for n in rows],
    },
    Features(features),
)
selection = select_cognitive(ds, min_cde=0.5, replace_easy=False)
here = publish_to_folder(selection, sys.argv[1])
release = publish(selection, "user/two", bump="minor")
data = {name: entry["sha256"] for name, entry in here.files.items() if name.endswith(".parquet")}
print(json.dumps([pyarrow.__version__, release.version, release.is_new, data]))
"""


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit("usage: python scripts/check_two_pyarrows.py OTHER_PYTHON")
    for pythons in ([sys.executable, sys.argv[1]], [sys.argv[1], sys.executable]):
        with tempfile.TemporaryDirectory() as work:
            first, second = publish_from(pythons, Path(work))
        print(f"pyarrow {first[0]}: version {first[1]}; pyarrow {second[0]}: the same, new: {second[2]}", flush=True)
        assert first[0] != second[0], "both environments have the same pyarrow"
        assert first[1:3] == ["1.0.0", True], first
        assert second[1:3] == ["1.0.0", False], second
        assert not set(first[3].values()) & set(second[3].values()), "both wrote the same bytes: this shows nothing"


def publish_from(pythons: list[str], work: Path) -> list[list[object]]:
    """What each environment says after publishing, one after the other."""
    server = subprocess.Popen(
        [sys.executable, ROOT / "tests" / "hub" / "fake_hub.py", work / "hub"], stdout=subprocess.PIPE, text=True
    )
    try:
        told = dict(re.findall(r"(HF_\w+)=(\S+)", server.stdout.readline()))
        environment = {**os.environ, **told, "HF_HUB_OFFLINE": "0", "PYTHONPATH": str(ROOT), "HF_HOME": f"{work}/home"}
        said = []
        for number, python in enumerate(pythons):
            words = [python, "-c", PUBLISH, str(work / f"version-{number}")]
            done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True, check=True)
            said.append(json.loads(done.stdout.splitlines()[-1]))
        return said
    finally:
        server.terminate()
        server.wait(30)


if __name__ == "__main__":
    main()
