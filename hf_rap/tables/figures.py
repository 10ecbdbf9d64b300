"""What all pictures share: colours, and the same file for the same figure."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's blue against a light grey: they differ in brightness, too.
KEPT = "#0072B2"


# Their vermillion, for rows that came in later.
REPLACED = "#D55E00"


DROPPED = "#BDBDBD"


INK = "#222222"


class Png(bytes):
    """The file of a picture, which a notebook shows as one: its bytes would be one line of 100,000 characters."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<PNG of {len(self):,} bytes>"

    def _repr_png_(self) -> bytes:
        return bytes(self)


def png(figure: Figure) -> Png:
    """The file of a figure; the same figure gives the same bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    file = BytesIO()
    figure.savefig(file, format="png", dpi=150, facecolor="white", metadata={"Software": None})
    return Png(file.getvalue())
