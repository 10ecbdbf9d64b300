"""An image file as a trainer opens it, as it was scored, and within limits of pixels.

Scoring shows transparent pixels white, scales 16 bits to 8 and turns photos upright (`hf_rap.rows.images.open_image`).
Most loaders call `convert("RGB")`: it cuts transparency off, under which a drawing is often one flat colour, and clips
16 bits to white; and where they open the file themselves, photos lie on their side. Everything else is opened alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

from hf_rap.rows.images import open_image

if TYPE_CHECKING:
    from PIL import Image

_ORIENTATION = 0x0112  # of EXIF; 1 is upright


@dataclass(frozen=True)
class Opening:
    """How a trainer makes 8-bit RGB of an image file."""

    upright: bool = False
    """It is turned as EXIF says: so does whoever reads through the Image feature of `datasets`."""
    on_white: tuple[str, ...] = ()
    """Modes whose transparent pixels show white; of others transparency is cut off."""

    def shows_otherwise(self, content: bytes) -> bool:
        """The pixels are not those that were scored. Only files where they might be are decoded."""
        from PIL import Image

        with Image.open(BytesIO(content)) as image:
            turned = image.getexif().get(_ORIENTATION, 1) != 1 and not self.upright
            if not (turned or image.has_transparency_data or image.mode.startswith(("I", "F"))):
                return False
            opened = self._open(image)
        scored = open_image(content)
        return opened is None or (opened.size, opened.tobytes()) != (scored.size, scored.tobytes())

    def _open(self, image: Image.Image) -> Image.Image | None:
        """None where Pillow has no way from its mode to RGB."""
        from PIL import Image, ImageOps

        try:
            opened = ImageOps.exif_transpose(image) if self.upright else image
            if opened.mode in self.on_white:
                opened = Image.alpha_composite(Image.new("RGBA", opened.size, "white"), opened.convert("RGBA"))
            return opened.convert("RGB")
        except ValueError:
            return None


ANY = Opening()
"""Of a reader that is not known: it opens the file itself and calls `convert`."""


def written_as_scored(image: dict[str, Any], opening: Opening) -> dict[str, Any]:
    """The image, as PNG with the pixels that were scored where `opening` gives others; else the same object."""
    if not opening.shows_otherwise(image["bytes"]):
        return image
    return _as_png(open_image(image["bytes"]))


def within(image: dict[str, Any], least: int | None, most: int | None) -> dict[str, Any]:
    """The image resized to these numbers of pixels, as PNG; the same object where it has them."""
    from PIL import Image

    if scale(*size_of(image), least, most) is None:
        return image
    picture = open_image(image["bytes"])
    factor = scale(*picture.size, least, most) or 1.0
    rounded = math.floor if factor < 1 else math.ceil  # so that the limit is kept exactly
    width, height = (max(1, rounded(side * factor)) for side in picture.size)
    return _as_png(picture.resize((width, height), Image.Resampling.LANCZOS))


def size_of(image: dict[str, Any]) -> tuple[int, int]:
    """Width and height as they are stored."""
    from PIL import Image

    with Image.open(BytesIO(image["bytes"])) as opened:
        width, height = opened.size
    return width, height


def scale(width: int, height: int, least: int | None, most: int | None) -> float | None:
    """What both sides are multiplied with to come within limits of pixels; None where they are."""
    pixels = width * height
    if most and pixels > most:
        return math.sqrt(most / pixels)
    if least and pixels < least:
        return math.sqrt(least / pixels)
    return None


def _as_png(picture: Image.Image) -> dict[str, Any]:
    file = BytesIO()
    picture.save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}
