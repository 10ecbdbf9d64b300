"""Placeholders of images in a text: `<image>`, or with a number, `<image 1>`, which may come in any order and twice."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from hf_rap.errors import RowError

from .prompts import IMAGE

if TYPE_CHECKING:
    from collections.abc import Sequence

# <image 1> (MMMU), <image1> (MathVision), <img_2>, <|image_1|> (Phi)
_NUMBERED = re.compile(r"<\|?(?:image|img|picture|figure)[ _-]?(\d{1,2})\|?>", re.IGNORECASE)


ABSENT: Any = object()  # in the place of an image that a row does not have, where its images have numbers


def is_numbered(text: str) -> bool:
    """The text names at least one of its images by number."""
    return _NUMBERED.search(text) is not None


def put_in_place(parts: Sequence[str], images: Sequence[Any]) -> tuple[list[str], list[Any]]:
    """Texts with one `<image>` per image, and the images in that order: an image that is named twice comes twice.

    The first part is the question. Where it has no placeholder, those images that no part names go in front of it,
    with nothing in between, as TRL and ms-swift do.

    Args:
        parts: the question, and the texts of its options.
        images: as stored, in the order of their numbers; ABSENT where a number has no image.

    Raises:
        RowError: `placeholder_mismatch`: an image is named that is not there, or is there and is not named.

    >>> put_in_place(["What is <image 2> to <image 1>, and <image 2>?"], ["a", "b"])
    (['What is <image> to <image>, and <image>?'], ['b', 'a', 'b'])
    >>> put_in_place(["Which?", "<image 2>"], ["a", "b"])
    (['<image>Which?', '<image>'], ['a', 'b'])
    """
    present = [image for image in images if image is not ABSENT]
    if not any(is_numbered(part) for part in parts):
        return _in_order(parts, present)
    if any(IMAGE in part for part in parts):
        raise RowError("placeholder_mismatch", f"the question has both {IMAGE} and placeholders with numbers")
    numbers = [int(number) for part in parts for number in _NUMBERED.findall(part)]
    first = 0 if 0 in numbers else 1
    for number in numbers:
        if not (0 <= number - first < len(images)) or images[number - first] is ABSENT:
            count = f"{len(present)} image(s)"
            raise RowError(
                "placeholder_mismatch", f"the question names image {number}, and the row has {count}, not that"
            )
    unnamed = [place for place, image in enumerate(images) if image is not ABSENT and place + first not in set(numbers)]
    if unnamed and is_numbered(parts[0]):
        names = ", ".join(str(place + first) for place in unnamed)
        raise RowError(
            "placeholder_mismatch",
            f"the row has {len(present)} image(s), and the question names all but image {names}: name it, or take it out",
        )
    ordered = [images[place] for place in unnamed] + [images[number - first] for number in numbers]
    texts = [_NUMBERED.sub(IMAGE, part) for part in parts]
    return [IMAGE * len(unnamed) + texts[0], *texts[1:]], ordered


def _in_order(parts: Sequence[str], images: list[Any]) -> tuple[list[str], list[Any]]:
    placeholders = [part.count(IMAGE) for part in parts]
    if not placeholders[0]:
        placeholders[0] = len(images) - sum(placeholders)
        parts = [IMAGE * max(0, placeholders[0]) + parts[0], *parts[1:]]
    return list(parts), images
