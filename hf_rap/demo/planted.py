"""Planted data: picture questions whose kind is known, so that a selector's claims can be checked.

One row, in the layout of hiyouga/geometry3k with a hidden `kind`:

    {"id": "planted-0-00007", "images": [<84x84 picture>], "problem": "<image>How many red shapes are in the picture?",
     "answer": "3", "source": "count", "kind": "needs_image"}
"""

from __future__ import annotations

import io
from random import Random
from typing import TYPE_CHECKING, Any

from hf_rap.options import check_whole

from . import questions
from .pictures import draw

if TYPE_CHECKING:
    from collections.abc import Mapping

    import datasets

# kind -> share of the rows. `needs_image` and `hard` cannot be answered without the picture;
# the picture of a `hard` row is half hidden behind noise.
KINDS: Mapping[str, float] = {
    "needs_image": 0.30,
    "text_gives_it_away": 0.25,
    "trivial": 0.10,
    "hard": 0.20,
    "unsolvable": 0.10,
    "gold_unreadable": 0.05,
}
IMAGE_IS_NEEDED = ("needs_image", "hard")
VEIL = (0.60, 0.90)  # how much of a hard picture is noise
UNREADABLE_GOLDS = (None, "", r"\boxed{}", "see the solution", "n/a")


def make_planted(rows: int = 600, *, seed: int = 0) -> datasets.Dataset:
    """`rows` planted picture questions in a fixed random order; the same seed gives the same rows.

    Columns: `id`, `images` (a list of one picture), `problem`, `answer` (null or unreadable for the
    kind `gold_unreadable`), `source` (the type of question) and `kind` (one of `KINDS`). Nothing
    that scores or selects may read `kind`.

    Raises:
        SettingError: fewer rows than there are kinds.
    """
    check_whole("rows", rows, least=len(KINDS))  # one of each kind
    check_whole("seed", seed)
    import datasets

    features = datasets.Features(
        {
            "id": datasets.Value("string"),
            "images": datasets.List(datasets.Image()),
            "problem": datasets.Value("string"),
            "answer": datasets.Value("string"),
            "source": datasets.Value("string"),
            "kind": datasets.Value("string"),
        }
    )
    kinds = _kinds(rows, seed)
    made = [_row(kind, index, seed) for index, kind in enumerate(kinds)]
    return datasets.Dataset.from_list(made, features=features)


def _kinds(rows: int, seed: int) -> list[str]:
    counts = {kind: max(1, int(rows * share)) for kind, share in KINDS.items()}
    counts["needs_image"] += rows - sum(counts.values())
    kinds = [kind for kind, count in counts.items() for _ in range(count)]
    Random(f"kinds {seed}").shuffle(kinds)
    return kinds


def _row(kind: str, index: int, seed: int) -> dict[str, Any]:
    rng = Random(f"row {seed} {index}")
    ask = {
        "text_gives_it_away": questions.TOLD_BY_THE_TEXT,
        "trivial": (questions.is_colour,),
        "unsolvable": (questions.on_the_back,),
    }.get(kind, questions.ABOUT_THE_PICTURE)
    make = rng.choice(ask)
    item = make(rng)
    picture = draw(item.scene, rng, veil=rng.uniform(*VEIL) if kind == "hard" else 0.0)
    answer = rng.choice(UNREADABLE_GOLDS) if kind == "gold_unreadable" else item.answer
    file = io.BytesIO()
    picture.save(file, format="PNG")
    return {
        "id": f"planted-{seed}-{index:05d}",
        "images": [{"bytes": file.getvalue(), "path": None}],
        "problem": f"<image>{item.question}",
        "answer": answer,
        "source": make.__name__,
        "kind": kind,
    }
