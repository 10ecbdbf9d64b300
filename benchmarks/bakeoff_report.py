"""A bake-off as one page (`verdict.md`), a plot (`bakeoff.png`) and the numbers of both (`results.json`)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from bakeoff_recipe import RANDOM, WHOLE
from bakeoff_verdict import STEPS, TOKENS, Results, last, verdict

from hf_rap.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bakeoff_recipe import Recipe
    from matplotlib.axes import Axes

# Okabe and Ito's colours, told apart by line style, too.
STYLES = (
    ("#0072B2", "-"),
    ("#E69F00", "-."),
    ("#009E73", (0, (6, 2, 1, 2, 1, 2))),
    ("#CC79A7", ":"),
    ("#D55E00", (0, (5, 1))),
    ("#56B4E9", (0, (3, 1, 1, 1))),
)


def report(recipe: Recipe, work: Path, seeds: Sequence[int] | None = None, arms: Sequence[str] | None = None) -> str:
    """Writes the three files from the runs that are there, or from some seeds and arms alone, and returns the page.

    Raises:
        SettingError: no run has ended yet.

    """
    results = collect(recipe, work, seeds, arms)
    (work / "results.json").write_text(json.dumps(results, separators=(",", ":")) + "\n")
    page = write_page(results)
    (work / "verdict.md").write_text(page)
    (work / "bakeoff.png").write_bytes(draw(Results(results)))
    return page


def collect(
    recipe: Recipe, work: Path, seeds: Sequence[int] | None = None, arms: Sequence[str] | None = None
) -> dict[str, Any]:
    """All runs that have ended, with the share of right replies of each held-out row at each measurement."""
    runs = [json.loads(path.read_text()) for path in sorted(work.glob("run-*.json"))]
    runs = [run for run in runs if run["arm"] in (arms or recipe.arms) and (seeds is None or run["seed"] in seeds)]
    if not runs:
        raise SettingError(f"No run in {work} has ended yet: run it without --report.")
    there = sorted({run["seed"] for run in runs})
    kept = ("seed", "arm", "rows", "total_tokens", "scoring_tokens", "training")
    return {
        "recipe": json.loads((work / "recipe.json").read_text()),
        "kinds": json.loads((work / "held-out" / "kinds.json").read_text()),
        "start": short(json.loads((work / "start.json").read_text())),
        "chosen": {str(seed): json.loads((work / f"seed-{seed}" / "chosen.json").read_text()) for seed in there},
        "runs": [
            {
                **{name: rounded(run[name]) for name in kept},
                "tokens_at": {step: run["tokens_at"][step] for step in run["measured"]},
                "no_signal": rounded(float(np.mean(run["no_signal"][: recipe.steps]))),
                "measured": {step: short(found) for step, found in run["measured"].items()},
            }
            for run in runs
        ],
    }


def short(found: dict[str, Any]) -> dict[str, Any]:
    """A measurement with a rate per row, null where nobody knows, in the place of its rewards."""
    known = [[reward for reward in row if reward is not None] for row in found["rewards"]]
    rates = [plain(round(sum(row) / len(row), 4)) if row else None for row in known]
    return {"rates": rates, **{name: rounded(found[name]) for name in ("tokens", "wall_seconds", "cpu_seconds")}}


def plain(rate: float) -> float:
    """0 and 1 without their point, which is most of the file."""
    return int(rate) if rate == int(rate) else rate


def rounded(value: Any) -> Any:
    """Floats to four digits."""
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    return round(value, 4) if isinstance(value, float) else value


def write_page(results: dict[str, Any]) -> str:
    """The verdict, the tables and what they mean, as Markdown."""
    found = Results(results)
    recipe = found.recipe
    seeds = {arm: len(runs) for arm, runs in found.runs.items()}
    count = (
        f"{min(seeds.values())} seeds"
        if len(set(seeds.values())) == 1
        else ", ".join(f"{arm}: {n}" for arm, n in seeds.items())
    )
    return "\n\n".join(
        [
            f"# {recipe['title']}",
            (
                f"Model `{recipe['model']}`, pool `{recipe['pool']}`, {len(found.kinds)} held-out rows with {recipe['measured_attempts']} "
                f"replies each, {recipe['steps']} steps; seeds: {count}. Share of right replies in percent; differences in points with the "
                "interval of 95 % of a paired bootstrap over seeds and rows."
            ),
            "## Verdict",
            "\n".join(f"- {line}" for line in verdict(found)),
            "## What each arm trains on",
            rows_table(found) or "The pool does not say of which kind its rows are.",
            "## Right replies",
            result_table(found),
            f"By kind, at {TOKENS}; in brackets against {RANDOM}:",
            kind_table(found),
            f"Seed by seed, at {TOKENS}:",
            seed_table(found),
            "## What was spent",
            ledger(found),
            (
                "Tokens and seconds are means over seeds. *Scoring* is the replies that a rule reads, in all rows of the pool; seconds are its part "
                "of those of all replies. On a GPU wall seconds are GPU seconds. Work that a kill undid is not in it."
            ),
            "![Right replies against steps and against total tokens](bakeoff.png)\n",
        ]
    )


def result_table(found: Results, against: Sequence[str] = (STEPS, TOKENS)) -> str:
    """Each arm at equal steps and at equal total tokens, and at these points against random and the whole pool."""
    others = [arm for arm in (RANDOM, WHOLE) if arm in found.runs]
    heads = ["trained on", "seeds", "rows", "groups without signal", STEPS, TOKENS]
    heads += [f"minus {other}, {when}" for other in others for when in against]
    lines = [f"| {' | '.join(heads)} |", f"|---|{'---:|' * (len(heads) - 1)}"]
    start = f"{100 * float(np.nanmean(found.start)):.1f}"
    lines.append(f"| not trained | | | | {start} | {start} |{' |' * len(against) * len(others)}")
    for arm, runs in found.runs.items():
        rows, silent = (np.mean([run[name] for run in runs.values()]) for name in ("rows", "no_signal"))
        cells = [
            str(len(runs)),
            f"{rows:.0f}",
            f"{silent:.0%}",
            *(spread(found, arm, when) for when in (STEPS, TOKENS)),
        ]
        for other in others:
            there = arm != other and found.runs[other].keys() & runs.keys()
            cells += [str(found.difference(arm, other, when)) if there else "" for when in against]
        lines.append(f"| {arm} | {' | '.join(cells)} |")
    return "\n".join(lines)


def spread(found: Results, arm: str, when: str) -> str:
    """Mean and standard deviation over the seeds, in percent."""
    means = 100 * np.nanmean(found.rates(arm, when), axis=1)
    return f"{means.mean():.1f}" + (f" ± {means.std(ddof=1):.1f}" if len(means) > 1 else "")


def rows_table(found: Results) -> str:
    """What each arm trains on: the share of each kind among its rows, mean over seeds; nothing where the pool has no kinds."""
    kinds = sorted({kind for said in found.chosen.values() for of_arm in said["kinds"].values() for kind in of_arm})
    if not kinds:
        return ""
    lines = [f"| rows of | {' | '.join(kinds)} |", f"|---|{'---:|' * len(kinds)}"]
    for arm, runs in found.runs.items():
        counts = [found.chosen[str(seed)]["kinds"][arm] for seed in runs]
        shares = [np.mean([count.get(kind, 0) / max(1, sum(count.values())) for count in counts]) for kind in kinds]
        lines.append(f"| {arm} | {' | '.join(f'{share:.0%}' for share in shares)} |")
    return "\n".join(lines)


def kind_table(found: Results) -> str:
    """Arms by kinds of held-out rows, at equal total tokens."""
    kinds = list(dict.fromkeys(sorted(found.kinds.tolist())))
    lines = [f"| trained on | {' | '.join(kinds)} |", f"|---|{'---:|' * len(kinds)}"]
    before = [f"{100 * float(np.nanmean(found.start[found.kinds == kind])):.1f}" for kind in kinds]
    lines.append(f"| not trained | {' | '.join(before)} |")
    for arm, runs in found.runs.items():
        cells = []
        for kind in kinds:
            cell = f"{100 * found.mean(arm, TOKENS, kind):.1f}"
            if arm != RANDOM and RANDOM in found.runs and found.runs[RANDOM].keys() & runs.keys():
                cell += f" ({found.difference(arm, RANDOM, TOKENS, kind)})"
            cells.append(cell)
        lines.append(f"| {arm} | {' | '.join(cells)} |")
    return "\n".join(lines)


def ledger(found: Results) -> str:
    """Tokens and seconds of scoring, training and measuring, per arm."""
    parts = ("scoring", "training", "measuring")
    heads = [
        "trained on",
        "steps",
        *(f"tokens: {part}" for part in parts),
        *(f"wall s / CPU s: {part}" for part in parts),
    ]
    lines = [f"| {' | '.join(heads)} |", f"|---|{'---:|' * (len(heads) - 1)}"]
    for arm, runs in found.runs.items():
        spent = [found.spent(run) for run in runs.values()]
        mean = {
            part: {name: float(np.mean([each[part][name] for each in spent])) for name in spent[0][part]}
            for part in parts
        }
        steps = np.mean([int(last(run)) for run in runs.values()])
        tokens = [f"{mean[part]['tokens']:,.0f}" for part in parts]
        seconds = [f"{mean[part]['wall_seconds']:.0f} / {mean[part]['cpu_seconds']:.0f}" for part in parts]
        lines.append(f"| {arm} | {steps:.0f} | {' | '.join([*tokens, *seconds])} |")
    return "\n".join(lines)


def seed_table(found: Results, kinds: Sequence[str] = ()) -> str:
    """Seed by seed, at equal total tokens, on all held-out rows or those of some kinds."""
    rows = np.isin(found.kinds, kinds) if kinds else np.ones(len(found.kinds), bool)
    seeds = sorted({seed for runs in found.runs.values() for seed in runs})
    lines = [f"| trained on | {' | '.join(f'seed {seed}' for seed in seeds)} |", f"|---|{'---:|' * len(seeds)}"]
    for arm, runs in found.runs.items():
        shares = [
            f"{100 * np.nanmean(found.rates(arm, TOKENS, [seed])[:, rows]):.0f}" if seed in runs else ""
            for seed in seeds
        ]
        lines.append(f"| {arm} | {' | '.join(shares)} |")
    return "\n".join(lines)


def draw(found: Results) -> bytes:
    """PNG: right replies against steps, against total tokens with those of scoring, and of each seed at the end."""
    import matplotlib.style
    from matplotlib.figure import Figure

    from hf_rap.tables.figures import png

    with matplotlib.style.context("default"):
        figure = Figure(figsize=(12, 4.2), layout="constrained")
        panels = figure.subplots(1, 3, sharey=True, width_ratios=(3, 3, 2))
        _lines(panels[0], found, 0, "steps of training")
        _lines(panels[1], found, 1, "total tokens, thousands: scoring, then training")
        _seeds(panels[2], found)
        panels[0].set_ylabel("held-out replies, share right")
        for axes in panels:
            axes.axhline(float(np.nanmean(found.start)), color="#BBBBBB", linewidth=1, zorder=0)
            axes.grid(color="#EEEEEE")
            axes.set_axisbelow(True)
            axes.spines[["top", "right"]].set_visible(False)
        figure.legend(*panels[0].get_legend_handles_labels(), frameon=False, fontsize=8, loc="outside right center")
        return png(figure)


def _lines(axes: Axes, found: Results, place: int, label: str) -> None:
    """A line per arm, mean over its seeds."""
    for (arm, runs), (colour, style) in zip(found.runs.items(), _styles(found.runs), strict=True):
        points = found.curve(arm, sorted(runs))
        x = [point[place] / (1000 if place else 1) for point in points]
        axes.plot(x, [point[2] for point in points], color=colour, linestyle=style, linewidth=1.8, label=arm)
    axes.set_xlabel(label)
    axes.set_xlim(left=0)


def _seeds(axes: Axes, found: Results) -> None:
    """A point per seed and a bar at their mean, at equal total tokens."""
    for place, (arm, (colour, _)) in enumerate(zip(found.runs, _styles(found.runs), strict=True)):
        ends = np.nanmean(found.rates(arm, TOKENS), axis=1)
        axes.scatter([place] * len(ends), ends, color=colour, s=14, alpha=0.7, linewidths=0)
        axes.hlines(ends.mean(), place - 0.3, place + 0.3, color=colour, linewidth=2)
    axes.set_xticks(range(len(found.runs)), list(found.runs), rotation=45, ha="right", fontsize=8)
    axes.set_xlabel("each seed at its end")


def _styles(arms: Sequence[str] | Any) -> list[tuple[str, Any]]:
    """Black for the whole pool, grey for random rows, a colour for each selection."""
    own = iter(STYLES * (1 + len(arms) // len(STYLES)))
    fixed = {WHOLE: ("#222222", "-"), RANDOM: ("#999999", "--")}
    return [fixed.get(arm) or next(own) for arm in arms]
