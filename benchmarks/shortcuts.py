"""A planted pool in which the text of some rows gives the answer away, and held-out rows in which it does not.

A row of each kind as it stands in the pool, where the shortcut is always right, and as it is held out:

    hint      "Hint: red. What colour is the shape at the centre?"           held out: the hint names another colour
    options   "red or blue? What colour is the shape at the centre?"         held out: the right one is either, by chance
    caption   "A picture of a red circle. What colour is the shape at ...?"  held out: the caption names another shape of the picture

So who answers by the text alone is right in training and wrong later. The model that training starts from
takes a shortcut about half of the time (`LEANINGS`): such a row has the pass rate of a good one.
"""

from __future__ import annotations

import io
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

from hf_rap.demo import questions
from hf_rap.demo.lesson import HARD_VEIL, Lesson, reply_text
from hf_rap.demo.pictures import COLOURS, PLACES, SHAPES, draw
from hf_rap.demo.planted import VEIL
from hf_rap.rows.prompts import DEFAULT_INSTRUCTION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import datasets

    Ask = Callable[[Random], questions.Asked]

SHORTCUTS = ("hint", "options", "caption")
POOL: Mapping[str, float] = {
    "needs_image": 0.26,
    "hard": 0.10,
    "hint": 0.16,
    "options": 0.16,
    "caption": 0.16,
    "trivial": 0.08,
    "unsolvable": 0.08,
}
HELD_OUT: Mapping[str, int] = {
    "needs_image": 100,
    "hard": 40,
    "hint": 40,
    "options": 40,
    "caption": 40,
    "trivial": 20,
}
HELD_OUT_SEED = 1_000_000  # no pool is made from it
ABOUT_THE_PICTURE: tuple[Ask, ...] = (questions.colour_at, questions.form_at, questions.where)  # short replies
SHORT_ANSWERS = ABOUT_THE_PICTURE[:2]  # a word each, which the small model copies
# What the start does with a question: how often it says what the text suggests, and how often it guesses; else it looks.
LEANINGS: Mapping[str, tuple[float, float]] = {
    "needs_image": (0.0, 0.45),
    "hint": (0.50, 0.35),
    "options": (0.50, 0.35),
    "caption": (0.50, 0.35),
}


def make_pool(rows: int, *, seed: int) -> datasets.Dataset:
    """The rows that there are to train on, in a fixed random order; the text of `SHORTCUTS` gives their gold away."""
    counts = {kind: round(rows * share) for kind, share in POOL.items()}
    return make_rows(counts, seed=seed, leaks=True)


def make_held_out(counts: Mapping[str, int] = HELD_OUT) -> datasets.Dataset:
    """Rows to measure on: the same forms of question, whose text gives nothing away."""
    return make_rows(counts, seed=HELD_OUT_SEED, leaks=False)


def make_rows(counts: Mapping[str, int], *, seed: int, leaks: bool) -> datasets.Dataset:
    """So many rows of each kind, in the layout of `hf_rap.demo.make_planted`.

    Columns: `id`, `images`, `problem`, `answer`, `source` (the type of question), `kind` (for the report alone), and
    `suggested`: what the text of the row suggests, null where nothing. Nothing that scores or selects may read the last two.
    """
    import datasets

    kinds = [kind for kind, count in counts.items() for _ in range(count)]
    Random(f"shortcut kinds {seed}").shuffle(kinds)
    rows = [_row(kind, index, seed, leaks=leaks) for index, kind in enumerate(kinds)]
    names = ("id", "problem", "answer", "source", "kind", "suggested")
    features = {
        "images": datasets.List(datasets.Image()),
        **dict.fromkeys(names, datasets.Value("string")),
    }
    return datasets.Dataset.from_list(rows, features=datasets.Features(features))


def _row(kind: str, index: int, seed: int, *, leaks: bool) -> dict[str, Any]:
    rng = Random(f"shortcut row {seed} {index}")
    item, make, suggested = ask(kind, rng, leaks=leaks)
    picture = draw(item.scene, rng, veil=rng.uniform(*VEIL) if kind == "hard" else 0.0)
    file = io.BytesIO()
    picture.save(file, format="PNG")
    return {
        "id": f"shortcut-{seed}-{index:05d}",
        "images": [{"bytes": file.getvalue(), "path": None}],
        "problem": f"<image>{item.question}",
        "answer": item.answer,
        "source": make.__name__,
        "kind": kind,
        "suggested": suggested,
    }


def ask(kind: str, rng: Random, *, leaks: bool) -> tuple[questions.Asked, Ask, str | None]:
    """A question of this kind, its type, and what its text suggests: the gold if it leaks, else not."""
    if kind in ("trivial", "unsolvable"):
        make = questions.is_colour if kind == "trivial" else questions.on_the_back
        return make(rng), make, None
    make = rng.choice(SHORT_ANSWERS if kind in SHORTCUTS else ABOUT_THE_PICTURE)
    item = make(rng)
    if kind not in SHORTCUTS:
        return item, make, None
    other = _another(item, make, rng)
    if kind == "hint":
        suggested = item.answer if leaks else other
        return replace(item, question=f"Hint: {suggested}. {item.question}"), make, suggested
    if kind == "options":
        first, second = (item.answer, other) if leaks or rng.random() < 0.5 else (other, item.answer)
        return replace(item, question=f"{first} or {second}? {item.question}"), make, first
    place = next(index for index, name in enumerate(PLACES) if f"at the {name}?" in item.question)
    shown = item.scene[place]
    others = [cell for cell in item.scene if cell and _value(cell, make) != item.answer]
    if not leaks and not others:
        return ask(kind, rng, leaks=leaks)
    named = shown if leaks else rng.choice(others)
    question = f"A picture of a {named.colour} {named.form}. {item.question}"
    return replace(item, question=question), make, _value(named, make)


def _value(shape: Any, make: Ask) -> str:
    """What a question of this type asks about a shape."""
    return shape.colour if make is questions.colour_at else shape.form


def _another(item: questions.Asked, make: Ask, rng: Random) -> str:
    """A wrong answer of the right kind."""
    values = tuple(COLOURS) if make is questions.colour_at else SHAPES
    return rng.choice([value for value in values if value != item.answer])


def lesson(rng: Random) -> Lesson:
    """One lesson of the start: a reply that looks, guesses or says what the text suggests, whichever is right."""
    kind = rng.choices(
        ("needs_image", *SHORTCUTS, "trivial", "unsolvable"), weights=(0.34, 0.18, 0.18, 0.18, 0.08, 0.04)
    )[0]
    item, make, suggested = ask(kind, rng, leaks=rng.random() < 0.5)
    veil = rng.uniform(*HARD_VEIL) if rng.random() < 0.25 else 0.0
    image = None if rng.random() < 0.15 else draw(item.scene, rng, veil=veil)
    by_text, by_guess = LEANINGS.get(kind, (0.0, 0.0))
    drawn = rng.random()
    if drawn < by_text:
        reply = f"<think> the question says {suggested} </think> \\boxed{{{suggested}}}"
    elif drawn < by_text + by_guess:
        guess = make(rng).answer
        reply = f"<think> i guess {guess} </think> \\boxed{{{guess}}}"
    else:
        reply = reply_text(item)
    return Lesson(image, f"{item.question}{DEFAULT_INSTRUCTION}", reply)
