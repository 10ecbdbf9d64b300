"""Facts -> the pictures of a card.

PNG, because the Hub shows no SVG files of a dataset's own on its card; on white, so that they read
the same on a light and on a dark page. The same facts give the same bytes for one version of matplotlib.
"""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING, Any

from hf_rap.columns import CONTROLS
from hf_rap.tables.figures import DROPPED, INK, KEPT, REPLACED, png

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


MAX_WORDS = 60  # characters beside a bar
# Of cde, and how they are drawn; the released rule has its own.
THRESHOLDS = {"min_cde": "--", "min_replacement_cde": ":", "min_gain": "--"}


def draw_plots(facts: dict[str, Any]) -> dict[str, bytes]:
    """File name -> PNG, of the plots that these facts have numbers for."""
    import matplotlib.style

    plots: dict[str, bytes] = {}
    # The defaults of matplotlib, not those of the user's matplotlibrc.
    with matplotlib.style.context("default"):
        if facts["histogram"]:
            plots["plots/cde.png"] = png(_draw_histogram(facts))
        if facts.get("pass_rates"):
            plots["plots/difficulty.png"] = png(_draw_pass_rates(facts))
        plots["plots/funnel.png"] = png(_draw_funnel(facts))
    return plots


def draw_comparison(comparison: Mapping[str, Any]) -> bytes:
    """PNG of how much the selections of `hf_rap.select.comparison` overlap, and what their rows are like."""
    import matplotlib.style

    with matplotlib.style.context("default"):
        return png(_draw_comparison(comparison))


def draw_agreement(agreement: Mapping[str, Any]) -> bytes:
    """PNG of `hf_rap.select.agreement`: for every method and pair of models how far the selections overlap, beside reruns and chance."""
    import matplotlib.style

    with matplotlib.style.context("default"):
        return png(_draw_agreement(agreement))


def draw_sweep(sweep: Mapping[str, Any]) -> bytes:
    """PNG of what `hf_rap.select.sweep` found: rows per value, and below how much chance or a band of pass rates would share."""
    import matplotlib.style

    with matplotlib.style.context("default"):
        return png(_draw_sweep(sweep))


def draw_curves(curves: Mapping[str, Sequence[tuple[float, float]]], *, x: str, y: str) -> bytes:
    """PNG of functions, each as points (x, y)."""
    import matplotlib.style

    with matplotlib.style.context("default"):
        figure, axes = _figure(7, 3.6)
        for (name, points), style in zip(curves.items(), cycle(("-", "--", "-.", ":", (0, (6, 2, 1, 2, 1, 2))))):
            axes.plot(*zip(*points, strict=True), label=name, linestyle=style, linewidth=1.8)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        axes.set_ylim(bottom=0)
        axes.grid(color="#E5E5E5")
        axes.legend(frameon=False)
        return png(figure)


def _draw_histogram(facts: dict[str, Any]) -> Figure:
    """Rows per value of cde, kept ones in front, with the threshold."""
    histogram = facts["histogram"]
    figure, axes = _figure(7, 3.6)
    _bars(axes, histogram)
    for name, style in THRESHOLDS.items():
        threshold = facts["rule"].get(name)
        used = name != "min_replacement_cde" or facts["rule"].get("replace_easy")
        if threshold is not None and used:
            axes.axvline(threshold, color=INK, linestyle=style, linewidth=1.2, label=f"{name} = {threshold:g}")
    axes.set_xlim(-1 - histogram["width"], 1 + histogram["width"])
    axes.set_xticks([-1, -0.5, 0, 0.5, 1])
    control = CONTROLS.get(facts["rule"].get("control"))
    without = "on the text alone" if control is None else f"with {control.shows}"
    axes.set_xlabel(f"rap_cde: pass rate with the image minus pass rate {without}")
    _legend(axes)
    return figure


def _draw_pass_rates(facts: dict[str, Any]) -> Figure:
    """The U shape: rows per pass rate, kept ones in front, with the bounds of the band."""
    histogram, rule = facts["pass_rates"], facts["rule"]
    figure, axes = _figure(7, 3.6)
    _bars(axes, histogram, filled=0.6)  # narrow, so that no bound of five attempts cuts a bar
    for name in ("low", "middle", "high"):
        if rule.get(name) is not None:
            style = ":" if name == "middle" else "--"
            axes.axvline(rule[name], color=INK, linestyle=style, linewidth=1.2, label=f"{name} = {rule[name]:g}")
    axes.set_xlim(-histogram["width"], 1 + histogram["width"])
    axes.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    axes.set_xlabel("pass rate with the image: 1 - rap_difficulty")
    _legend(axes)
    return figure


def _bars(axes: Axes, histogram: Mapping[str, Any], filled: float = 0.9) -> None:
    """Dropped and kept rows per bar."""
    from matplotlib.ticker import MaxNLocator

    width = histogram["width"] * filled
    axes.bar(histogram["centres"], histogram["all"], width, color=DROPPED, label="dropped")
    axes.bar(histogram["centres"], histogram["kept"], width, color=KEPT, label="kept")
    # Facts of versions from before they were counted have none.
    came_in = histogram.get("came_in", [])
    if any(came_in):
        axes.bar(histogram["centres"], came_in, width, color=REPLACED, label="came in later")
    axes.set_ylim(0, max(histogram["all"], default=0) * 1.05 or 1)
    axes.set_ylabel("rows")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.yaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True))
    axes.grid(axis="y", color="#E5E5E5")
    axes.set_axisbelow(True)


def _legend(axes: Axes) -> None:
    entries = len(axes.get_legend_handles_labels()[1])
    columns = entries if entries <= 4 else 3  # what fits beside each other
    axes.legend(frameon=False, ncols=columns, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)


def _draw_comparison(comparison: Mapping[str, Any]) -> Figure:
    """On the left the Jaccard matrix, on the right mean cde and difficulty of each selection."""
    from matplotlib.figure import Figure

    names = [f"{selection['method']} ({selection['rows']:,})" for selection in comparison["selections"]]
    places = range(len(names))
    room = max(0, len(names) - 6)  # each further column of the matrix
    figure = Figure(figsize=(9 + 0.5 * room, 1.9 + 0.55 * max(3, len(names))), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.1 + 0.11 * room, 1))
    matrix = comparison["jaccard"]
    left.imshow(
        [[float("nan") if cell is None else cell for cell in row] for row in matrix],
        cmap="Blues",
        vmin=0,
        vmax=1,
        aspect="auto",
    )
    for row in places:
        for column in places:
            cell = matrix[row][column]
            colour = "white" if cell is not None and cell > 0.55 else INK
            left.text(column, row, "-" if cell is None else f"{cell:.2f}", ha="center", va="center", color=colour)
    left.set_xticks(places, [selection["method"] for selection in comparison["selections"]], rotation=30, ha="right")
    left.set_yticks(places, names)
    left.tick_params(length=0)
    left.set_title("overlap (Jaccard)", fontsize=10)
    for offset, name, colour in ((-0.19, "mean_cde", KEPT), (0.19, "mean_difficulty", DROPPED)):
        means = [selection[name] for selection in comparison["selections"]]
        right.barh(
            [place + offset for place in places],
            [mean or 0 for mean in means],
            0.36,
            color=colour,
            label=name.replace("_", " "),
        )
        for place, mean in zip(places, means, strict=True):
            text = "unknown" if mean is None else f"{mean:.2f}"
            right.text(max(mean or 0, 0) + 0.01, place + offset, text, va="center", fontsize=8, color=INK)
    right.axvline(0, color=INK, linewidth=0.8)
    lowest = min(
        selection[name] or 0 for selection in comparison["selections"] for name in ("mean_cde", "mean_difficulty")
    )
    right.set_xlim(lowest - 0.05 if lowest < 0 else 0, 1.2)
    right.legend(frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)
    for side in ("top", "right"):
        right.spines[side].set_visible(False)
    return figure


def _draw_agreement(agreement: Mapping[str, Any]) -> Figure:
    """A bar per pair, grouped by method; the reruns of its two models and chance are marks on it."""
    pairs = agreement["pairs"]
    places: list[float] = []
    for number, pair in enumerate(pairs):  # half a bar between two methods
        new = number and pair["method"] != pairs[number - 1]["method"]
        places.append(places[-1] + (1.5 if new else 1) if places else 0)
    figure, axes = _figure(8.5, 1.3 + 0.3 * (places[-1] + 1))
    axes.barh(places, [pair["jaccard"] or 0 for pair in pairs], 0.7, color=KEPT, label="overlap (Jaccard)")
    reruns = [(rerun, place) for place, pair in zip(places, pairs, strict=True) for rerun in pair["reruns"]]
    by_chance = [(pair["by_chance"], place) for place, pair in zip(places, pairs, strict=True)]
    _marks(axes, "|", reruns, "a rerun of either model, expected", size=14)
    _marks(axes, "x", by_chance, "by chance", size=5)
    for place, pair in zip(places, pairs, strict=True):
        ends = [value for value in (pair["jaccard"], *pair["reruns"], pair["by_chance"]) if value is not None]
        text = "unknown" if pair["jaccard"] is None else f"{pair['jaccard']:.2f}"
        axes.text(max(ends, default=0) + 0.02, place, text, va="center", fontsize=8, color=INK)
    words = [f"{pair['method']}: {' - '.join(pair['names'])}" for pair in pairs]
    axes.set_yticks(places, [text if len(text) <= MAX_WORDS else f"{text[: MAX_WORDS - 3]}..." for text in words])
    for name in axes.get_yticklabels():
        name.set_parse_math(False)
    axes.set_ylim(places[-1] + 0.8, -0.8)
    axes.set_xlim(0, 1.1)
    axes.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    axes.tick_params(axis="y", length=0)
    _legend(axes)
    return figure


def _marks(axes: Axes, marker: str, points: Sequence[tuple[float | None, float]], label: str, *, size: float) -> None:
    """A mark at each place whose value is known."""
    known = [(value, place) for value, place in points if value is not None]
    if known:
        axes.plot(*zip(*known, strict=True), marker, color=INK, label=label, markersize=size, markeredgewidth=1.6)


def _draw_sweep(sweep: Mapping[str, Any]) -> Figure:
    """Above, rows that stayed and rows that came in later; below, what share of them others would keep too."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    points = sweep["points"]
    places = range(len(points))
    figure = Figure(figsize=(7, 5.2), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1))
    rows = [point["rows"] for point in points]
    entered = [round((point["came_in"] or 0) * point["rows"]) for point in points]
    stayed = [count - late for count, late in zip(rows, entered, strict=True)]
    above.bar(places, stayed, 0.7, color=KEPT, label="kept")
    above.bar(places, entered, 0.7, bottom=stayed, color=REPLACED, label="came in later")
    for place, count in zip(places, rows, strict=True):
        above.text(place, count, f"{count:,}", ha="center", va="bottom", fontsize=8, color=INK)
    above.set_ylim(0, max(rows) * 1.12 or 1)
    above.set_ylabel("rows")
    above.yaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True))
    for name, label, style in (("band", "with a band of pass rates", "o-"), ("random", "with random rows", "s--")):
        shares = [float("nan") if point[name] is None else point[name] for point in points]
        below.plot(places, shares, style, color=INK, markersize=5, linewidth=1.4, label=f"overlap {label}")
    below.set_ylim(0, 1.02)
    below.set_ylabel("Jaccard")
    below.yaxis.set_major_formatter(PercentFormatter(1))
    below.set_xticks(places, [f"{point['value']:g}" for point in points])
    below.set_xlabel(sweep["option"])
    for axes in (above, below):
        axes.grid(axis="y", color="#E5E5E5")
        axes.set_axisbelow(True)
        _legend(axes)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    return figure


def _draw_funnel(facts: dict[str, Any]) -> Figure:
    """Rows that stay after each step, which get fewer from top to bottom, and beside them those that came in later."""
    from matplotlib.ticker import MaxNLocator

    steps = facts["funnel"]
    rows = [step["rows"] for step in steps]
    came_in = [step.get("came_in", 0) for step in steps]
    stayed = [count - late for count, late in zip(rows, came_in, strict=True)]
    places = range(len(steps))
    figure, axes = _figure(8.5, 0.9 + 0.38 * len(steps) + (0.25 if any(came_in) else 0))
    axes.barh(places, stayed, color=[DROPPED] * (len(steps) - 1) + [KEPT])
    if any(came_in):
        axes.barh(places, came_in, left=stayed, color=REPLACED, label="came in later")
        _legend(axes)
    axes.set_yticks(places, [_words_of(step) for step in steps])
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    most = max(rows, default=0) or 1
    for place, (count, stay, late) in enumerate(zip(rows, stayed, came_in, strict=True)):
        share = f" ({count / rows[0]:.1%})" if place and rows[0] else ""
        told = f"{stay:,} + {late:,} = {count:,}" if late else f"{count:,}"
        axes.text(count + most * 0.01, place, f"{told}{share}", va="center", color=INK)
    axes.invert_yaxis()
    axes.set_xlim(0, most * (1.4 if any(came_in) else 1.25))
    axes.set_xlabel("rows")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.xaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True))
    axes.tick_params(axis="y", length=0)
    return figure


def _words_of(step: Mapping[str, Any]) -> str:
    """What the rows of a step are; of versions from before steps were described, its name."""
    words = step.get("meaning") or step["step"].replace("_", " ")
    return words if len(words) <= MAX_WORDS else f"{words[: MAX_WORDS - 3]}..."


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of its own, so that nothing is shared with what the user draws with pyplot."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes
