"""Process-reward data: how fast a corpus becomes a selected subset, and whether the subset teaches as much.

    python benchmarks/bis.py speed [--rollouts 180000] [--rounds 3]   against a plain loop over json.loads, side by side
    python benchmarks/bis.py whole [--rollouts 565000]                time and peak memory of one go, as VisualPRM400K-v1.1
    python benchmarks/bis.py learning                                 subsets by BIS against random ones, five seeds

speed and whole make JSONL files in the layout of VisualPRM400K, about 830 bytes a rollout. Each round
runs in a process of its own and reads from JSONL to a written JSONL subset; nothing is cached.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SOURCES = ("ai2d_train", "chartqa_train", "geometry3k_en")
WORDS = [
    "the",
    "angle",
    "of",
    "a",
    "triangle",
    "is",
    "equal",
    "to",
    "half",
    "side",
    "so",
    "we",
    "get",
    "from",
    "figure",
    "and",
    "therefore",
    "area",
]


def make_files(folder: Path, rollouts: int, *, seed: int = 0) -> int:
    """Rollouts spread over three files; their size in bytes."""
    rng = random.Random(seed)
    # Sentences are drawn once: what is measured reads them, it does not look at what they say.
    sentences = [" ".join(rng.choices(WORDS, k=rng.randint(8, 20))) for _ in range(5000)]
    size = 0
    for file_number, source in enumerate(SOURCES):
        with (folder / f"{source}.jsonl").open("w", encoding="utf-8") as file:
            for number in range(file_number, rollouts, len(SOURCES)):
                quality = rng.random()
                steps = []
                for _ in range(rng.randint(2, 6)):
                    correct = sum(rng.random() < quality for _ in range(16)) if rng.random() < 0.8 else 0
                    steps.append(
                        {
                            "step": rng.choice(sentences),
                            "score": correct / 16,
                            "num_mc_correct": correct,
                            "num_mc_total": 16,
                        }
                    )
                question = rng.choice(sentences)
                record = {
                    "image": f"{source}/{number // 4}.png",
                    "question": f"<image>\n{question}?",
                    "question_orig": f"{question}?",
                    "answer": rng.choice("ABCD"),
                    "response": "",
                    "steps_with_score": steps,
                }
                file.write(json.dumps(record) + "\n")
        size += (folder / f"{source}.jsonl").stat().st_size
    return size


def plain(folder: Path, out: Path, *, alpha: float, ratio: float) -> int:
    """What a user would write: every line parsed once, scored, ranked, and the best written."""
    written = 0
    with out.open("w", encoding="utf-8") as file:
        for path in sorted(folder.glob("*.jsonl")):
            records, ranked = [], []
            with path.open(encoding="utf-8") as lines:
                for line in lines:
                    record = json.loads(line)
                    scores = [step["score"] for step in record["steps_with_score"]]
                    positive = [score for score in scores if score > 0]
                    p = len(positive) / len(scores)
                    reliability = sum(positive) / len(positive) if positive else 1.0
                    ranked.append((-(p * (1.0 - p) + alpha) * reliability, len(records)))
                    records.append(record)
            ranked.sort()
            for index in sorted(index for _, index in ranked[: max(1, int(len(ranked) * ratio))]):
                record = records[index]
                process = "\n\n".join(step["step"].strip() + "<prm>" for step in record["steps_with_score"])
                labels = [1.0 if step["score"] > 0 else 0.0 for step in record["steps_with_score"]]
                human = {"from": "human", "value": f"Question: {record['question_orig'].strip()}\nProcess: {process}"}
                made = {"image": record["image"], "conversations": [human, {"from": "gpt", "value": labels}]}
                file.write(json.dumps(made, ensure_ascii=False) + "\n")
                written += 1
    return written


def ours(folder: Path, out: Path, *, ratio: float) -> int:
    """The same with hf_rap, which also checks every line and keeps every score."""
    from hf_rap import add_scores, bis_score, load_process_rewards, select_top
    from hf_rap.exports.internvl_prm import export_internvl_prm

    scored = add_scores(load_process_rewards(folder), bis_score)
    return export_internvl_prm(select_top(scored, ratio=ratio, alpha=0.2).selected, out)


def one_side(side: str, folder: Path, out: Path) -> None:
    """One timed run in this process; prints seconds, peak memory in MB and rows as JSON."""
    if side == "hf_rap":
        import datasets

        datasets.disable_progress_bars()

    def go(annotations: Path) -> int:
        return ours(annotations, out, ratio=0.1) if side == "hf_rap" else plain(annotations, out, alpha=0.2, ratio=0.1)

    with tempfile.TemporaryDirectory() as small:  # libraries load once per session, not once per corpus
        make_files(Path(small), 30)
        go(Path(small))
    started, worked = time.perf_counter(), time.process_time()
    rows = go(folder)
    seconds, cpu = time.perf_counter() - started, time.process_time() - worked
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "cpu": cpu, "peak": peak, "rows": rows}))


def measured(side: str, folder: Path, out: Path) -> dict[str, float]:
    with tempfile.TemporaryDirectory(dir=folder.parent) as cache:
        done = subprocess.run(
            [sys.executable, __file__, "one", side, str(folder), str(out)],
            env={**os.environ, "HF_DATASETS_CACHE": cache},
            capture_output=True,
            text=True,
            check=True,
        )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def speed(rollouts: int, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "annotations"
        folder.mkdir()
        size = make_files(folder, rollouts)
        print(f"{rollouts:,} rollouts in {len(SOURCES)} files, {size / 1e6:.0f} MB; 10 % per source, alpha 0.2")
        outs = {side: Path(place) / f"{side}.jsonl" for side in ("plain loop", "hf_rap")}
        runs: dict[str, list[dict[str, float]]] = {side: [] for side in outs}
        for _ in range(rounds):
            for side, out in outs.items():
                runs[side].append(measured(side, folder, out))
        same = outs["plain loop"].read_bytes() == outs["hf_rap"].read_bytes()
        for side, found in runs.items():
            seconds, cpu, peak = (statistics.median(one[name] for one in found) for name in ("seconds", "cpu", "peak"))
            print(
                f"{side:>10}: {seconds:6.2f} s, {cpu:5.2f} s of processor, peak memory {peak:5.0f} MB (medians of {rounds})"
            )
        for what in ("seconds", "cpu"):
            ratios = [old[what] / new[what] for old, new in zip(*runs.values(), strict=True)]
            shown = f"{statistics.median(ratios):.1f}x (from {min(ratios):.1f}x to {max(ratios):.1f}x)"
            print(f"{'ratio':>10}: {shown}{' of processor time' if what == 'cpu' else ''}")
        print(f"the two files are {'equal byte for byte' if same else 'NOT EQUAL'}: {runs['hf_rap'][0]['rows']:,} rows")


def whole(rollouts: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "annotations"
        folder.mkdir()
        size = make_files(folder, rollouts)
        found = measured("hf_rap", folder, Path(place) / "train.jsonl")
        print(
            f"{rollouts:,} rollouts, {size / 1e6:.0f} MB: {found['rows']:,} selected rows after {found['seconds']:.1f} s, "
            f"peak memory {found['peak']:.0f} MB"
        )


def learning() -> None:
    from bis_learning import main as study  # beside this file

    study()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["speed", "whole", "learning", "one"])
    parser.add_argument("rest", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--rollouts", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    if args.what == "one":
        one_side(args.rest[0], Path(args.rest[1]), Path(args.rest[2]))
    elif args.what == "speed":
        speed(args.rollouts or 180_000, args.rounds)
    elif args.what == "whole":
        whole(args.rollouts or 565_000)
    else:
        learning()


if __name__ == "__main__":
    main()
