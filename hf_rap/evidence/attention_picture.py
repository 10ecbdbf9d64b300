"""One reply -> a picture of its tokens shaded by how much they are stared at, and of when the image was looked at."""

from __future__ import annotations

import math
import unicodedata
import warnings
from typing import TYPE_CHECKING, Any

from hf_rap.tables.figures import INK, KEPT, png

from .psi import MIN_COLUMN, POOLING, SIGMA, highest, log_psis

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

LINE = 92  # characters
INCHES_PER_CHARACTER = 13 / 150  # of the monospaced font at 10 points, in the whole pixels that it is drawn with
INCHES_PER_LINE = 0.26
MAX_TOKENS = 1500  # more would not be read; said in the picture
OFFENDING = "#D55E00"  # Okabe and Ito's vermilion
BREAK = "\u21b5"  # what a line break is shown as


def draw_attention(attempt: Mapping[str, Any], *, title: str) -> bytes:
    """The PNG of one entry of `rap_attention` that has no error.

    Above the reply, each token shaded by its windowed psi; the framed one has the highest. Tokens
    at the end, with fewer than `MIN_COLUMN` tokens from them on, are not shaded: they do not count.
    Below, over the tokens of the reply, psi and the share of attention that goes to the image.
    """
    import matplotlib as mpl
    import matplotlib.style

    tokens = attempt["tokens"]
    psis = [math.exp(log_psi) for log_psi in log_psis(attempt, form="windowed", heads=POOLING, sigma=SIGMA)]
    best = highest(psis, MIN_COLUMN)
    counted = max(0, len(psis) - MIN_COLUMN + 1)
    placed = list(_placed(tokens[:MAX_TOKENS]))
    lines = placed[-1][1] + 1
    with mpl.style.context("default"):
        figure, (text, above, below) = _figure(lines, title)
        shade = mpl.colormaps["Blues"]
        most = max(psis[:counted], default=1.0)
        _draw_text(text, placed, [min(psi / most, 1.0) for psi in psis[:counted]], shade, best and best[1])
        text.set_ylim(lines - 0.5, -0.5)
        if len(tokens) > MAX_TOKENS:
            text.set_title(f"the first {MAX_TOKENS:,} of {len(tokens):,} tokens", fontsize=9, loc="right")
        _draw_psi(above, psis[:counted], best)
        _draw_share(below, attempt["image_shares"])
        for axes in (above, below):
            axes.set_xlim(-0.5, len(tokens) - 0.5)
        with warnings.catch_warnings():
            # A script that the font lacks shows as boxes; that is seen, and no reason for a line per character.
            warnings.filterwarnings("ignore", message="Glyph .* missing from")
            return png(figure)


def _figure(lines: int, title: str) -> tuple[Figure, list[Axes]]:
    """Three panels one above the other; placed by hand, since matplotlib's layouts measure every token again."""
    from matplotlib.figure import Figure

    left, right, top, title_of_panel, axis_of_panel, panel = 0.7, 0.2, 0.5, 0.35, 0.3, 1.1
    heights = [lines * INCHES_PER_LINE, panel, panel]
    width = left + LINE * INCHES_PER_CHARACTER + right
    height = top + sum(heights) + 2 * title_of_panel + 2 * axis_of_panel + 0.15
    figure = Figure(figsize=(width, height))
    figure.text(0.15 / width, 1 - 0.25 / height, title, fontsize=10, va="center", parse_math=False)
    axes, edge = [], height - top
    for panel_height, gap in zip(heights, (title_of_panel, axis_of_panel + title_of_panel, 0), strict=True):
        box = (left / width, (edge - panel_height) / height, LINE * INCHES_PER_CHARACTER / width, panel_height / height)
        axes.append(figure.add_axes(box))
        edge -= panel_height + gap
    return figure, axes


def _placed(tokens: list[str]) -> Iterator[tuple[int, int, int, str]]:
    """(token, line, column, text) of each piece of a token, broken at LINE and at line breaks."""
    line = column = 0
    for place, token in enumerate(tokens):
        shown = "".join(
            character if character.isprintable() or character == "\n" else " "
            for character in token.replace("\r\n", "\n")
        ).replace("\n", f"{BREAK}\n")
        pieces = shown.split("\n")
        for number, piece in enumerate(pieces):
            if number:
                line, column = line + 1, 0
            if column and column + _cells(piece) > LINE:
                line, column = line + 1, 0
            for start in range(0, max(len(piece), 1), LINE // 2):
                part = piece[start : start + LINE // 2]
                if column + _cells(part) > LINE:
                    line, column = line + 1, 0
                yield place, line, column, part
                column += _cells(part)


def _cells(text: str) -> int:
    """How wide a text is in characters of the font: Chinese ones take two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _draw_text(
    axes: Axes, placed: list[tuple[int, int, int, str]], shares: list[float], shade: Colormap, best: int | None
) -> None:
    from matplotlib.patches import Rectangle

    for place, line, column, piece in placed:
        share = shares[place] if place < len(shares) else None
        if piece:
            axes.add_patch(
                Rectangle(
                    (column, line - 0.42),
                    _cells(piece),
                    0.84,
                    facecolor="white" if share is None else shade(0.85 * share),
                    edgecolor=OFFENDING if place == best else "#D0D0D0",
                    linewidth=1.8 if place == best else 0.4,
                    zorder=3 if place == best else 1,
                )
            )
            dark = share is not None and share > 0.6
            axes.text(
                column,
                line,
                piece,
                family="DejaVu Sans Mono",
                fontsize=10,
                va="center_baseline",
                color="white" if dark else INK if share is not None else "#8A8A8A",
                parse_math=False,
                zorder=4,
            )
    axes.set_xlim(0, LINE)
    axes.set_axis_off()


def _draw_psi(axes: Axes, psis: list[float], best: tuple[float, int] | None) -> None:
    axes.vlines(range(len(psis)), 0, psis, color=KEPT, linewidth=1.5)
    if best is not None:
        axes.vlines([best[1]], 0, [best[0]], color=OFFENDING, linewidth=2.5)
    axes.set_ylabel("psi", fontsize=9)
    axes.set_ylim(0, None)
    axes.set_title("windowed psi of each token", fontsize=9, loc="left")
    _plain(axes)


def _draw_share(axes: Axes, shares: list[float] | None) -> None:
    axes.set_title("share of the last layer's attention on the image, while the token was read", fontsize=9, loc="left")
    if shares:
        axes.fill_between(range(len(shares)), shares, step="mid", color=KEPT, alpha=0.35, linewidth=0)
        axes.plot(range(len(shares)), shares, drawstyle="steps-mid", color=KEPT, linewidth=1)
    else:
        axes.text(0.5, 0.5, "unknown", transform=axes.transAxes, ha="center", color=INK)
    axes.set_ylim(0, max(0.1, *(shares or [0.0])) * 1.05)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.set_xlabel("token of the reply, from 0", fontsize=9)
    _plain(axes)


def _plain(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True))
