"""Every way a dataset stores an image -> one RGB image that a processor can take.

A value that cannot become one raises `RowError("image_unreadable")`: the row is set aside with the
reason, the run goes on.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from hashlib import blake2b
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from hf_rap.errors import RowError, warnings_stay_warnings

from .crowding import CrowdedError, decoding, hold
from .media import KEYS, MAX_PIXELS, Barred, Named, read_named, read_regular

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL import Image

# Height 1 or 3 makes processors mistake rows of pixels for colour channels, and such an image shows nothing.
MIN_SIDE = 4
# The Qwen processors raise above this.
MAX_ASPECT_RATIO = 200

_ROWS_HASHED = 1024  # of pixels, at once

ORIENTATION = 0x0112  # in EXIF

# A shorter string is taken for the name of a missing file; the smallest PNG has 67 bytes, 92 as base64.
_MIN_BASE64 = 64


class _Unreadable(Barred):
    """What is wrong with an image."""


@warnings_stay_warnings()
def open_image(value: Any, where: str = "image") -> Image.Image:
    """The image as upright 8-bit RGB.

    Takes what datasets hold: a {"bytes", "path"} struct, encoded bytes, a name (a path, a file: URL, a member of a zip
    file), a data: URL, base64, a PIL image, or a uint8 array (height, width[, 3 or 4]). What a name leads to has to pass
    `hf_rap.rows.media`; a `Path` is the word of a program, not of a row, and is opened wherever it leads. Remote URLs are
    not fetched.

    EXIF orientation is applied, as `datasets` does on decoding. Transparent pixels show white, the
    colour of the page most figures were drawn for (black would hide black lines). 16-bit greys
    are scaled to 8 bits, not clipped. Of an animation the first frame counts.

    Args:
        value: what the dataset holds.
        where: the image's position, for messages ("image 2 of 3").

    Raises:
        RowError: `image_unreadable`. Also for images that trainers' processors refuse: a side
            under 4 pixels, or one side over 200 times the other.

    """
    try:
        picture = _opened(value)
        hold(picture.width * picture.height)
        image = _decoded(picture)
        _check_size(*image.size)
    except CrowdedError:  # no fault of the picture
        raise
    except Barred as error:
        raise RowError("image_unreadable", f"{where}: {error}") from error
    except Exception as error:
        # Image decoders answer broken data with almost any exception (SyntaxError, struct.error, zlib.error, ...).
        raise RowError("image_unreadable", f"{where}: {_what_is(value)} cannot be decoded ({error})") from error
    return image


def encoded_bytes(value: Any) -> bytes | None:
    """The bytes of the image file, exactly as stored; None when there are none to be had.

    None stands for a decoded image (PIL, array), a missing file and a remote URL alike.
    """
    try:
        content = _source(value)
    except (Barred, OSError):
        return None
    return content if isinstance(content, bytes) else None


def is_picture(content: bytes) -> bool:
    """Pillow knows the format by the first bytes; nothing is decoded."""
    from PIL import Image

    try:
        Image.open(BytesIO(content)).close()
    except Exception:  # noqa: BLE001 - decoders answer broken data with almost any exception, see `open_image`
        return False
    return True


def picture_digest(value: Any) -> bytes:
    """32 bytes that name the picture, however it is stored: of its size and its pixels as `open_image` shows them.

    A stream hands out pictures that are decoded already, and whose file is gone, so a file counts by what is seen in it.
    What cannot be decoded counts by its file, else by its name.
    """
    digest = blake2b(digest_size=32)
    try:
        picture = _shown(_opened(value))
        digest.update(b"pixels:%d x %d:" % picture.size)
        for part in _strips(picture):
            digest.update(part.tobytes())
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - decoders answer broken data with almost any exception, see `open_image`
        digest.update(fingerprint(value))
    return digest.digest()


def _strips(picture: Image.Image) -> Iterator[Image.Image]:
    """A picture from top to bottom, in parts where it is large: no second copy of all its pixels."""
    width, height = picture.size
    if height <= _ROWS_HASHED:
        yield picture
        return
    for top in range(0, height, _ROWS_HASHED):
        yield picture.crop((0, top, width, min(top + _ROWS_HASHED, height)))


def fingerprint(value: Any) -> bytes:
    """The image as it is stored: its file, else its mode, size and pixels, else its name."""
    try:
        content = _source(value)
    except (Barred, OSError):
        return b"name:" + str(value.value if isinstance(value, Named) else value).encode("utf-8", "surrogatepass")
    if isinstance(content, bytes):
        return b"file:" + content
    if hasattr(content, "getpalette"):  # PIL
        head = f"{content.mode} {content.size}:"
        try:
            # The pixels of a palette image mean nothing without the palette.
            pixels = content.convert("RGBA") if content.mode in ("P", "PA") else content
            return b"".join((head.encode(), pixels.tobytes()))
        except (OSError, SyntaxError, ValueError):  # opened lazily, and broken
            return f"{head} broken".encode()
    if hasattr(content, "__array_interface__"):
        return b"".join((f"{content.dtype} {content.shape}:".encode(), content.tobytes()))
    return f"a {type(content).__name__}".encode()


def _source(value: Any) -> Any:
    """The file's bytes, or the decoded image as it came."""
    if isinstance(value, Named):
        return _bytes_at(value.name, value.roots)
    if isinstance(value, Mapping):
        content = next((value[key] for key in KEYS if value.get(key) is not None), None)
        if content is None:
            raise _Unreadable(f"the image is null (keys: {', '.join(map(str, value)) or 'none'})")
        return _source(content)
    if value is None:
        raise _Unreadable("the image is null")
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, os.PathLike):
        return read_regular(value)
    if isinstance(value, str):
        return _bytes_at(value, ())
    return value


def _bytes_at(text: str, roots: tuple[str, ...]) -> bytes:
    if text.startswith("data:"):
        return _data_url(text)
    return _base64(text) or read_named(text, roots)


def _data_url(text: str) -> bytes:
    head, _, body = text.partition(",")
    if not head.endswith(";base64"):
        return unquote_to_bytes(body)
    try:
        return base64.b64decode(body)
    except binascii.Error as error:
        raise _Unreadable(f"the data URL holds broken base64 ({error})") from error


def _base64(text: str) -> bytes | None:
    if len(text) < _MIN_BASE64:
        return None
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        return None


def _what_is(value: Any) -> str:
    try:
        content = _source(value)
    except (Barred, OSError):
        return "the file"
    return f"what is stored ({len(content)} bytes)" if isinstance(content, bytes) else f"a {type(content).__name__}"


def _opened(value: Any) -> Image.Image:
    """The picture, of which nothing is decoded yet."""
    from PIL import Image, UnidentifiedImageError

    content = _source(value)
    if isinstance(content, bytes):
        if not content:
            raise _Unreadable("the image file is empty (0 bytes)")
        try:
            content = Image.open(BytesIO(content))
        except UnidentifiedImageError as error:
            raise _Unreadable(f"{len(content):,} bytes are not an image that Pillow knows") from error
    elif hasattr(content, "__array_interface__") and not isinstance(content, Image.Image):
        content = _from_array(content)
    if not isinstance(content, Image.Image):
        raise _Unreadable(
            f"a {type(content).__name__} is not an image (known: bytes, path, URL, PIL image, uint8 array)"
        )
    if content.width * content.height > MAX_PIXELS:
        raise _Unreadable(f"{content.width:,} x {content.height:,} pixels are more than {MAX_PIXELS:,}")
    return content


def _decoded(image: Image.Image) -> Image.Image:
    with decoding(image.width * image.height):
        image.load()
        return _upright_rgb(image)


def _shown(image: Image.Image) -> Image.Image:
    """The same for looking at it alone: without a copy where nothing has to be done."""
    plain = image.mode == "RGB" and not image.has_transparency_data and image.getexif().get(ORIENTATION, 1) == 1
    if not plain or 0 in image.size:
        return _decoded(image)
    with decoding(image.width * image.height):
        image.load()
    return image


def _from_array(array: Any) -> Image.Image:
    from PIL import Image

    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.dtype != "uint8" or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise _Unreadable(
            f"an array of shape {tuple(array.shape)} and type {array.dtype} is not an image "
            "(uint8, height x width or height x width x 3 or 4)"
        )
    return Image.fromarray(array)


def _upright_rgb(image: Image.Image) -> Image.Image:
    from PIL import Image, ImageOps

    if 0 in image.size:
        raise _Unreadable(f"the image is {image.width} x {image.height} pixels")
    image = ImageOps.exif_transpose(image)  # always a new object: the caller's own is never handed out
    if image.mode.startswith("I") or image.mode == "F":
        image = _to_8_bit(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Grey in 16 or 32 bits or floats, scaled; `convert` would clip everything above 255 to white.

    Integers count as 16-bit (older Pillow opens 16-bit PNGs as mode I) unless one is larger, then
    the largest is white. Floats up to 1 are shares of white, otherwise 8-bit values.
    """
    import numpy as np
    from PIL import Image

    pixels = np.nan_to_num(np.asarray(image, dtype=np.float64))
    largest = pixels.max()
    white_of_floats = 1.0 if largest <= 1 else 255.0
    white = white_of_floats if image.mode == "F" else max(largest, 65535.0)
    return Image.fromarray(np.clip(np.rint(pixels * (255 / white)), 0, 255).astype(np.uint8))


def _check_size(width: int, height: int) -> None:
    if min(width, height) < MIN_SIDE:
        raise _Unreadable(f"{width} x {height} pixels are too few: model processors need {MIN_SIDE} x {MIN_SIDE}")
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise _Unreadable(
            f"{width} x {height} pixels: one side is over {MAX_ASPECT_RATIO} times the other, "
            "which model processors refuse"
        )
