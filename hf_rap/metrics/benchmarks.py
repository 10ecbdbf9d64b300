"""Accuracies from the files that VLMEvalKit and lmms-eval write, in percent.

VLMEvalKit (commit e8e78f0): MODEL/T20261127-101500/MODEL_MathVista_MINI_gpt-4o-mini_score.csv and ..._MMStar_acc.csv, with links
to the newest in MODEL/. lmms-eval (commit 75571cf): MODEL/20261127_101500_results.json. And of process reward models what the
script of arXiv 2602.04145 writes: CHECKPOINT/eval_visualprocessbench/visualprocessbench_241127101500.json.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_rap.errors import RapError, SourceError, first_line
from hf_rap.options import is_number, read_json

from .process_bench import read_step_scores
from .steps import best_threshold, over_sources, read_steps, rows_held_out, step_f1_of_sources

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

# As they are called here -> how the names of data sets and tasks begin, in small letters and digits.
BENCHMARKS: dict[str, tuple[str, ...]] = {
    "MathVista": ("mathvista",),
    "MMStar": ("mmstar",),
    "MathVerse": ("mathverse",),
    "WeMath": ("wemath",),
    "MMVet": ("mmvet",),
    "LogicVista": ("logicvista",),
    "MathVision": ("mathvision",),
    "DynaMath": ("dynamath",),
    "Geometry3K": ("geometry3k",),
}
# Metrics of lmms-eval that give a share, and not percent.
_SHARES = {("MMStar", "average"), ("MathVerse", "gpt_eval_score")}
_METRICS = (
    "average",
    "gpt_eval_score",
    "llm_as_judge_eval",
    "mathvision_standard_eval",
    "accuracy",
    "exact_match",
    "acc",
)
_ENDING = re.compile(r"_(score|acc)\.csv$")


@dataclass(frozen=True)
class BenchmarkResult:
    """One accuracy of one model.

    Args:
        model: as its folder is called.
        benchmark: one of `BENCHMARKS`, with the part behind it where there are several.
        score: in percent.
        judge: what read the answers, where the name of the file says it.
        seed: of the run, where the file says it.
        hours: that the evaluation took, where the file says it.
        file: where it stands.
    """

    model: str
    benchmark: str
    score: float
    file: Path
    judge: str | None = None
    seed: int | None = None
    hours: float | None = None


class Results(NamedTuple):
    """What was read, and the files that were not, with why."""

    read: tuple[BenchmarkResult, ...]
    unread: tuple[tuple[Path, str], ...]


def read_results(folder: str | os.PathLike[str]) -> Results:
    """All results below a folder.

    Raises:
        SourceError: there is no such folder, or no file of either in it.
    """
    top = Path(folder)
    if not top.is_dir():
        raise SourceError(f"There is no folder {top}: give the one that VLMEvalKit or lmms-eval has written to.")
    read: list[BenchmarkResult] = []
    unread: list[tuple[Path, str]] = []
    seen: set[tuple[str, bytes]] = set()
    for file in sorted(top.rglob("*")):
        reader = _reader(file)
        if reader is None or not file.is_file():
            continue
        # VLMEvalKit links the newest results beside its runs, and copies those that it uses again.
        content = (file.name, blake2b(file.read_bytes()).digest())
        if content in seen:
            continue
        seen.add(content)
        try:
            read += list(reader(file))
        except (RapError, ValueError, KeyError, TypeError, OSError, csv.Error) as error:
            unread.append((file, first_line(error)))
    if not read and not unread:
        raise SourceError(
            f"{top} holds no results: neither ..._score.csv or ..._acc.csv of VLMEvalKit nor ..._results.json of lmms-eval, nor visualprocessbench_*.json."
        )
    return Results(tuple(read), tuple(unread))


def _reader(file: Path) -> Any:
    if _ENDING.search(file.name):
        return _vlmevalkit
    if file.name.startswith("visualprocessbench_") and file.suffix == ".json":
        return _process_bench
    return _lmms_eval if file.name.endswith("_results.json") else None


def _process_bench(file: Path) -> Iterator[BenchmarkResult]:
    """F1 of the steps over sources and of each, in percent, the threshold found on half of the rows, which are in no figure."""
    read = read_step_scores(file)
    steps = read_steps(read["predictions"], read["references"], read["sources"])
    apart = rows_held_out(len(read["predictions"]), 0.5, 0)[steps.row]
    figures = step_f1_of_sources(steps.of(~apart), best_threshold(steps.of(apart)))
    whole = over_sources(figures)
    if whole is None:
        raise ValueError("it has no step that is right or wrong")
    # The script writes to a folder of its own below that of the checkpoint.
    model = file.parent.parent.name if file.parent.name.startswith("eval") else file.parent.name
    for part, score in (("", whole), *((f", {name}", each.macro) for name, each in figures.items())):
        yield BenchmarkResult(model, f"VisualProcessBench{part}", 100 * score, file)


def _vlmevalkit(file: Path) -> Iterator[BenchmarkResult]:
    """One accuracy, or one for each version of the questions of MathVerse."""
    file_of = file.resolve()
    model = _model_of(file_of) or _model_of(file)
    if model is None:
        raise ValueError("its name does not begin with that of a folder above it, so that the model is not known")
    rest = _ENDING.sub("", file.name).removeprefix(model).lstrip("_")
    benchmark, judge = _split(rest)
    if benchmark is None:
        raise ValueError(f"{rest!r} is none of the benchmarks that are known here: {', '.join(BENCHMARKS)}")
    with file.open(encoding="utf-8-sig", newline="") as opened:
        rows = list(csv.DictReader(opened))
    if not rows:
        raise ValueError("it has no rows")
    for part, score in _scores(rows, shares=file.name.endswith("_acc.csv")):
        yield BenchmarkResult(model, f"{benchmark}, {part}" if part else benchmark, score, file, judge)


def _scores(rows: list[dict[str, str]], *, shares: bool) -> Iterator[tuple[str, float]]:
    columns = rows[0].keys()
    if "Score (Strict)" in columns:  # WeMath: "36.19%"
        yield "", _percent(rows[0]["Score (Strict)"])
    elif "acc" in columns:  # a line per task or skill, one of them "Overall"
        names = [next(iter(row.values())) for row in rows]
        if "Overall" not in names:
            raise ValueError("none of its lines is called Overall")
        yield "", _number(rows[names.index("Overall")]["acc"])
    elif "Overall" in columns:
        # Of multiple choice, which has a line per split, the `_acc.csv` is a share of 1.
        factor = 100.0 if shares and "split" in columns else 1.0
        splits = [row.get("split") or "" for row in rows]
        for split, row in zip(splits, rows, strict=True):
            yield (split if len(rows) > 1 else ""), factor * _number(row["Overall"])
    else:
        raise ValueError(f"no column of an accuracy among: {', '.join(columns)}")


def _lmms_eval(file: Path) -> Iterator[BenchmarkResult]:
    content = read_json(file.read_bytes(), any_number=True)
    results, config = content["results"], content.get("config") or {}
    model = content.get("model_name_sanitized") or content.get("model_name") or file.parent.name
    seconds = content.get("total_evaluation_time_seconds")
    any_known = False
    for task, values in results.items():
        benchmark, _ = _split(task)
        if benchmark is None:
            continue
        any_known = True
        metric, score = _metric(values)
        yield BenchmarkResult(
            str(model).replace("/", "__"),
            _named(benchmark, task),
            100 * score if (benchmark, metric) in _SHARES else score,
            file,
            None,
            config.get("random_seed"),
            None if seconds is None else float(seconds) / 3600,
        )
    if not any_known:
        raise ValueError(f"none of its tasks is a benchmark that is known here: {', '.join(results)}")


def _metric(values: Mapping[str, Any]) -> tuple[str, float]:
    """The metric that says how many are right: they are called "average,none" and the like."""
    numbers = {
        name.partition(",")[0]: float(value)
        for name, value in values.items()
        if is_number(value) and "stderr" not in name.partition(",")[0]
    }
    for name in _METRICS:
        if name in numbers:
            return name, numbers[name]
    raise ValueError(f"none of its metrics says how many are right: {', '.join(values)}")


def _named(benchmark: str, task: str) -> str:
    """MathVerse has a task for each version of its questions."""
    part = re.sub(r".*testmini_?", "", task) if benchmark == "MathVerse" else ""
    return f"{benchmark}, {part.replace('_', ' ').title()}" if part and part != task else benchmark


def _split(rest: str) -> tuple[str | None, str | None]:
    """The benchmark, and the judge behind it, of `MathVista_MINI_gpt-4o-mini`."""
    plain = re.sub(r"[^a-z0-9]", "", rest.lower())
    benchmark = next((name for name, starts in BENCHMARKS.items() if plain.startswith(starts)), None)
    judge = re.search(r"_((?:gpt|chatgpt|qwen|deepseek|exact|claude)[\w.-]*)$", rest, re.IGNORECASE)
    return benchmark, judge[1] if judge else None


def _model_of(file: Path) -> str | None:
    """The folder above it whose name its own begins with."""
    return next(
        (above.name for above in file.parents if above.name and file.name.startswith(f"{above.name}_")),
        None,
    )


def _percent(text: str) -> float:
    """Of "36.19%", or of a share."""
    return _number(text.strip().removesuffix("%")) * (1.0 if text.strip().endswith("%") else 100.0)


def _number(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 100:
        raise ValueError(f"{text!r} is no accuracy")
    return value
