"""One training example of the small model: what it sees and what it should say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import questions
from .pictures import draw

if TYPE_CHECKING:
    from random import Random

    from PIL import Image

HARD_VEIL = (0.30, 0.90)  # wider than the planted one, so that the model meets every degree of it


@dataclass(frozen=True)
class Lesson:
    """`image` is None for a prompt without a picture; `reply` is the text to learn."""

    image: Image.Image | None
    question: str
    reply: str


def make_lesson(rng: Random, *, captions: float, instruction: str) -> Lesson:
    """A random lesson; `captions` is the share that only describes the picture.

    Captions come first because they teach the vision tower: questions alone were seen not to leave
    chance within thousands of steps. The same right answers are taught without the picture, so that
    the model learns to guess plausibly there, as large models do.
    """
    if rng.random() < captions:
        item = questions.caption(rng)
        veil = rng.uniform(*HARD_VEIL) if rng.random() < 0.15 else 0.0
        return Lesson(draw(item.scene, rng, veil=veil), item.question, item.answer)
    make = rng.choices(
        [rng.choice(questions.ABOUT_THE_PICTURE), rng.choice(questions.TOLD_BY_THE_TEXT), *_OTHERS],
        weights=[0.66, 0.24, 0.06, 0.04],
    )[0]
    item = make(rng)
    veil = rng.uniform(*HARD_VEIL) if rng.random() < 0.25 else 0.0
    image = None if rng.random() < 0.2 else draw(item.scene, rng, veil=veil)
    question = f"{item.question}{instruction}" if rng.random() < 0.5 else item.question
    return Lesson(image, question, reply_text(item))


def reply_text(item: questions.Asked) -> str:
    r"""The reply in the form that the model was taught: `<think> chain </think> \boxed{answer}`."""
    return f"<think> {item.chain} </think> \\boxed{{{item.answer}}}"


_OTHERS = (questions.is_colour, questions.on_the_back)
