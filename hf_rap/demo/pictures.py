"""Pictures of a 3 x 3 grid of coloured shapes, drawn from a description and a random generator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

    from PIL import Image, ImageDraw

COLOURS = {
    "red": (214, 39, 40),
    "green": (44, 160, 44),
    "blue": (31, 80, 200),
    "yellow": (240, 200, 20),
    "purple": (140, 60, 170),
    "black": (30, 30, 30),
}
SHAPES = ("circle", "square", "triangle", "cross")
PLACES = (
    "top left",
    "top middle",
    "top right",
    "middle left",
    "centre",
    "middle right",
    "bottom left",
    "bottom middle",
    "bottom right",
)
CELL = 28  # pixels
SIDE = 3 * CELL
NOISE_BLOCK = 4  # pixels; noise finer than this would average out when a model shrinks the picture


@dataclass(frozen=True)
class Shape:
    """What stands in one cell of the grid."""

    colour: str
    form: str


Scene = tuple[Shape | None, ...]  # nine cells in reading order


def draw(scene: Scene, rng: Random, *, veil: float = 0.0) -> Image.Image:
    """The scene as an RGB picture of 84 x 84 pixels.

    `veil` in [0, 1] hides the scene behind grey noise: 0 is a clean picture, 1 is noise alone.
    """
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (SIDE, SIDE), (250, 250, 250))
    pen = ImageDraw.Draw(image)
    for cell, shape in enumerate(scene):
        if shape is not None:
            _draw_shape(pen, shape, cell, rng)
    if veil:
        blocks = SIDE // NOISE_BLOCK
        noise = Image.frombytes("RGB", (blocks, blocks), rng.randbytes(3 * blocks * blocks))
        image = Image.blend(image, noise.resize((SIDE, SIDE), Image.Resampling.NEAREST), veil)
    return image


def _draw_shape(pen: ImageDraw.ImageDraw, shape: Shape, cell: int, rng: Random) -> None:
    half = rng.randint(8, 11)
    x = (cell % 3) * CELL + CELL // 2 + rng.randint(-2, 2)
    y = (cell // 3) * CELL + CELL // 2 + rng.randint(-2, 2)
    fill = COLOURS[shape.colour]
    box = (x - half, y - half, x + half, y + half)
    if shape.form == "circle":
        pen.ellipse(box, fill=fill)
    elif shape.form == "square":
        pen.rectangle(box, fill=fill)
    elif shape.form == "triangle":
        pen.polygon([(x, y - half), (x - half, y + half), (x + half, y + half)], fill=fill)
    else:
        pen.rectangle((x - half, y - 3, x + half, y + 3), fill=fill)
        pen.rectangle((x - 3, y - half, x + 3, y + half), fill=fill)
