"""Facts -> the pictures of a card.

PNG, because the Hub shows no SVG files of a dataset's own on its card; on white, so that they read
the same on a light and on a dark page. The same facts give the same bytes for one version of matplotlib.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's blue against a light grey: they differ in brightness, too.
KEPT = "#0072B2"
DROPPED = "#BDBDBD"
INK = "#222222"


def draw_plots(facts: dict[str, Any]) -> dict[str, bytes]:
    """File name -> PNG, of the plots that these facts have numbers for."""
    import matplotlib.style

    plots = {}
    # The defaults of matplotlib, not those of the user's matplotlibrc.
    with matplotlib.style.context("default"):
        if facts["histogram"]:
            plots["plots/cde.png"] = png(_draw_histogram(facts))
        plots["plots/funnel.png"] = png(_draw_funnel(facts))
    return plots


def _draw_histogram(facts: dict[str, Any]) -> Figure:
    """Rows per value of cde, kept ones in front, with the threshold."""
    from matplotlib.ticker import MaxNLocator

    histogram = facts["histogram"]
    figure, axes = _figure(7, 3.6)
    width = histogram["width"] * 0.9
    axes.bar(histogram["centres"], histogram["all"], width, color=DROPPED, label="dropped")
    axes.bar(histogram["centres"], histogram["kept"], width, color=KEPT, label="kept")
    threshold = facts["rule"].get("min_cde")
    if threshold is not None:
        axes.axvline(threshold, color=INK, linestyle="--", linewidth=1.2, label=f"min_cde = {threshold:g}")
    axes.set_xlim(-1 - histogram["width"], 1 + histogram["width"])
    axes.set_ylim(0, max(histogram["all"], default=0) * 1.05 or 1)
    axes.set_xticks([-1, -0.5, 0, 0.5, 1])
    axes.set_xlabel("rap_cde: pass rate with the image minus pass rate on the text alone")
    axes.set_ylabel("rows")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.yaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True))
    axes.grid(axis="y", color="#E5E5E5")
    axes.set_axisbelow(True)
    axes.legend(frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)
    return figure


def _draw_funnel(facts: dict[str, Any]) -> Figure:
    """Rows that are in after each step, from top to bottom."""
    from matplotlib.ticker import MaxNLocator

    steps = facts["funnel"]
    rows = [step["rows"] for step in steps]
    figure, axes = _figure(7, 0.9 + 0.38 * len(steps))
    axes.barh(range(len(steps)), rows, color=[DROPPED] * (len(steps) - 1) + [KEPT])
    axes.set_yticks(range(len(steps)), [step["step"].replace("_", " ") for step in steps])
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    most = max(rows, default=0) or 1
    for place, count in enumerate(rows):
        share = f" ({count / rows[0]:.1%})" if place and rows[0] else ""
        axes.text(count + most * 0.01, place, f"{count:,}{share}", va="center", color=INK)
    axes.invert_yaxis()
    axes.set_xlim(0, most * 1.25)
    axes.set_xlabel("rows")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.xaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True))
    axes.tick_params(axis="y", length=0)
    return figure


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of its own, so that nothing is shared with what the user draws with pyplot."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def png(figure: Figure) -> bytes:
    """The file of a figure; the same figure gives the same bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    file = BytesIO()
    figure.savefig(file, format="png", dpi=150, facecolor="white", metadata={"Software": None})
    return file.getvalue()
