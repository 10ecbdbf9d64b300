"""A row has one id, however it is stored and read."""

import base64
import io

import datasets
import numpy as np
import pytest
from PIL import Image

from hf_rap.columns import ID, typed
from hf_rap.evidence.collector import Collector, collect_evidence
from hf_rap.rows.images import picture_digest
from hf_rap.rows.layouts import Layout
from hf_rap.rows.media import allowed
from hf_rap.rows.questions import content_id, raw_rows, read_question, row_id, stored_digest
from hf_rap.runs.index import read_rows

PLAIN = Layout("question", "image", "answer")
ORIENTATION = 0x0112
PIXELS = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)


def saved(image, form, **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def turned():
    """Lies on its side, as phones write it."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    return saved(Image.fromarray(PIXELS), "JPEG", exif=exif)


def with_transparent_colour():
    """A palette with a colour that is see-through."""
    image = Image.fromarray(PIXELS).quantize(16)
    return saved(image, "PNG", transparency=3)


FILES = {
    "PNG": saved(Image.fromarray(PIXELS), "PNG"),
    "JPEG": saved(Image.fromarray(PIXELS), "JPEG"),
    "turned JPEG": turned(),
    "CMYK JPEG": saved(Image.fromarray(PIXELS).convert("CMYK"), "JPEG"),
    "palette with transparency": with_transparent_colour(),
    "RGBA": saved(Image.fromarray(PIXELS).convert("RGBA").rotate(30), "PNG"),
    "grey and alpha": saved(Image.fromarray(PIXELS).convert("LA"), "PNG"),
    "one bit": saved(Image.fromarray(PIXELS).convert("1"), "PNG"),
    "sixteen bits": saved(Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257), "PNG"),
    "WebP": saved(Image.fromarray(PIXELS), "WEBP"),
    "two pixels high": saved(Image.fromarray(PIXELS[:2]), "PNG"),  # which processors refuse
}


def table(*files):
    """Rows as `load_dataset` gives them."""
    features = datasets.Features(
        {"question": datasets.Value("string"), "image": datasets.Image(), "answer": datasets.Value("string")}
    )
    images = [{"bytes": file, "path": None} for file in files]
    rows = {"question": ["Find x."] * len(files), "image": images, "answer": ["3"] * len(files)}
    return datasets.Dataset.from_dict(rows, features=features)


def ids_of(ds, layout=PLAIN):
    """As a callable of `map` sees the rows."""
    found = []

    def note(batch):
        found.extend(row_id(row, layout) for row in raw_rows(batch, layout))
        return {"seen": [True] * len(batch[layout.question])}

    list(ds.map(note, batched=True))
    return found


ALL = table(*FILES.values())


def as_texts(texts):
    return ALL.remove_columns("image").add_column("image", list(texts))


def on_disk(folder):
    """The paths of the files."""
    paths = [folder / f"{number}.picture" for number in range(len(FILES))]
    for path, file in zip(paths, FILES.values(), strict=True):
        path.write_bytes(file)
    return [str(path) for path in paths]


def undecoded_table(folder):
    return ALL.cast_column("image", datasets.Image(decode=False))


def stream(folder):
    """Its pictures are decoded."""
    return ALL.to_iterable_dataset()


def undecoded_stream(folder):
    return undecoded_table(folder).to_iterable_dataset()


def stream_of_a_file(folder):
    ALL.to_parquet(folder / "rows.parquet")
    return datasets.load_dataset("parquet", data_files=str(folder / "rows.parquet"), split="train", streaming=True)


def files_beside_the_table(folder):
    paths = iter(on_disk(folder))
    return ALL.map(lambda _: {"image": {"bytes": None, "path": next(paths)}}, load_from_cache_file=False)


def paths(folder):
    return as_texts(on_disk(folder))


def in_base64(folder):
    return as_texts(base64.b64encode(file).decode() for file in FILES.values())


def data_urls(folder):
    return as_texts("data:image/png;base64," + base64.b64encode(file).decode() for file in FILES.values())


def encoded_again(folder):
    """Other files with the same pixels: a copy has forgotten that it was a JPEG, `datasets` drops transparent colours."""

    def decoded(row):
        image = row["image"]
        return {"image": image.convert("RGBA") if image.mode == "P" else image.copy()}

    return ALL.map(decoded, load_from_cache_file=False)


def lists(folder):
    features = datasets.Features({**ALL.features, "image": datasets.List(datasets.Image())})
    stored = ALL.with_format("arrow")[:].to_pydict()
    return datasets.Dataset.from_dict({**stored, "image": [[one] for one in stored["image"]]}, features=features)


def lists_in_a_stream(folder):
    return lists(folder).to_iterable_dataset()


WAYS = (
    undecoded_table,
    stream,
    undecoded_stream,
    stream_of_a_file,
    files_beside_the_table,
    paths,
    in_base64,
    data_urls,
    encoded_again,
    lists,
    lists_in_a_stream,
)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_the_id_is_the_same_in_every_way_of_reading(way, tmp_path):
    """Decoded or not, streamed or not, in memory or by its path."""
    expected = dict(zip(FILES, ids_of(ALL), strict=True))
    with allowed([tmp_path]):
        assert dict(zip(FILES, ids_of(way(tmp_path)), strict=True)) == expected
    assert len(set(expected.values())) == len(FILES)


def test_a_picture_in_memory_counts_as_its_file():
    """PIL and uint8 arrays, as plain callables get them."""
    expected = content_id("Q", [FILES["PNG"]], "3")
    for image in (
        Image.fromarray(PIXELS),
        PIXELS,
        {"image": Image.fromarray(PIXELS)},
        Image.open(io.BytesIO(FILES["PNG"])),
    ):
        assert content_id("Q", [image], "3") == expected
    assert content_id("Q", [PIXELS[..., ::-1]], "3") != expected
    assert content_id("Q", [PIXELS.reshape(32, 24, 3)], "3") != expected  # the same bytes in another shape


def test_what_a_model_is_asked_has_the_id_of_its_row():
    """`read_question` makes the id of the pictures that it has opened."""
    for name, file in FILES.items():
        row = table(file).with_format("arrow")[:].to_pylist()[0]
        if name != "two pixels high":
            assert read_question(row, PLAIN).id == row_id(row, PLAIN)


def test_digests_are_pinned():
    """Published ids must not change, nor the keys of run folders; `test_layouts` pins the id of a whole row."""
    # blake2b over b"pixels:2 x 1:" and the bytes 1 to 6
    pixels = np.array([[[1, 2, 3], [4, 5, 6]]], dtype=np.uint8)
    assert picture_digest(pixels).hex() == "f6477f654328ef140f6788e7fb97cd2ed735eb75013cc9cef51a9a020ab88c93"
    # three parts, each after its length: b"<image>How many?", b"file:not really a PNG", b'"3"'
    row = {"question": "How many?", "image": b"not really a PNG", "answer": "3"}
    assert stored_digest(row, PLAIN) == "30b052cb765dd09ab7f79de22a86826e"


def test_pictures_that_look_the_same_are_the_same():
    """Grey stored as grey or as colour, opaque with and without an alpha channel; another pixel is another picture."""
    grey = Image.fromarray(PIXELS).convert("L")
    assert content_id("Q", [saved(grey, "PNG")], "3") == content_id("Q", [saved(grey.convert("RGB"), "BMP")], "3")
    opaque = Image.fromarray(PIXELS)
    assert content_id("Q", [opaque], "3") == content_id("Q", [opaque.convert("RGBA")], "3")
    other = PIXELS.copy()
    other[0, 0, 0] ^= 1
    assert content_id("Q", [other], "3") != content_id("Q", [PIXELS], "3")


def test_what_cannot_be_decoded_counts_by_its_file_or_name():
    """The row is refused, and still has an id of its own."""
    ids = [content_id("Q", [image], "3") for image in (b"broken", b"broken too", "gone.png", "gone too.png", None)]
    assert len(set(ids)) == 5
    assert ids[0] == content_id("Q", [{"bytes": b"broken", "path": None}], "3")


@pytest.mark.parametrize("answer", [3, "3", np.int64(3)])
def test_equal_rows_of_several_sources_have_equal_ids(answer, tmp_path):
    """One source has a text and a struct, another a chat and paths; one has numbers where another has texts."""
    (tmp_path / "a.png").write_bytes(FILES["PNG"])
    rows = [
        ({"question": "Find x.", "image": Image.fromarray(PIXELS), "answer": answer}, PLAIN),
        (
            {
                "prompt": [{"role": "user", "content": "<image>Find x."}],
                "images": [str(tmp_path / "a.png")],
                "reward_model": {"style": "rule", "ground_truth": answer},
                "data_source": "geo",
            },
            Layout("prompt", "images", "reward_model.ground_truth", source="data_source"),
        ),
        (
            {
                "conversations": [{"from": "human", "value": "<image>Find x."}, {"from": "gpt", "value": "3"}],
                "image": {"bytes": FILES["PNG"], "path": "elsewhere.png"},
            },
            Layout("conversations", "image", "conversations"),
        ),
    ]
    with allowed([tmp_path]):
        assert {row_id(row, layout) for row, layout in rows} == {content_id("<image>Find x.", [FILES["PNG"]], "3")}


def test_numbers_inside_an_answer_count_by_their_text():
    """Lists of accepted answers; null is no text."""
    assert content_id("Q", [], [3, "4"]) == content_id("Q", [], ("3", 4)) == content_id("Q", [], np.array([3, 4]))
    assert content_id("Q", [], None) != content_id("Q", [], "None")
    assert content_id("Q", [], {"a": 1}) == content_id("Q", [], {"a": "1"}) != content_id("Q", [], {"b": "1"})


def test_options_are_part_of_the_id():
    """In order; and no option is taken for a question or an answer."""
    ids = [content_id("Q", [], "3", options) for options in ((), ("3",), ("3", "4"), ("4", "3"), ("34",))]
    assert len(set(ids)) == len(ids)


class Ids(Collector):
    """Collects nothing but the ids."""

    kind = "ids"
    engine = None
    layout = None

    writes = (ID,)

    def __call__(self, batch):
        layout = self.check(batch.keys())
        return typed({ID: [row_id(row, layout) for row in raw_rows(batch, layout)]})


@pytest.mark.parametrize("style", [None, "numpy", "torch", "pandas", "arrow"])
def test_a_format_does_not_change_the_id(style):
    """`collect_evidence` and run folders read what is stored."""
    expected = ids_of(ALL)
    assert collect_evidence(ALL.with_format(style), Ids())["rap_id"][:] == expected
    assert [row.id for row in read_rows(ALL.with_format(style), Ids(), PLAIN)] == expected


def test_a_run_knows_a_row_however_it_is_stored(tmp_path):
    """So evidence is found again when the rows were decoded and written anew; a row with an id of its own goes by its file."""
    ds = table(FILES["PNG"], FILES["JPEG"])
    again = ds.map(lambda row: {"image": row["image"].copy()}, load_from_cache_file=False)
    keys, keys_again = ([row.key for row in read_rows(rows, Ids(), PLAIN)] for rows in (ds, again))
    assert keys == keys_again
    assert len(set(keys)) == 2
    named = Layout("question", "image", "answer", id="id")
    keys, keys_again = (
        [row.key for row in read_rows(rows.add_column("id", ["a", "b"]), Ids(), named)] for rows in (ds, again)
    )
    assert keys[1] != keys_again[1]  # the JPEG has become a PNG: asked again, and by its id with the same answer
