import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import datasets
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hf_rap.errors import SourceError
from hf_rap.rows.images import open_image
from hf_rap.rows.sources import Source, load_source, parse_source

TWO = {"question": ["a", "b"], "answer": [1, 2]}


@pytest.fixture(autouse=True)
def _own_cache_and_folder(tmp_path, monkeypatch):
    """No test sees the cache of another, and relative paths start in an empty folder."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def write_lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_folder(path, configs, splits=("train",)):
    """A folder as on the Hub, each config with its splits in one Parquet file each."""
    lines = ["---", "license: cc-by-4.0", "configs:"]
    for config, is_default in configs.items():
        lines += [f"- config_name: {config}", *(["  default: true"] if is_default else []), "  data_files:"]
        for split in splits:
            lines += [f"  - split: {split}", f"    path: {config}/{split}.parquet"]
            (path / config).mkdir(parents=True, exist_ok=True)
            datasets.Dataset.from_dict({"of": [f"{config} {split}"]}).to_parquet(path / config / f"{split}.parquet")
    (path / "README.md").write_text("\n".join([*lines, "---", "# Card"]))


@pytest.mark.parametrize(
    ("text", "expected", "is_local"),
    [
        ("gpqa", Source("gpqa"), False),
        ("user/name", Source("user/name"), False),
        ("user/name:main", Source("user/name", "main"), False),
        ("user/name@v1.2.0", Source("user/name", None, "v1.2.0"), False),
        ("user/name@refs/pr/3", Source("user/name", None, "refs/pr/3"), False),
        ("user/name#validation", Source("user/name", None, None, "validation"), False),
        ("user/name#train[:10%]", Source("user/name", None, None, "train[:10%]"), False),
        ("user/name:c@r#s", Source("user/name", "c", "r", "s"), False),
        (" user/name ", Source("user/name"), False),
        ("./folder:scored#test", Source("./folder", "scored", None, "test"), True),
        ("/data/a.parquet", Source("/data/a.parquet"), True),
        ("data/*.jsonl", Source("data/*.jsonl"), True),
        ("train.jsonl.gz", Source("train.jsonl.gz"), True),
        ("~/data", Source("~/data"), True),
        ("../name", Source("../name"), True),
        (r"C:\data:scored", Source(r"C:\data", "scored"), True),
    ],
)
def test_source_is_taken_apart(text, expected, is_local):
    """Name, config, revision and split; and whether it is on this machine."""
    source = parse_source(text)

    assert (source, source.is_local) == (expected, is_local)


def test_existing_path_with_marks_in_its_name_is_that_path():
    """`:`, `@` and `#` are legal in file names, also in front of a config."""
    Path("a:b@c#d").mkdir()

    assert parse_source("a:b@c#d") == Source("a:b@c#d")
    assert parse_source("a:b@c#d").is_local


def test_existing_folder_goes_before_the_hub():
    """As in `load_dataset`."""
    Path("user/name").mkdir(parents=True)

    assert parse_source("user/name:scored").is_local


@pytest.mark.parametrize("text", ["", "  "])
def test_empty_source_is_refused(text):
    """With what could be given."""
    with pytest.raises(SourceError, match="The source is empty: give a Hub id, a folder, or Parquet or JSON files"):
        parse_source(text)


WORD = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,8}", fullmatch=True)


@given(
    st.builds(
        Source,
        st.builds("{}/{}".format, WORD, WORD),
        st.none() | WORD,
        st.none() | WORD | st.builds("refs/pr/{}".format, st.integers(0)),
        st.none() | WORD | st.builds("{}[:{}%]".format, WORD, st.integers(1, 100)),
    )
)
def test_source_round_trips_through_its_text(source):
    """What `str` writes, `parse_source` reads."""
    assert parse_source(str(source)) == source


def test_parquet_keeps_its_image_feature(tmp_path):
    """Images stay what they are."""
    features = datasets.Features({"image": datasets.Image()})
    ds = datasets.Dataset.from_dict({"image": [Image.new("RGB", (8, 6), "red")]}, features=features)
    ds.to_parquet(tmp_path / "a.parquet")

    loaded = load_source(str(tmp_path / "a.parquet"))

    assert loaded.features == features
    assert loaded[0]["image"].getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a[1].jsonl", "a b#1.jsonl", "a.ndjson"])
def test_json_lines_are_read_whatever_the_file_is_called(tmp_path, name):
    """datasets takes names for patterns; marks in them must not count."""
    write_lines(tmp_path / name, [{"question": "a", "answer": 1}, {"question": "b", "answer": 2}])

    assert load_source(str(tmp_path / name)).to_dict() == TWO


def test_json_array_and_gzip_are_read(tmp_path):
    """The two other shapes of JSON files."""
    rows = [{"question": "a", "answer": 1}, {"question": "b", "answer": 2}]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    with gzip.open(tmp_path / "b.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)

    assert [load_source(str(tmp_path / name)).to_dict() for name in ("a.json", "b.jsonl.gz")] == [TWO, TWO]


def test_pattern_reads_all_files_in_the_order_of_their_names():
    """Relative to the working directory, like any path."""
    for name in ("b", "a"):
        write_lines(Path("data") / f"{name}.jsonl", [{"question": name}])

    assert load_source("data/*.jsonl")["question"][:] == ["a", "b"]


def named(path):
    """A picture that is not opened yet."""
    return {"bytes": None, "path": str(path)}


def test_image_paths_start_at_the_folder_of_their_file(tmp_path):
    """Two folders may use the same names for other pictures; ids that look like paths stay."""
    for folder, colour in (("one", "red"), ("two", "blue")):
        write_lines(
            tmp_path / folder / "train.jsonl",
            [{"id": "p/a.png", "question": "see a.png", "images": ["p/a.png", "https://x/b.png"], "photo": "p/a.png"}],
        )
        (tmp_path / folder / "p").mkdir()
        Image.new("RGB", (8, 6), colour).save(tmp_path / folder / "p" / "a.png")

    rows = load_source(f"{tmp_path}/*/train.jsonl")[:]

    assert rows == {
        "id": ["p/a.png"] * 2,
        "question": ["see a.png"] * 2,
        "images": [[named(f"{tmp_path}/{folder}/p/a.png"), named("https://x/b.png")] for folder in ("one", "two")],
        "photo": ["p/a.png"] * 2,
    }
    first = [Path(images[0]["path"]) for images in rows["images"]]
    assert [open_image(path).getpixel((0, 0)) for path in first] == [(255, 0, 0), (0, 0, 255)]


@pytest.mark.parametrize("where", [".", "data"])
def test_image_paths_in_a_folder_start_there_or_beside_the_data(tmp_path, where):
    """Both are in use."""
    folder = tmp_path / "set"
    write_lines(folder / "data" / "train.jsonl", [{"question": "q", "image": "a.png"}])
    Image.new("RGB", (8, 6), "red").save(folder / where / "a.png")

    assert load_source(str(folder))["image"][:] == [named(folder / where / "a.png")]


def test_image_paths_start_at_the_folder_itself_where_both_fit(tmp_path):
    """The folder is what the user named."""
    folder = tmp_path / "set"
    write_lines(folder / "data" / "train.jsonl", [{"question": "q", "image": "a.png"}])
    for where in (folder, folder / "data"):
        Image.new("RGB", (8, 6), "red").save(where / "a.png")

    assert load_source(str(folder))["image"][:] == [named(folder / "a.png")]


def test_folder_gives_its_default_config(tmp_path):
    """A version that hf_rap wrote: `selected` unless asked for another."""
    write_folder(tmp_path / "set", {"scored": False, "selected": True})

    assert load_source(str(tmp_path / "set")).to_dict() == {"of": ["selected train"]}
    assert load_source(f"{tmp_path}/set:scored").to_dict() == {"of": ["scored train"]}
    assert load_source(f"{tmp_path}/set:selected", config="scored").to_dict() == {"of": ["scored train"]}


@pytest.mark.parametrize(
    ("suffix", "message"),
    [
        ("", "set has several configs: choose one of one, two "),
        (":three", "set:three has no config 'three': choose one of one, two "),
        (":one@v1", "a local path has no revisions; leave out @v1"),
    ],
)
def test_config_that_cannot_be_chosen_lists_those_there_are(tmp_path, suffix, message):
    """So that the next try works."""
    write_folder(tmp_path / "set", {"one": False, "two": False})

    with pytest.raises(SourceError, match=message):
        load_source(f"{tmp_path}/set{suffix}")


@pytest.mark.parametrize(
    ("splits", "asked", "expected"),
    [
        (("test", "train"), None, ["c train"]),
        (("test",), None, ["c test"]),
        (("test", "train"), "test", ["c test"]),
        (("test", "train"), "train[:1]+test", ["c train", "c test"]),
    ],
)
def test_split_is_train_or_the_only_one_or_the_one_asked_for(tmp_path, splits, asked, expected):
    """The same for a Hub-like folder and for a save_to_disk folder, but for slices."""
    write_folder(tmp_path / "set", {"c": False}, splits)

    assert load_source(str(tmp_path / "set"), split=asked)["of"][:] == expected


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (None, "has several splits and none is called train: choose one of dev, test "),
        ("train", "has no split 'train': choose one of dev, test"),
    ],
)
def test_split_that_cannot_be_chosen_lists_those_there_are(tmp_path, asked, message):
    """Whichever way the folder was written."""
    write_folder(tmp_path / "set", {"c": False}, ("dev", "test"))
    ds = datasets.Dataset.from_dict(TWO)
    datasets.DatasetDict({"dev": ds, "test": ds}).save_to_disk(tmp_path / "saved")

    for folder in ("set", "saved"):
        with pytest.raises(SourceError, match=message):
            load_source(str(tmp_path / folder), split=asked)


def test_save_to_disk_folders_are_read(tmp_path):
    """One dataset, or several splits."""
    ds = datasets.Dataset.from_dict(TWO)
    ds.save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"train": ds, "test": ds.select([0])}).save_to_disk(tmp_path / "two")

    assert load_source(str(tmp_path / "one")).to_dict() == TWO
    assert load_source(str(tmp_path / "two")).to_dict() == TWO
    assert load_source(f"{tmp_path}/two#test").to_dict() == {"question": ["a"], "answer": [1]}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("one#dev", "this folder holds one dataset without splits; leave out #dev"),
        ("one:c", "a save_to_disk folder has no configs; leave out :c"),
        ("two#train[:1]", "slices of splits do not work on a save_to_disk folder"),
        ("a.jsonl#dev", "files have no splits; leave out #dev"),
        ("a.jsonl:c", "files have no configs; leave out :c"),
        ("a.*", "a.txt is none of the formats"),
        ("[ab].[jp]*", "matches both Parquet and JSON files"),
        ("gone.jsonl", "there is no such file or folder, and it cannot be a Hub id"),
        ("gone/*.parquet", "there is no such file or folder"),
        ("empty.jsonl", "empty.jsonl has no rows"),
        ("empty.parquet", "empty.parquet has no rows"),
        ("hollow", "hollow has no rows"),
        ("broken.jsonl", "broken.jsonl cannot be read: .*JSON"),
        ("broken.parquet", "broken.parquet cannot be read: .*Parquet"),
        ("nothing", "nothing cannot be read: .*doesn't contain any data files"),
        ("a.txt", "a.txt is none of the formats that are read: parquet, json, jsonl, ndjson"),
    ],
)
def test_source_that_cannot_be_read_says_why_in_one_line(tmp_path, source, message):
    """What was asked, what was found."""
    ds = datasets.Dataset.from_dict(TWO)
    ds.save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"train": ds}).save_to_disk(tmp_path / "two")
    ds.to_parquet(tmp_path / "a.parquet")
    ds.select([]).to_parquet(tmp_path / "empty.parquet")
    (tmp_path / "hollow").mkdir()
    ds.select([]).to_parquet(tmp_path / "hollow" / "train.parquet")
    write_lines(tmp_path / "a.jsonl", [{"question": "a"}])
    for name, text in {"a.txt": "a", "empty.jsonl": "", "broken.jsonl": '{"a":', "broken.parquet": "no"}.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "nothing").mkdir()

    with pytest.raises(SourceError, match=message) as caught:
        load_source(f"{tmp_path}/{source}")

    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_hub_out_of_reach_is_a_source_error():
    """In a process that was told to stay offline."""
    code = """
from hf_rap.errors import SourceError
from hf_rap.rows.sources import load_source
try:
    load_source("some-user/no-such-set:main")
except SourceError as error:
    print(error)
"""
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert run.stdout.startswith("some-user/no-such-set:main cannot be read: Couldn't reach 'some-user/no-such-set'")


def test_folders_of_one_name_are_told_apart(tmp_path):
    """datasets alone gives the rows of the first such folder for the second, and for one that was written anew."""
    for place, name in (("a", "first"), ("b", "second")):
        write_folder(tmp_path / place / "version", {name: True})
        (tmp_path / place / "version" / name).rename(tmp_path / place / "version" / "rows")
        readme = tmp_path / place / "version" / "README.md"
        readme.write_text(readme.read_text().replace(name, "rows"))
    assert load_source(str(tmp_path / "a" / "version"))["of"] == ["first train"]
    assert load_source(str(tmp_path / "b" / "version"))["of"] == ["second train"]
    datasets.Dataset.from_dict({"of": ["written anew"]}).to_parquet(tmp_path / "b/version/rows/train.parquet")
    assert load_source(str(tmp_path / "b" / "version"))["of"] == ["written anew"]


def test_classes_come_by_their_names(tmp_path):
    """Their numbers are no answers; nulls stay, and so does the order of the columns."""
    features = datasets.Features({"kind": datasets.ClassLabel(names=["bar", "pie"]), "n": datasets.Value("int64")})
    datasets.Dataset.from_list([{"kind": 1, "n": 1}, {"kind": None, "n": 2}], features=features).to_parquet(
        tmp_path / "a.parquet"
    )

    ds = load_source(str(tmp_path / "a.parquet"))

    assert ds.to_list() == [{"kind": "pie", "n": 1}, {"kind": None, "n": 2}]
    assert ds.column_names == ["kind", "n"]


def mm_eureka(folder, *names):
    """A folder in the layout of MM-Eureka: pictures, and one file with a row for them under each of these names."""
    (folder / "images").mkdir(parents=True)
    for number in range(3):
        Image.new("RGB", (8, 8)).save(folder / "images" / f"{number}.png")
    row = {
        "id": "1",
        "conversations": [{"role": "user", "content": "Q"}],
        "answer": "3",
        "image_urls": ["images/1.png"],
    }
    for name in names:
        (folder / name).write_text(json.dumps(row) + "\n")
    return folder


def test_rows_beside_pictures_are_read_and_not_the_pictures_alone(tmp_path):
    """Datasets takes a folder with more pictures than files for one of pictures."""
    folder = mm_eureka(tmp_path / "data", "dataset.jsonl")

    ds = load_source(str(folder))

    assert ds.column_names == ["id", "conversations", "answer", "image_urls"]
    assert ds["image_urls"][:] == [[named(folder / "images" / "1.png")]]


def test_files_beside_pictures_are_splits_by_their_names(tmp_path):
    """Train is the usual one; others are asked for."""
    folder = mm_eureka(tmp_path / "data", "train.jsonl", "val.jsonl")

    assert len(load_source(str(folder))) == len(load_source(f"{folder}#val")) == 1
    with pytest.raises(SourceError, match=r"has no split 'test': choose one of train, val"):
        load_source(f"{folder}#test")


def test_a_folder_of_pictures_with_metadata_stays_one(tmp_path):
    """That is what datasets knows it by."""
    folder = mm_eureka(tmp_path / "data")
    (folder / "metadata.jsonl").write_text(json.dumps({"file_name": "images/1.png", "question": "Q"}) + "\n")

    assert load_source(str(folder)).column_names == ["image", "question"]


@pytest.mark.parametrize("archive", ["images.zip", "images.tar.gz"])
def test_pictures_in_an_archive_have_to_be_unpacked(tmp_path, archive):
    """Their names are in a column, and nothing else is there."""
    datasets.Dataset.from_list([{"question": "Q", "image": "images/0.png"}]).to_parquet(tmp_path / "train.parquet")
    (tmp_path / archive).write_bytes(b"packed")

    with pytest.raises(
        SourceError, match=rf"names pictures such as 'images/0.png', .*but {archive} is: unpack it there"
    ):
        load_source(str(tmp_path / "train.parquet"))


def test_columns_that_do_not_fit_are_one_line(tmp_path):
    """Datasets says so in many lines, of which the first says nothing."""
    write_lines(tmp_path / "a.jsonl", [{"question": "Q", "answer": "3"}])
    write_lines(tmp_path / "b.jsonl", [{"question": "Q", "answer": "3", "more": 1}])

    with pytest.raises(SourceError, match="because column names don't match") as caught:
        load_source(str(tmp_path / "*.jsonl"))

    assert "\n" not in str(caught.value)
