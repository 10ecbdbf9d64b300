"""What is shown in the place of a row's own pictures: grey ones of their size, or those of other rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_rap.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from PIL import Image

    from .donors import Donors

    Shown = list[tuple[tuple[Image.Image, ...], str]]  # pictures, and whose they are

# Mid-grey: next to nothing once a processor has normalised it, while white is the empty page of many figures and
# black the background of many photographs of instruments.
GREY = (128, 128, 128)


def blank(own: Sequence[Image.Image]) -> Shown:
    """A grey picture for each of the row's own."""
    from PIL import Image

    return [(tuple(Image.new("RGB", image.size, GREY) for image in own), "")]


def shuffled(
    own: Sequence[Image.Image], raw: Mapping[str, Any], donors: Donors | None, *, count: int, collector: str
) -> Shown:
    """The pictures of up to `count` other rows, each in the size of the one it stands for, and those rows' ids.

    Raises:
        RowError: "no_donor".
        SettingError: nobody has said which rows there are.
    """
    from PIL import ImageOps

    if donors is None:
        raise SettingError(
            f"Whose pictures to show is not known: use collect_evidence(ds, {collector}(engine)), or "
            f"ds.map({collector}(engine).over(ds), batched=True)."
        )
    return [
        (
            tuple(
                picture if picture.size == mine.size else ImageOps.pad(picture, mine.size, color=GREY)
                for picture, mine in zip(pictures, own, strict=True)
            ),
            donor,
        )
        for donor, pictures in donors.pictures_for(raw, count=count)
    ]


def shares(attempts: int, parts: int) -> list[int]:
    """Where each part of the attempts begins, and where the last one ends: shares that differ by one at most.

    >>> shares(5, 2)
    [0, 3, 5]
    """
    return [-(-part * attempts // parts) for part in range(parts + 1)]
