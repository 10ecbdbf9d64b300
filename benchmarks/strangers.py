"""What the checks of strangers' rows cost: a checkout before them against this one.

    python benchmarks/strangers.py --before /path/to/other/checkout [--runs 7] [--rows 10000] [--job rows demo]

Two jobs, each in a process of its own, before and after by turns:

- rows: ordinary rows with small pictures inside, through `collect_evidence` with an engine that answers at once, scores, a
  selection and a version in a folder;
- demo: `hf-rap demo` with a hundredth of the rows.

Counted is the time of processors, user and system, of the process and its children, so that others on the machine weigh little. Printed are both
medians and their ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

HERE = Path(__file__).parents[1]
JOB = """
import io, sys
from dataclasses import dataclass
from datasets import Dataset, Features, Image, Value, disable_progress_bars
from PIL import Image as Pictures
from hf_rap import Rollouts, collect_evidence, publish_to_folder, select_cognitive
from hf_rap.engines.base import Completion
from hf_rap.scorers import CDEScore, DifficultyScore
from hf_rap.scorers.base import add_scores

@dataclass(frozen=True)
class Engine:
    def describe(self):
        return {"model": "at once"}
    def complete(self, requests, sampling):
        replies = [Completion("4", 3, False), Completion("5", 3, False)]
        return [replies if request.images else replies[1:] * 2 for request in requests]

def picture(number):
    file = io.BytesIO()
    Pictures.new("RGB", (64, 64), (number % 256, number // 256 % 256, 0)).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": f"{number}.png"}

disable_progress_bars()
rows, out = int(sys.argv[1]), sys.argv[2]
text = Value("string")
columns = {
    "id": [str(number) for number in range(rows)],
    "image": [picture(number) for number in range(rows)],
    "question": [f"How many? {number}" for number in range(rows)],
    "answer": ["4"] * rows,
}
ds = Dataset.from_dict(columns, Features({"id": text, "image": Image(), "question": text, "answer": text}))
evidence = collect_evidence(ds, Rollouts(Engine(), attempts=2))
selection = select_cognitive(add_scores(evidence, CDEScore(), DifficultyScore()), min_cde=0.1, max_ace=None)
assert len(selection.selected) == rows, selection
publish_to_folder(selection, out + "/version")
"""


def seconds(checkout: Path, job: str, rows: int) -> float:
    """Processor time of one job with the package of a checkout."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPATH": str(checkout), "HF_HOME": f"{folder}/home", "HF_HUB_OFFLINE": "1"}
        demo = ["-m", "hf_rap", "demo", "--rows", str(max(20, rows // 100))]
        words = ["-c", JOB, str(rows), folder] if job == "rows" else demo
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *words], env=environment, cwd=folder, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--before", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--job", nargs="+", choices=("rows", "demo"), default=("rows", "demo"))
    options = parser.parse_args()
    for job in options.job:
        times: dict[str, list[float]] = {"before": [], "after": []}
        for _ in range(options.runs):
            for name, checkout in (("before", options.before), ("after", HERE)):
                times[name].append(seconds(checkout, job, options.rows))
        medians = {name: median(values) for name, values in times.items()}
        print(json.dumps({"job": job, **medians, "ratio": medians["after"] / medians["before"]}))


if __name__ == "__main__":
    main()
