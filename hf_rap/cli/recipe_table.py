"""hf-rap recipe NAME --table RESULTS: results of benchmarks beside the published ones, what the base models differ in first."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any

import click

from .output import echo, note, print_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hf_rap.exports.published import Result, Table
    from hf_rap.metrics.benchmarks import BenchmarkResult

# Two standard errors of an accuracy on a thousand questions: below it base models do not tell from each other.
FAR = 3.0


@dataclass(frozen=True)
class Mean:
    """Of the runs of one model on one benchmark, in percent; `spread` is their standard deviation, None for one run."""

    score: float
    runs: int
    spread: float | None

    @property
    def text(self) -> str:
        """For a table."""
        return f"{self.score:.2f}" + ("" if self.spread is None else f" ± {self.spread:.2f} ({self.runs})")


def print_table(
    name: str, results: Path, seconds: Mapping[str, float], *, base: str | None, hours: Sequence[str], as_json: bool
) -> None:
    """The table of a recipe, filled with the results below a folder; `seconds` are of the steps that were run."""
    from hf_rap.exports.published import published_table
    from hf_rap.metrics.benchmarks import read_results

    files = read_results(results)
    own = means_of(files.read)
    published = published_table(name)
    base = base or _same_model(own, published)
    if base is not None and base not in own:
        raise click.UsageError(f"--base {base} has no results; these have: {', '.join(own)}.")
    table = None if isinstance(published, str) else published
    of_paper = None if table is None or base is None else _published_base(table, base)
    facts = {
        "published": published if table is None else {"where": table.where, "results": _as_dicts(table)},
        "own": {model: {benchmark: vars(mean) for benchmark, mean in scores.items()} for model, scores in own.items()},
        "base": base,
        "base_differs": _differences(own, base, table, of_paper),
        "hours": {"scoring": _scoring_hours(seconds), **_hours(hours, own)},
        "evaluation_hours": sum({r.file: r.hours for r in files.read if r.hours is not None}.values()) or None,
        "seeds": {model: _seeds(files.read, model) for model in own},
        "judges": sorted({result.judge for result in files.read if result.judge}),
        "unread": {str(file): why for file, why in files.unread},
    }
    if as_json:
        print_json(facts)
        return
    echo("\n".join(_lines(facts, own, table, of_paper)))
    for file, why in files.unread:
        note(f"not read: {file}: {why}")


def means_of(results: Sequence[BenchmarkResult]) -> dict[str, dict[str, Mean]]:
    """Model -> benchmark -> the mean of its runs."""
    scores: dict[str, dict[str, list[float]]] = {}
    for result in results:
        scores.setdefault(result.model, {}).setdefault(result.benchmark, []).append(result.score)
    return {
        model: {benchmark: _mean(values) for benchmark, values in of_model.items()}
        for model, of_model in scores.items()
    }


def _mean(values: list[float]) -> Mean:
    mean = sum(values) / len(values)
    spread = sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1)) if len(values) > 1 else None
    return Mean(mean, len(values), spread)


def _plain(model: str) -> str:
    """Letters and digits of a model's name, without whose it is and that it follows instructions."""
    return re.sub(r"[^a-z0-9]", "", re.split(r"/|__", model)[-1].lower()).removesuffix("instruct")


def _same_model(own: Mapping[str, Any], published: Table | str) -> str | None:
    """Of the models with results, the one that is called like a base model of the paper."""
    if isinstance(published, str):
        return None
    names = {_plain(result.model) for result in published.results if result.rows is None}
    return next((model for model in own if _plain(model) in names), None)


def _published_base(table: Table, base: str) -> Result | None:
    bases = [result for result in table.results if result.rows is None]
    return next((result for result in bases if _plain(result.model) == _plain(base)), None)


def _differences(
    own: Mapping[str, Mapping[str, Mean]], base: str | None, table: Table | None, of_paper: Result | None
) -> dict[str, float]:
    """Benchmark -> points that the base model is above the paper's."""
    if base is None or table is None or of_paper is None:
        return {}
    pairs = zip(table.benchmarks, of_paper.scores, strict=True)
    return {name: own[base][name].score - score for name, score in pairs if name in own[base]}


def _scoring_hours(seconds: Mapping[str, float]) -> float | None:
    """Of the steps of a recipe up to the selection."""
    scoring = [spent for step, spent in seconds.items() if not step.startswith(("export", "publish"))]
    return sum(scoring) / 3600 if scoring else None


def _hours(given: Sequence[str], own: Mapping[str, Any]) -> dict[str, float]:
    """Of `MODEL=HOURS`."""
    hours = {}
    for text in given:
        model, _, number = text.rpartition("=")
        try:
            hours[model] = float(number)
        except ValueError:
            model = ""
        if model not in own or hours[model] < 0:
            raise click.UsageError(f"--hours takes MODEL=HOURS, with a MODEL of {', '.join(own)}; not {text!r}.")
    return hours


def _seeds(results: Sequence[BenchmarkResult], model: str) -> list[int]:
    return sorted({result.seed for result in results if result.model == model and result.seed is not None})


def _as_dicts(table: Table) -> list[dict[str, Any]]:
    return [
        {**result._asdict(), "scores": dict(zip(table.benchmarks, result.scores, strict=True))}
        for result in table.results
    ]


def _lines(
    facts: Mapping[str, Any], own: Mapping[str, Mapping[str, Mean]], table: Table | None, of_paper: Result | None
) -> list[str]:
    lines = [*_on_base(facts, of_paper), ""]
    names = [*(table.benchmarks if table else ()), *(name for scores in own.values() for name in scores)]
    names = list(dict.fromkeys(names))
    head = ["", "rows", "hours", *names]
    rows = []
    for result in () if table is None else table.results:
        # Of the base model that was measured, where that is known.
        if table is not None and (of_paper is None or result.model.startswith(of_paper.model)):
            published = dict(zip(table.benchmarks, result.scores, strict=True))
            cells = [f"{published[name]:.2f}" if name in published else "" for name in names]
            rows.append([f"paper: {result.model}", _shown(result.rows), _shown(result.hours), *cells])
    scoring = facts["hours"]["scoring"]
    for model, scores in own.items():
        spent = facts["hours"].get(model)
        # Scoring is a part of what a selection costs; a base model and full data have none.
        hours = "" if spent is None else f"{spent:.1f}"
        rows.append([f"yours: {model}", "", hours, *(scores[name].text if name in scores else "" for name in names)])
    lines += _table(head, rows)
    lines += ["", f"published: {facts['published'] if table is None else table.where}"]
    hours = "not known: give --folder, of a recipe that was run" if scoring is None else f"{scoring:.2f}"
    lines.append(f"hours of scoring, on top of those of training on the selected rows: {hours}")
    for model in own:
        seeds = ", ".join(map(str, facts["seeds"][model])) or "not in the files"
        runs = max(mean.runs for mean in own[model].values())
        lines.append(f"{model}: {runs} run(s) of each benchmark at most, seeds: {seeds}")
    lines += [f"judges: {', '.join(facts['judges'])}"] if facts["judges"] else []
    return lines


def _on_base(facts: Mapping[str, Any], of_paper: Result | None) -> list[str]:
    """What differs before anything was trained."""
    if facts["base"] is None or of_paper is None:
        return ["base model: not compared, for none of yours is called like one of the paper's (--base MODEL)"]
    lines = []
    for benchmark, points in facts["base_differs"].items():
        if abs(points) >= FAR:
            where = "above" if points > 0 else "below"
            lines.append(
                f"your base model is {abs(points):.1f} points {where} the paper's on {benchmark}: prompt or judge differ"
            )
    near = [name for name, points in facts["base_differs"].items() if abs(points) < FAR]
    lines += [f"your base model is within {FAR:g} points of the paper's on {', '.join(near)}"] if near else []
    return lines or [f"base model {facts['base']}: none of the paper's benchmarks was measured"]


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:,}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[place]) for row in (head, *rows)) for place in range(len(head))]
    return [
        "  ".join(
            cell.ljust(width) if not place else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (head, *rows)
    ]
