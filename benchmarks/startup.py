"""How long the package and its command line take to start.

    python benchmarks/startup.py [--rounds 9]

Each start is a process of its own; those compared take turns on the same machine. A bare interpreter starts in every
figure, and is printed beside them.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

STARTS = {
    "a bare interpreter": ["-c", "pass"],
    "import datasets": ["-c", "import datasets"],
    "import hf_rap": ["-c", "import hf_rap"],
    "hf-rap --help": ["-m", "hf_rap", "--help"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    seconds: dict[str, list[float]] = {name: [] for name in STARTS}
    for count in range(rounds + 1):
        for name, words in STARTS.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
            if count:  # the first round fills the disk cache
                seconds[name].append(time.perf_counter() - began)
    for name, each in seconds.items():
        print(f"{name}: {statistics.median(each):.3f} s (median of {rounds}, {min(each):.3f} to {max(each):.3f})")
    ratios = [ours / theirs for ours, theirs in zip(seconds["import hf_rap"], seconds["import datasets"], strict=True)]
    median = statistics.median(ratios)
    print(f"import hf_rap / import datasets: {median:.3f} ({min(ratios):.3f} to {max(ratios):.3f}); wanted 0.12")
    print(f"hf-rap --help: {statistics.median(seconds['hf-rap --help']):.2f} s; wanted 0.25")


if __name__ == "__main__":
    main()
