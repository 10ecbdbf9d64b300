"""The results of benchmarks/training.py as JSON, Markdown tables and a plot."""

from __future__ import annotations

import json
import math
import statistics
from typing import TYPE_CHECKING, Any

from training_data import BAND, RANDOM, WHOLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from matplotlib.axes import Axes

    Run = Mapping[str, Any]

# Okabe and Ito's colours, told apart by line style, too.
STYLES = {
    "whole pool": ("#222222", "-"),
    "random": ("#999999", "--"),
    "difficulty band": ("#E69F00", "-."),
    "rap-released": ("#CC79A7", ":"),
    "rap": ("#0072B2", "-"),
    "rap, cde alone": ("#009E73", (0, (6, 2, 1, 2, 1, 2))),
}


def report(results: dict[str, Any], out: Path, images: Path) -> None:
    """Writes `training-MIX.json` and `training-MIX.png`, and prints the tables."""
    for folder in (out, images):
        folder.mkdir(parents=True, exist_ok=True)
    results = slim(results)  # so that the tables follow from the file
    name = f"training-{results['plan']['mix']}"
    (out / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n")
    (images / f"{name}.png").write_bytes(draw(results))
    print(tables(results))


def slim(results: dict[str, Any]) -> dict[str, Any]:
    """Without the lists that have an entry per row or per step."""
    chosen = {
        seed: {name: value for name, value in one.items() if name != "arms"} for seed, one in results["chosen"].items()
    }
    runs = []
    for run in results["runs"]:
        short = {name: run[name] for name in run if name not in ("tokens_at", "mean_lengths", "no_signal", "reward")}
        short["tokens_at"] = {step: run["tokens_at"][step] for step in run["measured"]}
        short["no_signal"] = no_signal(run)
        runs.append(rounded(short))
    return {
        **results,
        "chosen": rounded(chosen),
        "start": rounded(results["start"]),
        "built_in": rounded(results["built_in"]),
        "runs": runs,
    }


def rounded(value: Any) -> Any:
    """Floats to six digits."""
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return round(value, 6) if isinstance(value, float) else value


def no_signal(run: Run) -> float:
    """The share of the groups without a gradient, over the steps that all arms make."""
    if isinstance(run["no_signal"], float):  # slim already
        return run["no_signal"]
    return statistics.mean(run["no_signal"][: run["steps"]])


def at_steps(run: Run) -> dict[str, Any]:
    """Measured after as many steps as every other arm."""
    return run["measured"][str(run["steps"])]


def early(run: Run) -> dict[str, Any]:
    """Measured for the first time."""
    return run["measured"][min(run["measured"], key=int)]


def at_tokens(run: Run) -> dict[str, Any]:
    """Measured after as many sampled tokens as every other arm."""
    return run["measured"][str(run["reached"][str(run["tokens_equal"])])]


def tables(results: Mapping[str, Any]) -> str:
    """What was trained on, what came out, and the differences seed by seed."""
    arms = results["plan"]["arms"]
    runs = {arm: [run for run in results["runs"] if run["arm"] == arm] for arm in arms}
    runs = {arm: found for arm, found in runs.items() if found}
    return "\n\n".join([_rows_table(results, runs), _result_table(results, runs), _differences(runs)])


def _rows_table(results: Mapping[str, Any], runs: Mapping[str, list[Run]]) -> str:
    lines = [
        "| trained on | rows | need their image | groups without signal | steps at equal tokens | CPU s: scoring | CPU s: training |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for arm, found in runs.items():
        chosen = [results["chosen"][str(run["seed"])] for run in found]
        needed = [
            sum(one["kinds"][arm].get(kind, 0) for kind in ("needs_image", "hard")) / run["rows"]
            for one, run in zip(chosen, found, strict=True)
        ]
        steps = [run["reached"][str(run["tokens_equal"])] for run in found]
        training = [
            run["training"]["cpu_seconds"] * step / run["steps_made"] for run, step in zip(found, steps, strict=True)
        ]
        scoring = [_scoring_seconds(arm, one) for one in chosen]
        lines.append(
            f"| {arm} | {statistics.mean(run['rows'] for run in found):.0f} | {statistics.mean(needed):.0%} | "
            f"{statistics.mean(map(no_signal, found)):.0%} | {statistics.mean(steps):.0f} | "
            f"{statistics.mean(scoring):.0f} | {statistics.mean(training):.0f} |"
        )
    return "\n".join(lines)


def _scoring_seconds(arm: str, chosen: Mapping[str, Any]) -> float:
    """CPU seconds of rollouts and selection; the band's part of the rollouts goes by its share of the tokens."""
    if arm in (WHOLE, RANDOM):
        return 0.0
    rollouts, selecting = (chosen[part]["cpu_seconds"] for part in ("rollouts", "selecting"))
    both = chosen["image_tokens"] + chosen["text_tokens"]
    return rollouts * (chosen["image_tokens"] / both if arm == BAND else 1) + selecting


def _result_table(results: Mapping[str, Any], runs: Mapping[str, list[Run]]) -> str:
    plan = results["plan"]
    every, steps = plan["every"], plan["steps"]
    columns = [
        (f"image, {every} steps", "image", early),
        (f"image, {steps} steps", "image", at_steps),
        ("greedy", "greedy_image", at_steps),
        ("all", "all", at_steps),
        ("image, equal tokens", "image", at_tokens),
        ("greedy", "greedy_image", at_tokens),
        ("all", "all", at_tokens),
    ]
    lines = [
        f"| trained on | {' | '.join(title for title, _, _ in columns)} |",
        f"|---|{'---:|' * len(columns)}",
    ]
    for title, model in (("not trained", "start"), ("the built-in model, which does not guess", "built_in")):
        lines.append(f"| {title} | {' | '.join(f'{100 * results[model][name]:.1f}' for _, name, _ in columns)} |")
    for arm, found in runs.items():
        cells = [spread([measured(run)[name] for run in found]) for _, name, measured in columns]
        lines.append(f"| {arm} | {' | '.join(cells)} |")
    if runs.get(WHOLE):
        after = [run["measured"][str(run["reached"][str(run["tokens_with_scoring"])])] for run in runs[WHOLE]]
        cells = [spread([one[name] for one in after]) for _, name, _ in columns[4:]]
        lines.append(f"| {WHOLE}, the tokens of scoring spent on it as well | | | | | {' | '.join(cells)} |")
    return "\n".join(lines)


def _differences(runs: Mapping[str, list[Run]]) -> str:
    """Image questions, seed by seed: the same pool, the same start, the same seed of the trainer."""
    references = [arm for arm in (WHOLE, RANDOM, BAND) if arm in runs]
    points = {"steps": at_steps, "tokens": at_tokens}
    lines = [
        f"| image, minus | {' | '.join(f'{arm}: equal {point}' for arm in references for point in points)} |",
        f"|---|{'---:|' * 2 * len(references)}",
    ]
    for arm, found in runs.items():
        if arm == WHOLE:
            continue  # the others minus it say the same
        cells = []
        for reference in references:
            other = {run["seed"]: run for run in runs[reference]}
            pairs = [(run, other[run["seed"]]) for run in found if run["seed"] in other]
            for measured in points.values():
                gaps = [measured(one)["image"] - measured(two)["image"] for one, two in pairs]
                above = f"{spread(gaps, signed=True)} ({sum(gap > 0 for gap in gaps)} of {len(gaps)})" if gaps else "-"
                cells.append("" if arm == reference else above)
        lines.append(f"| {arm} | {' | '.join(cells)} |")
    return "\n".join(lines)


def spread(values: list[float], *, signed: bool = False) -> str:
    """Mean and standard deviation over the seeds, in percentage points."""
    mean = f"{100 * statistics.mean(values):{'+' if signed else ''}.1f}"
    return f"{mean} ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else mean


def draw(results: Mapping[str, Any]) -> bytes:
    """PNG: accuracy on image questions against sampled tokens, without those of scoring and with them."""
    import matplotlib.style
    from matplotlib.figure import Figure

    from hf_rap.tables.figures import png

    with matplotlib.style.context("default"):
        figure = Figure(figsize=(10, 4.2), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        _lines(left, results, lambda _: 0, most=results["plan"]["steps"])
        _lines(right, results, lambda run: run["scoring_tokens"])
        left.set_title("training alone", fontsize=10)
        right.set_title("scoring the pool, then training", fontsize=10)
        left.set_ylabel("held-out image questions, share right")
        left.legend(frameon=False, fontsize=8, loc="lower right", bbox_to_anchor=(1, 0.06))
        for axes in (left, right):
            axes.axhline(results["start"]["image"], color="#BBBBBB", linewidth=1, zorder=0)
            axes.set_xlabel("sampled tokens, thousands")
            axes.grid(color="#EEEEEE")
            axes.set_xlim(left=0)
            axes.spines[["top", "right"]].set_visible(False)
        return png(figure)


def _lines(axes: Axes, results: Mapping[str, Any], offset: Callable[[Run], int], *, most: float = math.inf) -> None:
    """Mean over the seeds, and the range of them as a band; tokens are the mean over the seeds, too."""
    start = results["start"]["image"]
    for arm in results["plan"]["arms"]:
        runs = [run for run in results["runs"] if run["arm"] == arm]
        if not runs:
            continue
        shared = set.intersection(*(set(map(int, run["measured"])) for run in runs))
        every = results["plan"]["every"]
        steps = sorted(step for step in shared if step % every == 0 and step <= most)
        begin = statistics.mean(map(offset, runs))
        x, mean, low, high = [begin], [start], [start], [start]
        for step in steps:
            found = [run["measured"][str(step)]["image"] for run in runs]
            tokens = statistics.mean(run["tokens_at"][str(step)] + offset(run) for run in runs)
            x.append(tokens)
            mean.append(statistics.mean(found))
            low.append(min(found))
            high.append(max(found))
        colour, style = STYLES[arm]
        thousands = [tokens / 1000 for tokens in x]
        axes.plot(thousands, mean, color=colour, linestyle=style, linewidth=1.8, label=arm)
        axes.fill_between(thousands, low, high, color=colour, alpha=0.10, linewidth=0)
