"""The pictures of a card."""

from io import BytesIO

import matplotlib as mpl
import pytest
from PIL import Image

from hf_rap.tables.figures import DROPPED, KEPT, REPLACED
from hf_rap.versions.plots import draw_agreement, draw_comparison, draw_curves, draw_plots, draw_sweep

FACTS = {
    "histogram": {"centres": [-1, -0.5, 0, 0.5, 1], "width": 0.5, "all": [1, 2, 3, 2, 1], "kept": [0, 0, 0, 1, 1]},
    "rule": {"min_cde": 0.2},
    "funnel": [{"step": "rows", "rows": 9}, {"step": "a $strange$ <step>", "rows": 4}, {"step": "selected", "rows": 2}],
}


def test_same_facts_same_bytes():
    """Neither the clock nor the user's own settings of matplotlib show."""
    first = draw_plots(FACTS)
    with mpl.rc_context({"axes.facecolor": "red", "font.size": 30}):
        assert draw_plots(FACTS) == first
    assert sorted(first) == ["plots/cde.png", "plots/funnel.png"]


def test_plots_are_opaque_on_white():
    """They read the same on a dark page."""
    for content in draw_plots(FACTS).values():
        image = Image.open(BytesIO(content)).convert("RGBA")
        assert image.getpixel((0, 0)) == (255, 255, 255, 255)


@pytest.mark.parametrize(
    "changed",
    [
        {"histogram": None},
        {"funnel": [{"step": "rows", "rows": 5}, {"step": "selected", "rows": 0}]},
        {"histogram": {"centres": [-1, 0, 1], "width": 1.0, "all": [0, 0, 0], "kept": [0, 0, 0]}},
        {"rule": {"method": "other"}},
    ],
)
def test_plots_of_unusual_facts(changed):
    """No histogram, nothing selected, no scores, no threshold."""
    plots = draw_plots({**FACTS, **changed})
    assert "plots/funnel.png" in plots
    assert ("plots/cde.png" in plots) == (changed.get("histogram", True) is not None)


def test_curves_are_drawn_for_any_number_of_functions():
    """One, and more than there are line styles."""
    for count in (1, 7):
        curves = {f"f{number}": [(0.0, number), (1.0, 0.0)] for number in range(count)}
        assert Image.open(BytesIO(draw_curves(curves, x="p", y="w"))).format == "PNG"


def pixels(content):
    """How many pixels of a picture have each colour."""
    image = Image.open(BytesIO(content)).convert("RGB")
    return {f"#{red:02X}{green:02X}{blue:02X}": count for count, (red, green, blue) in image.getcolors(1 << 20)}


LATE = {
    **FACTS,
    "histogram": {**FACTS["histogram"], "kept": [0, 0, 0, 2, 1], "came_in": [0, 0, 0, 2, 0]},
    "rule": {"min_cde": 0.5, "replace_easy": True, "min_replacement_cde": 0.2},
    "funnel": [
        {"step": "rows", "rows": 9, "came_in": 0, "meaning": "in all"},
        {"step": "image_needed", "rows": 1, "came_in": 0, "meaning": "need the image: rap_cde > 0.5"},
        {"step": "selected", "rows": 3, "came_in": 2, "meaning": "are selected"},
    ],
}


def test_rows_that_came_in_have_a_colour_of_their_own():
    """In both pictures; where there are none, in neither."""
    for content in draw_plots(LATE).values():
        assert {DROPPED, KEPT, REPLACED} <= pixels(content).keys()
    for content in draw_plots(FACTS).values():
        assert REPLACED not in pixels(content)


def test_a_funnel_only_falls():
    """The grey and blue bars are of lengths 9, 1 and 1, whatever came in: their areas say so."""
    counted = pixels(draw_plots(LATE)["plots/funnel.png"])
    assert counted[DROPPED] / counted[KEPT] == pytest.approx(10, rel=0.05)


def lines_of(axes):
    """Where the thresholds are drawn."""
    return sorted(line.get_xdata()[0] for line in axes.lines)


def axes_of(monkeypatch, draw, *given):
    """The axes of a picture as matplotlib has them."""
    figures = []
    monkeypatch.setattr("hf_rap.versions.plots.png", lambda figure: figures.append(figure) or b"")
    draw(*given)
    return [axes for figure in figures for axes in figure.axes]


@pytest.mark.parametrize(
    ("rule", "drawn"),
    [
        ({"min_cde": 0.5, "replace_easy": False, "min_replacement_cde": 0.2}, [0.5]),
        ({"min_cde": 0.5, "replace_easy": True, "min_replacement_cde": 0.2}, [0.2, 0.5]),
        ({"min_cde": -1, "replace_easy": True, "min_replacement_cde": None}, [-1]),
        ({"min_gain": 0.2}, [0.2]),
    ],
)
def test_every_threshold_is_drawn(monkeypatch, rule, drawn):
    """Also at the end of the axis, and that of the released rule; a floor that nothing uses is none."""
    histogram, _ = axes_of(monkeypatch, draw_plots, {**FACTS, "rule": rule})
    assert lines_of(histogram) == drawn
    low, high = histogram.get_xlim()
    assert all(low < place < high for place in drawn)


def test_an_overlap_stands_beside_its_reruns_and_chance(monkeypatch):
    """A bar per pair; a method whose rerun is unknown has no mark for it, and an unknown overlap is called so."""
    pairs = [
        {"method": "a", "names": ("x", "y"), "jaccard": 0.5, "reruns": (0.75, 0.625), "by_chance": 0.25},
        {"method": "b", "names": ("x", "y"), "jaccard": None, "reruns": (None, None), "by_chance": None},
    ]
    (axes,) = axes_of(monkeypatch, draw_agreement, {"pairs": pairs})
    assert [bar.get_width() for bar in axes.patches] == [0.5, 0]
    assert [list(line.get_xdata()) for line in axes.lines] == [[0.75, 0.625], [0.25]]
    assert [text.get_text() for text in axes.texts] == ["0.50", "unknown"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a: x - y", "b: x - y"]


def test_bars_start_at_zero(monkeypatch):
    """Of every picture that has bars."""
    means = {"rows": 3, "mean_cde": 0.4, "mean_difficulty": 0.3}
    comparison = {"selections": [{"method": "a", **means}, {"method": "b", **means}], "jaccard": [[1, 0.5], [0.5, 1]]}
    points = [{"value": 0.1, "rows": 4, "came_in": 0.5, "band": 0.2, "random": None}]
    assert axes_of(monkeypatch, draw_comparison, comparison)[1].get_xlim()[0] == 0
    assert axes_of(monkeypatch, draw_sweep, {"option": "min_cde", "points": points})[0].get_ylim()[0] == 0
    histogram, funnel = axes_of(monkeypatch, draw_plots, LATE)
    assert (histogram.get_ylim()[0], funnel.get_xlim()[0]) == (0, 0)
