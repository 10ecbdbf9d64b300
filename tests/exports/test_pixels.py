"""Pictures are trained with the pixels that were scored, or the hand-off says which are not."""

import io

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image as Pictures
from PIL import ImageDraw

from hf_rap import check_export, export, publish_to_folder, select_cognitive
from hf_rap.exports.limits import Limits
from hf_rap.exports.pictures import ANY, Opening
from hf_rap.exports.problems import AS_SCORED
from hf_rap.exports.trainers import TRAINERS
from hf_rap.rows.images import open_image

from .awkward import dataset, picture, row

UPRIGHT = Opening(upright=True)
ORIENTATION = 0x0112


def file_of(image: Pictures.Image, file_format: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def circle(mode: str = "RGBA") -> Pictures.Image:
    """A black circle on nothing."""
    image = Pictures.new("RGBA", (40, 30), (0, 0, 0, 0))
    ImageDraw.Draw(image).ellipse((5, 5, 25, 25), fill=(0, 0, 0, 255))
    return image.convert(mode)


def colour_key() -> bytes:
    """RGB in which one colour is transparent."""
    return file_of(Pictures.new("RGB", (40, 30), (9, 9, 9)), transparency=(9, 9, 9))


def deep() -> bytes:
    """Sixteen bits, from black to white."""
    return file_of(Pictures.fromarray(np.linspace(0, 65535, 40 * 30).reshape(30, 40).astype(np.uint16)))


def turned(orientation: int, file_format: str = "JPEG") -> bytes:
    exif = Pictures.Exif()
    exif[ORIENTATION] = orientation
    return file_of(Pictures.open(io.BytesIO(picture())), file_format, exif=exif)


def animation() -> bytes:
    """Two frames on a palette, without transparency."""
    frames = [Pictures.new("P", (40, 30), shade) for shade in (1, 2)]
    return file_of(frames[0], "GIF", save_all=True, append_images=frames[1:])


OTHERWISE = {
    "circle": file_of(circle()),
    "circle LA": file_of(circle("LA")),
    "circle P": file_of(circle("P"), transparency=0),
    "circle WebP": file_of(circle(), "WEBP", lossless=True),
    "colour key": colour_key(),
    "16 bits": deep(),
    "float": file_of(Pictures.fromarray(np.linspace(0, 1, 1200, dtype=np.float32).reshape(30, 40)), "TIFF"),
}
ALIKE = {
    "opaque RGBA": picture("RGBA"),
    "palette": picture("P"),
    "CMYK": picture("CMYK", "JPEG"),
    "grey": picture("L", "WEBP"),
    "bilevel": picture("1"),
    "GIF": animation(),
    "thin": picture(size=(800, 8)),
    "upright": turned(1),
}
TURNED = {"turned": turned(6), "flipped": turned(4), "turned PNG": turned(8, "PNG")}


@pytest.mark.parametrize("name", [*OTHERWISE, *TURNED])
def test_awkward_pictures_are_seen_otherwise(name):
    """By a loader that opens the file itself; one that goes through datasets turns photos, and no more."""
    content = {**OTHERWISE, **TURNED}[name]
    assert (ANY.shows_otherwise(content), UPRIGHT.shows_otherwise(content)) == (True, name in OTHERWISE)


@pytest.mark.parametrize("name", list(ALIKE))
def test_other_pictures_are_opened_alike(name):
    """So they keep their bytes; of an animation the first frame counts everywhere."""
    content = ALIKE[name]
    assert not ANY.shows_otherwise(content)
    plain = Pictures.open(io.BytesIO(content)).convert("RGB")
    assert plain.tobytes() == open_image(content).tobytes()


def test_mm_eureka_shows_white_behind_rgba_alone():
    """Its `to_rgb` looks at the mode, so a palette or grey with transparency is cut off."""
    opens = TRAINERS["mm-eureka"].accepts.opens
    assert [opens.shows_otherwise(OTHERWISE[name]) for name in ("circle", "circle LA", "circle P")] == [
        False,
        True,
        True,
    ]


def rows_of(names) -> list[dict]:
    pictures = {**OTHERWISE, **ALIKE, **TURNED}
    return [row(name, [pictures[name]]) for name in names]


@pytest.mark.parametrize("name", list(TRAINERS))
def test_rows_with_other_pixels_are_counted_and_named(name):
    """With --fix as the remedy; a circle that would be one flat colour is never silent."""
    ds = dataset(*rows_of([*ALIKE, "16 bits", "circle P", "turned"]))
    found = check_export(ds, to=name)
    upright = TRAINERS[name].accepts.opens.upright
    named = [one.row_id for one in found.seen_otherwise]
    assert named == (["16 bits", "circle P"] if upright else ["16 bits", "circle P", "turned"])
    assert found.fixable == {AS_SCORED: len(named)}
    assert f"trained with other pixels than were scored: {len(named)}" in found.table()
    assert "row 8 (16 bits): an image is transparent, has 16 bits or lies on its side" in found.table()
    assert found.ready == 11


@pytest.mark.parametrize("name", ["universal", "easyr1", "verl", "ms-swift", "llama-factory"])
def test_fix_writes_only_those_as_they_were_scored(tmp_path, name):
    """Pixels after the loader's own opening equal those that were scored; all other files keep their bytes."""
    everything = [*OTHERWISE, *ALIKE, *TURNED]
    ds = dataset(*rows_of(everything))
    done = export(ds, tmp_path / "out", to=name, fix=True, limits=Limits(val_rows=0))
    assert (done.handoff.seen_otherwise, done.handoff.fixable) == ((), {})
    upright = TRAINERS[name].accepts.opens.upright
    written = [one["images"][0]["bytes"] for one in pq.read_table(done.path / "train.parquet").to_pylist()]
    for key, content in zip(everything, written, strict=True):
        before = {**OTHERWISE, **ALIKE, **TURNED}[key]
        assert (content == before) == (key in ALIKE or (key in TURNED and upright))
        image = Pictures.open(io.BytesIO(content))
        shown = (open_image(content) if upright and key in TURNED else image.convert("RGB")).tobytes()
        assert shown == open_image(before).tobytes(), key


def test_published_versions_hold_the_pixels_that_were_scored(tmp_path):
    """`selected` for any reader; `scored` keeps every file."""
    names = ["circle", "turned", "palette"]
    ds = dataset(*rows_of(names)).add_column("rap_image_rewards", [[1.0, 0.0]] * 3)
    version = publish_to_folder(select_cognitive(ds, min_cde=0.2, replace_easy=False), tmp_path / "version")
    files = {}
    for config in ("selected", "scored"):
        rows = [one for path in version.path.glob(f"{config}/*.parquet") for one in pq.read_table(path).to_pylist()]
        files[config] = {one["id"]: one["images"][0]["bytes"] for one in rows}
    pictures = {**OTHERWISE, **ALIKE, **TURNED}
    assert files["scored"] == {name: pictures[name] for name in names}
    assert files["selected"]["palette"] == pictures["palette"]
    for name in names:
        shown = Pictures.open(io.BytesIO(files["selected"][name])).convert("RGB")
        assert shown.tobytes() == open_image(pictures[name]).tobytes()
        assert not ANY.shows_otherwise(files["selected"][name])


def test_a_turned_photo_is_resized_upright(tmp_path):
    """40 x 30 stored, 30 x 40 seen: times sqrt(300 / 1200) = 15 x 20."""
    ds = dataset(row("turned", [TURNED["turned"]]))
    done = export(ds, tmp_path / "out", to="trl", fix=True, limits=Limits(max_pixels=300))
    (one,) = pq.read_table(done.path / "train.parquet").to_pylist()
    assert Pictures.open(io.BytesIO(one["images"][0]["bytes"])).size == (15, 20)
