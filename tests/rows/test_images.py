import base64
import io

import numpy as np
import pytest
from PIL import Image

from hf_rap.errors import RowError
from hf_rap.rows.images import encoded_bytes, fingerprint, open_image
from hf_rap.rows.media import allowed

RED = (255, 0, 0)


def encoded(image, file_format="PNG", **options):
    out = io.BytesIO()
    image.save(out, file_format, **options)
    return out.getvalue()


def red(mode="RGB", size=(8, 6)):
    return Image.new("RGB", size, "red").convert(mode)


def colours(image):
    """The distinct colours, to compare a plain image as a whole."""
    return {colour for _, colour in image.getcolors()}


@pytest.mark.parametrize("file_format", ["PNG", "GIF", "TIFF", "BMP", "WEBP"])
def test_every_lossless_format_opens_as_rgb(file_format):
    """The pixels come out as they went in, always as RGB."""
    image = open_image(encoded(red(), file_format, **({"lossless": True} if file_format == "WEBP" else {})))

    assert (image.mode, image.size, colours(image)) == ("RGB", (8, 6), {RED})


def test_jpeg_opens_as_rgb():
    """JPEG loses a little; red stays red."""
    assert open_image(encoded(red(), "JPEG")).getpixel((3, 3)) == (254, 0, 0)


def test_cmyk_jpeg_becomes_rgb():
    """Print colours are converted."""
    r, g, b = open_image(encoded(red("CMYK"), "JPEG")).getpixel((3, 3))

    assert r > 240
    assert max(g, b) < 15


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("L", 200, (200, 200, 200)),
        ("1", 1, (255, 255, 255)),
        ("RGBA", (255, 0, 0, 255), RED),
        ("RGBA", (0, 0, 0, 0), (255, 255, 255)),
        # half transparent black over white: 255 * (1 - 128 / 255) = 127
        ("RGBA", (0, 0, 0, 128), (127, 127, 127)),
        ("LA", (0, 0), (255, 255, 255)),
        ("LA", (0, 255), (0, 0, 0)),
    ],
)
def test_transparent_pixels_show_white(mode, colour, expected):
    """Black lines on a transparent ground stay visible."""
    assert colours(open_image(encoded(Image.new(mode, (8, 6), colour)))) == {expected}


def test_transparent_palette_entry_shows_white():
    """A palette image may name one entry transparent."""
    image = Image.new("P", (8, 6), 0)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.paste(1, (0, 0, 4, 6))

    opened = open_image(encoded(image, transparency=0))

    assert (opened.getpixel((0, 0)), opened.getpixel((7, 5))) == (RED, (255, 255, 255))


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_not_clipped(file_format):
    """0, half and full of 65,535 come out as 0, 128 and 255."""
    pixels = np.repeat(np.array([[0, 32896, 65535, 257]], dtype=np.uint16), 4, axis=0)

    opened = open_image(encoded(Image.fromarray(pixels), file_format))

    # 257 = 65535 / 255 is one step of 8 bits
    assert [opened.getpixel((x, 0)) for x in range(4)] == [(0,) * 3, (128,) * 3, (255,) * 3, (1,) * 3]


def test_16_bit_values_in_mode_i_are_scaled_alike():
    """Older Pillow opens 16-bit PNGs as mode I; the pixels must not depend on that."""
    pixels = np.full((4, 4), 32896, dtype=np.int32)

    assert colours(open_image(Image.fromarray(pixels))) == {(128, 128, 128)}


def test_32_bit_values_are_scaled_to_their_largest():
    """There is no telling what white was, and clipping would lose the picture."""
    pixels = np.repeat(np.array([[0, 500_000, 1_000_000, 1_000_000]], dtype=np.int32), 4, axis=0)

    opened = open_image(Image.fromarray(pixels))

    assert [opened.getpixel((x, 0))[0] for x in range(3)] == [0, 128, 255]


@pytest.mark.parametrize(("value", "expected"), [(0.5, 128), (1.0, 255), (200.0, 200), (float("nan"), 0)])
def test_float_pixels_are_shares_of_white_up_to_one(value, expected):
    """Above 1 they are 8-bit values."""
    image = Image.fromarray(np.full((4, 4), value, dtype=np.float32))

    assert colours(open_image(encoded(image, "TIFF"))) == {(expected,) * 3}


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG"])
def test_animation_gives_its_first_frame(file_format):
    """The other frames are not looked at."""
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "lime", "blue")]
    data = encoded(
        frames[0], file_format, save_all=True, append_images=frames[1:],
        **({"lossless": True} if file_format == "WEBP" else {}),
    )  # fmt: skip

    assert colours(open_image(data)) == {RED}


def test_exif_orientation_is_applied():
    """As `datasets` does on decoding: orientation 6 turns a lying image upright."""
    exif = Image.Exif()
    exif[0x0112] = 6

    assert open_image(encoded(red(size=(8, 6)), "JPEG", exif=exif)).size == (6, 8)


def test_every_way_of_storing_gives_the_same_image(tmp_path, monkeypatch):
    """Struct, bytes, path, URL, base64, PIL and array are one image."""
    monkeypatch.chdir(tmp_path)
    image = Image.effect_noise((16, 12), 50).convert("RGB")
    data = encoded(image)
    (tmp_path / "a b#1.png").write_bytes(data)
    text = base64.b64encode(data).decode()
    ways = [
        {"bytes": data, "path": None},
        {"bytes": data, "path": "gone.png"},
        {"bytes": None, "path": str(tmp_path / "a b#1.png")},
        {"url": f"data:image/png;base64,{text}"},
        data,
        bytearray(data),
        tmp_path / "a b#1.png",
        str(tmp_path / "a b#1.png"),
        "a b#1.png",
        f"file://{tmp_path}/a%20b#1.png",
        f"data:image/png;base64,{text}",
        text,
        image,
        np.asarray(image),
    ]

    with allowed([tmp_path]):
        assert {open_image(way).tobytes() for way in ways} == {image.tobytes()}


def test_grey_array_becomes_rgb():
    """With and without the last axis of one channel."""
    grey = np.full((5, 7), 9, dtype=np.uint8)

    assert [open_image(array).size for array in (grey, grey[:, :, None])] == [(7, 5), (7, 5)]


def test_the_callers_image_is_left_alone():
    """What comes out can be changed without changing what went in."""
    image = red()
    open_image(image).paste((0, 0, 255), (0, 0, 8, 6))

    assert colours(image) == {RED}


def noise_png():
    return encoded(Image.effect_noise((64, 64), 80))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "image 2 of 3: the image is null"),
        ({"bytes": None, "path": None}, r"image 2 of 3: the image is null \(keys: bytes, path\)"),
        ({}, r"image 2 of 3: the image is null \(keys: none\)"),
        (b"", r"image 2 of 3: the image file is empty \(0 bytes\)"),
        (b"<html>not here", "14 bytes are not an image that Pillow knows$"),
        (noise_png()[:1000], r"what is stored \(1000 bytes\) cannot be decoded \(.*truncated"),
        ("gone.png", "'gone.png'( lies outside of the dataset's own folder| that can be read)"),
        ("/home/someone/data/images/gone.png", "image 2 of 3: 'gone.png' lies outside of the dataset's own folder"),
        ("https://example.com/a.png", "https URLs are not fetched .*: download the image and give its path"),
        ("hf://datasets/a/b/c.png", "hf URLs are not fetched"),
        ("data:image/png;base64,abc", "the data URL holds broken base64"),
        (3, "a int is not an image"),
        (np.zeros((3, 8, 8), dtype=np.uint8), r"an array of shape \(3, 8, 8\) and type uint8 is not an image"),
        (np.zeros((8, 8)), r"an array of shape \(8, 8\) and type float64 is not an image"),
        (red(size=(1, 1)), "1 x 1 pixels are too few: model processors need 4 x 4"),
        (red(size=(100, 3)), "100 x 3 pixels are too few"),
        (Image.new("RGB", (0, 5)), "the image is 0 x 5 pixels"),
        (red(size=(805, 4)), "805 x 4 pixels: one side is over 200 times the other"),
    ],
)
def test_unusable_image_says_what_was_found(value, message):
    """The error names the position of the image and the fault in it."""
    with pytest.raises(RowError, match=message) as caught:
        open_image(value, "image 2 of 3")

    assert caught.value.code == "image_unreadable"


@pytest.mark.parametrize("size", [(4, 4), (800, 4), (4, 800)])
def test_smallest_and_longest_allowed_images_open(size):
    """Both limits are inclusive."""
    assert open_image(red(size=size)).size == size


def test_decompression_bomb_is_refused(monkeypatch):
    """Pillow's own limit applies."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)

    with pytest.raises(RowError, match=r"image: what is stored .* cannot be decoded \(Image size \(48 pixels\)"):
        open_image(encoded(red()))


def test_broken_png_is_a_row_error():
    """Pillow answers a damaged header with another exception than a truncated file."""
    data = bytearray(noise_png())
    data[20:24] = b"\xff\xff\xff\xff"

    with pytest.raises(RowError, match="image_unreadable: image: "):
        open_image(bytes(data))


def test_encoded_bytes_are_those_of_the_file(tmp_path):
    """Whatever leads to the file; a decoded image has none."""
    data = encoded(red(), "JPEG")
    (tmp_path / "a.jpg").write_bytes(data)
    ways = [data, {"bytes": data, "path": "x"}, tmp_path / "a.jpg", {"bytes": None, "path": str(tmp_path / "a.jpg")}]

    with allowed([tmp_path]):
        assert {encoded_bytes(way) for way in ways} == {data}
    assert [encoded_bytes(way) for way in (red(), np.zeros((4, 4)), "gone.jpg", "https://a/b.png", None)] == [None] * 5


def test_palette_images_that_differ_in_colours_have_other_fingerprints():
    """The same indices in another palette are another picture."""
    images = [Image.new("P", (4, 4), 0) for _ in range(3)]
    for image, palette in zip(images, ([1, 2, 3], [1, 2, 3], [9, 9, 9]), strict=True):
        image.putpalette(palette)
    first, same, other = map(fingerprint, images)

    assert first == same != other


def test_fingerprint_of_an_image_in_a_struct_is_that_of_the_image():
    """verl writes {"image": <PIL>}; no memory address may get into the fingerprint."""
    assert fingerprint({"image": red()}) == fingerprint(red())


def test_broken_lazy_image_still_has_a_fingerprint():
    """The row's id must exist although its image does not open."""
    image = Image.open(io.BytesIO(noise_png()[:1000]))

    assert fingerprint(image) == b"L (64, 64): broken"
