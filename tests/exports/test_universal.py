"""Rows of any layout get the columns that every trainer reads."""

import base64
import io

import pytest
from datasets import Dataset, Features, Image, List, Value
from PIL import Image as Pictures

from hf_rap.errors import RowError
from hf_rap.exports.universal import UNIVERSAL, universal_columns, universal_features
from hf_rap.rows.layouts import Layout
from hf_rap.rows.media import allowed
from hf_rap.rows.recognition import recognise_layout


def encoded(shade: int = 0) -> bytes:
    file = io.BytesIO()
    Pictures.new("L", (5, 4), shade).save(file, "PNG")
    return file.getvalue()


def first(batch: dict, layout: Layout | None = None, **options) -> dict:
    options = {"indices": [7], "data_source": "elsewhere", **options}
    made = universal_columns(batch, layout or recognise_layout(batch), **options)
    return {name: values[0] for name, values in made.items()}


def test_columns_and_types_agree():
    """What is made, described and typed is the same list in the same order."""
    made = universal_columns(
        {"images": [[]], "problem": ["?"], "answer": ["1"]}, Layout("problem", "images", "answer"), [0], data_source="x"
    )
    assert list(made) == list(UNIVERSAL) == list(universal_features())
    assert Dataset.from_dict(made, universal_features())[0]["prompt"] == [
        {"role": "user", "content": [{"type": "text", "text": "?"}]}
    ]


def test_chat_becomes_a_question():
    """verl: the answer is in a struct, the placeholder in the text; a system turn is the trainer's affair."""
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Find <image>x."}]
    row = first(
        {
            "prompt": [chat],
            "images": [[{"bytes": encoded(), "path": "/home/someone/a.png"}]],
            "reward_model": [{"style": "rule", "ground_truth": "4"}],
            "data_source": ["geo"],
        }
    )
    assert row["problem"] == "Find <image>x."
    assert row["messages"] == [{"role": "user", "content": "Find <image>x."}]
    assert [block["type"] for block in row["prompt"][0]["content"]] == ["text", "image", "text"]
    assert (row["answer"], row["data_source"]) == ("4", "geo")
    assert row["images"] == [{"bytes": encoded(), "path": "a.png"}]
    assert row["extra_info"]["index"] == 7


def test_row_without_a_source_has_that_of_the_dataset():
    """A null counts as none."""
    row = first({"image": [None], "question": ["?"], "answer": [3], "source": [None]})
    assert row["data_source"] == "elsewhere"
    assert row["answer"] == row["solution"] == row["reward_model"]["ground_truth"] == "3"


@pytest.mark.parametrize("kind", ["bytes", "base64", "path"])
def test_bytes_are_kept_however_they_are_stored(tmp_path, kind):
    """Base64, paths and bytes alike give the bytes of the file."""
    (tmp_path / "a.png").write_bytes(encoded(9))
    value = {"bytes": encoded(9), "path": str(tmp_path / "a.png"), "base64": base64.b64encode(encoded(9)).decode()}[
        kind
    ]
    with allowed([tmp_path]):
        assert first({"image": [value], "question": ["?"], "answer": ["1"]})["images"][0]["bytes"] == encoded(9)


def test_decoded_image_is_encoded_without_loss():
    """Where there is no file any more, the pixels count."""
    picture = Pictures.new("RGB", (5, 4), "red")
    (image,) = first({"image": [picture], "question": ["?"], "answer": ["1"]})["images"]
    assert Pictures.open(io.BytesIO(image["bytes"])).tobytes() == picture.tobytes()


def test_works_in_map():
    """As a function for `Dataset.map`, without decoding: the bytes come out as they went in."""
    features = Features({"images": List(Image()), "problem": Value("string"), "answer": Value("string")})
    rows = {"images": [[{"bytes": encoded(3), "path": None}]], "problem": ["?"], "answer": ["1"]}
    ds = Dataset.from_dict(rows, features)
    made = ds.map(
        lambda batch, indices: universal_columns(batch, recognise_layout(batch), indices, data_source="d"),
        batched=True,
        with_indices=True,
        features=universal_features(),
        remove_columns=ds.column_names,
        new_fingerprint="universal",  # else the function is hashed with all that its module holds
    )
    assert made.with_format("arrow")[:]["images"].to_pylist() == [[{"bytes": encoded(3), "path": None}]]


def test_row_that_no_trainer_could_use_is_named():
    """Number, id and what is wrong."""
    with pytest.raises(RowError, match=r"^placeholder_mismatch: row 7 \(id 'x'\): the question has") as caught:
        first({"images": [[]], "problem": ["<image>?"], "answer": ["1"], "id": ["x"]})
    assert caught.value.code == "placeholder_mismatch"


def test_published_columns_are_recognised():
    """A version of ours is read as what it is, accepted answers and all."""
    assert recognise_layout(UNIVERSAL).name == "hf_rap"
