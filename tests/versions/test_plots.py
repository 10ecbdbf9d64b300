"""The pictures of a card."""

from io import BytesIO

import matplotlib as mpl
import pytest
from PIL import Image

from hf_rap.versions.plots import draw_curves, draw_plots

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
