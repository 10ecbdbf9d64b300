"""Questions about grid pictures: what is asked, the words that lead to the answer, the answer.

`chain` is what the small model was taught to think before it answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .pictures import COLOURS, PLACES, SHAPES, Scene, Shape

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

CELLS = len(PLACES)


@dataclass(frozen=True)
class Asked:
    """One question about one scene."""

    scene: Scene
    question: str
    chain: str
    answer: str


def caption(rng: Random) -> Asked:
    """Describe every cell; used to teach the vision tower, never planted."""
    scene = _scene(rng)
    words = " , ".join(f"{cell.colour} {cell.form}" if cell else "none" for cell in scene)
    return Asked(scene, "Describe the picture.", "", words)


def count(rng: Random) -> Asked:
    """How many shapes have one colour or form: 1 to 6, all equally likely."""
    by_colour = rng.random() < 0.5
    values = tuple(COLOURS) if by_colour else SHAPES
    value = rng.choice(values)
    wanted = rng.randint(1, 6)
    cells: list[Shape | None] = []
    for index in range(CELLS):
        if index < wanted:
            cells.append(Shape(value, rng.choice(SHAPES)) if by_colour else Shape(rng.choice(tuple(COLOURS)), value))
        else:
            shape = _shape(rng)
            same = (shape.colour if by_colour else shape.form) == value
            cells.append(None if same or rng.random() < 0.4 else shape)
    rng.shuffle(cells)
    named = ["none" if cell is None else cell.colour if by_colour else cell.form for cell in cells]
    rows = " , ".join(" ".join(named[start : start + 3]) for start in (0, 3, 6))
    question = (
        f"How many {value} shapes are in the picture?"
        if by_colour
        else f"How many {_plural(value)} are in the picture?"
    )
    return Asked(tuple(cells), question, f"{rows} so {wanted}", str(wanted))


def colour_at(rng: Random) -> Asked:
    """The colour of the shape at one place."""
    scene, place, shape = _scene_with_target(rng)
    return Asked(
        scene, f"What colour is the shape at the {place}?", f"{place} : {shape.colour} {shape.form}", shape.colour
    )


def form_at(rng: Random) -> Asked:
    """The form of the shape at one place."""
    scene, place, shape = _scene_with_target(rng)
    return Asked(scene, f"Which shape is at the {place}?", f"{place} : {shape.colour} {shape.form}", shape.form)


def where(rng: Random) -> Asked:
    """The place of a shape that occurs once."""
    scene, place, shape = _scene_with_target(rng)
    cells = [cell if cell != shape or PLACES[index] == place else None for index, cell in enumerate(scene)]
    named = f"{shape.colour} {shape.form}"
    return Asked(tuple(cells), f"Where is the {named}?", f"{named} : {place}", place)


def told_colour(rng: Random) -> Asked:
    """The question itself names the colour that it asks for."""
    scene, place, shape = _scene_with_target(rng)
    question = f"The shape at the {place} is {shape.colour}. What colour is the shape at the {place}?"
    return Asked(scene, question, f"the question says {shape.colour}", shape.colour)


def told_count(rng: Random) -> Asked:
    """The question itself gives the number that it asks for."""
    item = count(rng)
    subject = item.question.removeprefix("How many ").removesuffix(" are in the picture?")
    question = f"The picture shows {item.answer} {subject}. {item.question}"
    return Asked(item.scene, question, f"the question says {item.answer}", item.answer)


def boxes(rng: Random) -> Asked:
    """A sum that has nothing to do with the picture."""
    left, right = rng.randint(1, 9), rng.randint(1, 9)
    question = f"One box holds {left} shapes and another box holds {right} shapes. How many shapes do both boxes hold?"
    return Asked(_scene(rng), question, f"{left} plus {right} is {left + right}", str(left + right))


def is_colour(rng: Random) -> Asked:
    """Whether a word is a colour: yes or no, known to anyone."""
    word = rng.choice([*COLOURS, *SHAPES])
    is_one = word in COLOURS
    kind = "colour" if is_one else "shape"
    return Asked(_scene(rng), f"Is {word} a colour?", f"{word} is a {kind}", "yes" if is_one else "no")


def on_the_back(rng: Random) -> Asked:
    """A number that neither the picture nor the text shows: nobody can know it."""
    number = rng.randint(10, 99)
    question = "Which number is written on the back of the picture?"
    return Asked(_scene(rng), question, "the back is not shown", str(number))


ABOUT_THE_PICTURE: tuple[Callable[[Random], Asked], ...] = (count, colour_at, form_at, where)
TOLD_BY_THE_TEXT: tuple[Callable[[Random], Asked], ...] = (told_colour, told_count, boxes)


def _shape(rng: Random) -> Shape:
    return Shape(rng.choice(tuple(COLOURS)), rng.choice(SHAPES))


def _scene(rng: Random) -> Scene:
    return tuple(_shape(rng) if rng.random() < 0.65 else None for _ in range(CELLS))


def _scene_with_target(rng: Random) -> tuple[Scene, str, Shape]:
    cells = list(_scene(rng))
    target = rng.randrange(CELLS)
    shape = cells[target] = _shape(rng)
    return tuple(cells), PLACES[target], shape


def _plural(form: str) -> str:
    return "crosses" if form == "cross" else f"{form}s"
