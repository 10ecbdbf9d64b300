"""A selection becomes a folder: whole, exact and readable without hf_rap."""

import hashlib
import io
import json
import subprocess
import sys

import pytest
from datasets import Audio, Dataset, Features, Image, List, Sequence, Value, load_dataset
from PIL import Image as Pictures

import hf_rap.versions.folder as folder_module
from hf_rap.demo import make_planted
from hf_rap.errors import LayoutError, PublishError, SettingError
from hf_rap.exports.universal import UNIVERSAL
from hf_rap.rows import parquet
from hf_rap.select import select_cognitive
from hf_rap.versions import configs as content
from hf_rap.versions.folder import publish_to_folder


def picture(shade: int, file_format: str = "PNG") -> bytes:
    file = io.BytesIO()
    Pictures.new("RGB", (8, 6), (shade, 255 - shade, 7)).save(file, file_format, quality=60)
    return file.getvalue()


FILES = [picture(10), picture(90, "JPEG"), picture(200)]
FEATURES = Features(
    {
        "id": Value("string"),
        "images": List(Image()),
        "problem": Value("string"),
        "answer": Value("string"),
        "note": List({"who": Value("string"), "marks": List(Value("int8"))}),
        "rap_id": Value("string"),
        "rap_image_rewards": List(Value("float64")),
        "rap_cde": Value("float64"),
    }
)


def dataset(**changed) -> Dataset:
    """Three rows: one image, two images, none; the last has neither an answer nor a score."""
    rows = {
        "id": ["a", "b", "c"],
        "images": [[{"bytes": FILES[0], "path": None}], [{"bytes": one, "path": None} for one in FILES[1:]], []],
        "problem": ["<image>Is it red?", "Compare <image> and <image>.", "What is 1 + 1?"],
        "answer": ["no", "equal", None],
        "note": [[{"who": "x", "marks": [1, 2]}], [], None],
        "rap_id": ["a", "b", "c"],
        "rap_image_rewards": [[1.0, 0.9], [1.0, None], None],
        "rap_cde": [0.8, 0.6, None],
    }
    features = Features({**FEATURES, **changed.pop("features", {})})
    return Dataset.from_dict({**rows, **changed}, Features({name: features[name] for name in {**rows, **changed}}))


def select(ds: Dataset, min_cde: float = 0.5):
    return select_cognitive(ds, min_cde=min_cde, replace_easy=False)


def stored(ds: Dataset) -> list:
    """The rows as they are stored, images not decoded."""
    return [row for _, table in content.batches_of(ds) for row in table.to_pylist()]


@pytest.fixture
def read(tmp_path):
    def read(path, config=None):
        config = [] if config is None else [config]
        return load_dataset(str(path), *config, split="train", cache_dir=str(tmp_path / "cache"))

    return read


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    """A version of `dataset()`, which nobody changes."""
    path = tmp_path_factory.mktemp("published") / "v"
    return publish_to_folder(select(dataset()), path, name="user/data", version="2.0.1")


def test_scored_comes_back_as_it_was(version, read):
    """Every row and column, nulls and nested lists included; types, and bytes of images."""
    selection = select(dataset())
    back = read(version.path, "scored")
    assert back.features == selection.scored.features
    assert stored(back) == stored(selection.scored)
    assert [image.tobytes() for row in back["images"] for image in row] == [
        Pictures.open(io.BytesIO(file)).tobytes() for file in FILES
    ]


def test_selected_is_the_default_and_has_the_universal_columns(version, read):
    """Universal columns first, then scores and decisions, then the user's; no evidence."""
    back = read(version.path)
    assert back.column_names == [*UNIVERSAL, "rap_cde", "rap_keep", "rap_reason", "note"]
    rows = stored(back)
    assert [image["bytes"] for row in rows for image in row["images"]] == FILES
    first, second = rows
    assert {name: first[name] for name in UNIVERSAL if name != "images"} == {
        "id": "a",
        "prompt": [
            {"role": "user", "content": [{"type": "image", "text": None}, {"type": "text", "text": "Is it red?"}]}
        ],
        "messages": [{"role": "user", "content": "<image>Is it red?"}],
        "prompt_text": "<image>Is it red?",
        "problem": "<image>Is it red?",
        "answer": "no",
        "solution": "no",
        "data_source": "unknown",
        "ability": "visual_reasoning",
        "reward_model": {"style": "rule", "ground_truth": "no"},
        "extra_info": {"split": "train", "index": 0, "id": "a", "accepted": ["no"], "options": [], "prompt": None},
    }
    assert [block["type"] for block in second["prompt"][0]["content"]] == ["text", "image", "text", "image", "text"]


@pytest.mark.slow
def test_datasets_alone_reads_a_version(version, tmp_path):
    """In a process of its own, where hf_rap is not imported."""
    code = (
        "import sys, json, datasets\n"
        "for config in ('selected', 'scored'):\n"
        "    ds = datasets.load_dataset(sys.argv[1], config, split='train', cache_dir=sys.argv[2])\n"
        "    print(json.dumps([len(ds), [[image.size for image in row] for row in ds['images']], ds['id'][:]]))\n"
        "assert not any(name.startswith('hf_rap') for name in sys.modules)\n"
    )
    command = [sys.executable, "-c", code, str(version.path), str(tmp_path / "cache")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        [2, [[[8, 6]], [[8, 6], [8, 6]]], ["a", "b"]],
        [3, [[[8, 6]], [[8, 6], [8, 6]], []], ["a", "b", "c"]],
    ]


def test_nothing_selected_is_refused(tmp_path):
    """load_dataset fails on a split without rows, whatever is in the file; the reasons say what to loosen."""
    with pytest.raises(PublishError, match=r"Nothing is selected .image_helps_little: 2, not_scored: 1."):
        publish_to_folder(select(dataset(), min_cde=1), tmp_path / "v")
    assert list(tmp_path.iterdir()) == []


def test_text_only_row_with_null_answer_can_be_selected(tmp_path, read):
    """Scores may come from elsewhere: images are empty, not null, and an unknown answer stays null."""
    publish_to_folder(select(dataset(rap_cde=[0.0, 0.0, 0.9])), tmp_path / "v")
    (row,) = stored(read(tmp_path / "v"))
    assert row["images"] == []
    assert row["answer"] is row["reward_model"]["ground_truth"] is None
    assert row["extra_info"] == {"split": "train", "index": 2, "id": "c", "accepted": [], "options": [], "prompt": None}
    assert row["prompt"][0]["content"] == [{"type": "text", "text": "What is 1 + 1?"}]


def test_images_given_as_paths_are_read_into_the_files(tmp_path, read):
    """A column of single images given as paths: bytes are those of the file, of the path the name stays."""
    paths = []
    for number, file in enumerate(FILES):
        paths.append(tmp_path / f"{number}.png")
        paths[-1].write_bytes(file)
    ds = dataset(problem=["Red?", "Green?", "Blue?"], answer=["no"] * 3, rap_cde=[0.9] * 3).remove_columns("images")
    ds = ds.add_column("image", [str(path) for path in paths]).cast_column("image", Image())
    publish_to_folder(select(ds), tmp_path / "v", media_roots=[tmp_path])
    for path in paths:
        path.unlink()
    scored, selected = read(tmp_path / "v", "scored"), read(tmp_path / "v")
    assert scored.features["image"] == Image()
    assert [row["image"] for row in stored(scored)] == [
        {"bytes": file, "path": path.name} for file, path in zip(FILES, paths, strict=True)
    ]
    assert "image" not in selected.column_names
    assert [row["images"][0]["bytes"] for row in stored(selected)] == FILES
    assert selected["problem"][:] == ["<image>Red?", "<image>Green?", "<image>Blue?"]


def test_missing_image_file_becomes_null_in_scored_and_is_counted(tmp_path, read):
    """One lost file does not stop the others, and the card says so."""
    images = [[{"bytes": FILES[0], "path": None}], [{"bytes": FILES[1], "path": None}], []]
    images[2] = [{"bytes": FILES[2], "path": None}, {"bytes": None, "path": str(tmp_path / "gone.png")}]
    published = publish_to_folder(select(dataset(images=images, problem=["?"] * 3)), tmp_path / "v")
    assert stored(read(tmp_path / "v", "scored"))[2]["images"] == [{"bytes": FILES[2], "path": None}, None]
    assert published.facts["images_missing"] == 1
    assert "null there: 1." in (tmp_path / "v" / "README.md").read_text()
    assert str(tmp_path) not in (tmp_path / "v" / "rap.json").read_text()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"problem": ["<image>?", "<image>?", "?"]}, r": placeholder_mismatch: row 1 \(id 'b'\): the question has"),
        (
            {"images": [[{"bytes": b"broken", "path": None}], [], []]},
            r": image_unreadable: row 0 \(id 'a'\): image 1 of 1: ",
        ),
    ],
)
def test_kept_row_that_no_trainer_could_use_is_refused(tmp_path, changed, message):
    """Trainers drop such rows without a word, so they are not published."""
    with pytest.raises(PublishError, match=message):
        publish_to_folder(select(dataset(**changed)), tmp_path / "v")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", ["_write_config", "describe", "render_card", "draw_plots", "_write_description"])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_failure_leaves_nothing(tmp_path, monkeypatch, step, error):
    """Whatever step fails, there is neither a version nor a part of one."""

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(folder_module, step, fail)
    with pytest.raises(error):
        publish_to_folder(select(dataset()), tmp_path / "v")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_kill_leaves_no_version(tmp_path):
    """Killed between data and card, when nothing can be tidied up: there is nothing at the path."""
    code = (
        "import os, sys\n"
        "import hf_rap.versions.folder as p\n"
        "from datasets import Dataset\n"
        "from hf_rap.select import select_cognitive\n"
        "p.render_card = lambda facts: os._exit(9)\n"
        "ds = Dataset.from_dict({'problem': ['?'], 'answer': ['1'], 'images': [[]], 'rap_cde': [0.9]})\n"
        "p.publish_to_folder(select_cognitive(ds, replace_easy=False), sys.argv[1])\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "v")], check=False)
    assert done.returncode == 9
    assert not (tmp_path / "v").exists()
    assert len(list(tmp_path.iterdir())) == 1
    publish_to_folder(select(dataset()), tmp_path / "v")
    assert (tmp_path / "v" / "README.md").exists()


def test_full_folder_is_left_alone(tmp_path):
    """There is no overwriting: the error names the folder, and what is in it stays."""
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "mine.txt").write_text("mine")
    with pytest.raises(PublishError, match=r"something at .*v: give a folder that does not exist"):
        publish_to_folder(select(dataset()), tmp_path / "v")
    assert [path.name for path in tmp_path.rglob("*")] == ["v", "mine.txt"]


def test_empty_folder_and_missing_parents_are_fine(tmp_path):
    """Neither is in the way of anything."""
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "some" / "where"):
        assert publish_to_folder(select(dataset()), path).path == path
        assert (path / "README.md").exists()


@pytest.mark.parametrize("version", ["1", "1.0", "v1.0.0", "1.0.0-rc1", "01.0.0", "1.0.0\n", "", "1.0.٣"])
def test_version_is_three_numbers(tmp_path, version):
    """Anything else is refused before a file is written."""
    with pytest.raises(SettingError, match="three numbers"):
        publish_to_folder(select(dataset()), tmp_path / "v", version=version)
    assert list(tmp_path.iterdir()) == []


def test_unknown_layout_is_refused_before_anything_is_written(tmp_path):
    """`selected` needs to know what is the question."""
    with pytest.raises(LayoutError, match="No known layout"):
        publish_to_folder(select(Dataset.from_dict({"rap_cde": [0.9]})), tmp_path / "v")
    assert list(tmp_path.iterdir()) == []


def test_same_selection_same_bytes(tmp_path):
    """Also when the rows lie in other chunks in memory, as after loading from disk."""
    publish_to_folder(select(dataset()), tmp_path / "one", name="n")
    dataset().save_to_disk(tmp_path / "saved", num_shards=3)
    publish_to_folder(select(Dataset.load_from_disk(tmp_path / "saved")), tmp_path / "two", name="n")
    one, two = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in ("one", "two")
    )
    assert one == two


def test_manifest_names_every_file(version):
    """Path, SHA-256 and size, as they are on disk; the facts are those of the result."""
    manifest = json.loads((version.path / "rap.json").read_text())
    assert manifest["version"] == version.version == "2.0.1"
    assert manifest["facts"] == version.facts
    assert manifest["files"] == version.files
    on_disk = {path.relative_to(version).as_posix(): path for path in version.path.rglob("*") if path.is_file()}
    assert set(manifest["files"]) == set(on_disk) - {"rap.json"}
    for name, file in manifest["files"].items():
        content = on_disk[name].read_bytes()
        assert file == {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def test_large_data_goes_to_several_shards(tmp_path, read, monkeypatch):
    """Row groups and shards are closed when they are full, and nothing is lost between them."""
    monkeypatch.setattr(parquet, "SHARD_BYTES", 1)
    monkeypatch.setattr("hf_rap.versions.groups.GROUP_BYTES", 1)
    selection = select(dataset())
    published = publish_to_folder(selection, tmp_path / "v")
    assert [name for name in published.files if name.startswith("scored")] == [
        f"scored/train-0000{number}-of-00003.parquet" for number in range(3)
    ]
    assert stored(read(tmp_path / "v", "scored")) == stored(selection.scored)


def test_own_columns_with_universal_names_stay_in_scored(tmp_path, read):
    """`selected` has what trainers expect under these names; the user's content is not lost."""
    ds = dataset(features={"ability": Value("int64"), "id": Value("int64")}, ability=[1, 2, 3], id=[7, 8, 9])
    publish_to_folder(select(ds), tmp_path / "v")
    assert read(tmp_path / "v")["ability"][:] == ["visual_reasoning"] * 2
    assert read(tmp_path / "v", "scored")["ability"][:] == [1, 2, 3]
    assert read(tmp_path / "v", "scored")["id"][:] == [7, 8, 9]


def test_several_accepted_answers(tmp_path, read):
    """The first is the answer, since trainers take one; all are kept."""
    ds = dataset(features={"answer": List(Value("int64"))}, answer=[[3, 4], [5], None])
    publish_to_folder(select(ds), tmp_path / "v")
    rows = stored(read(tmp_path / "v"))
    assert [row["answer"] for row in rows] == ["3", "5"]
    assert [row["extra_info"]["accepted"] for row in rows] == [["3", "4"], ["5"]]


def test_file_says_sequence_and_means_the_same():
    """datasets 3.6 knows no List, and takes a Sequence of structs for a struct of lists."""
    features = Features(
        {
            "images": List(Image()),
            "fixed": List(Value("int8"), length=2),
            "deep": List(List(Value("string"))),
            "structs": List({"a": Value("string"), "b": List({"c": Image()})}),
            "lists_only": List({"a": List(Value("string"))}),
            "struct": {"feature": Value("string"), "of": List(Audio())},
            "deep_structs": List(List({"a": Value("int8")})),
            "columns": Sequence({"x": Value("int8")}),
        }
    )
    schema = parquet.portable_schema(features)
    described = schema.metadata[b"huggingface"].decode()
    assert '"List"' not in described
    assert json.loads(described)["info"]["features"]["images"]["_type"] == "Sequence"
    assert isinstance(json.loads(described)["info"]["features"]["structs"], list)
    assert Features.from_arrow_schema(schema) == features


def test_folders_of_one_name_do_not_share_a_cache(tmp_path):
    """Two versions in folders of the same name load their own rows, in one cache of datasets."""
    found = []
    for place, rows in (("a", 8), ("b", 12)):
        planted = make_planted(rows)
        selection = select_cognitive(planted.add_column("rap_cde", [1.0] * rows), replace_easy=False)
        publish_to_folder(selection, tmp_path / place / "version")
        found.append(len(load_dataset(str(tmp_path / place / "version"), "selected", split="train")))
    assert found == [8, 12]


def test_a_cell_that_publishes_can_be_run_twice(tmp_path):
    """With the folder open in a notebook, whose checkpoints lie beside the files; the second time nothing is written."""

    def cell():
        return publish_to_folder(select(dataset()), tmp_path / "v", version="1.0.0", random_control=True)

    first = cell()
    (tmp_path / "v" / ".ipynb_checkpoints").mkdir()
    assert (cell().files, cell().path) == (first.files, first.path)


def test_the_same_version_is_given_back(tmp_path):
    """Publishing twice changes no byte; other content under the same version is refused, as is another version."""
    first = publish_to_folder(select(dataset()), tmp_path / "v")
    before = {path: path.read_bytes() for path in (tmp_path / "v").rglob("*") if path.is_file()}
    again = publish_to_folder(select(dataset()), tmp_path / "v")
    assert (again.version, again.files) == (first.version, first.files)
    assert {path: path.read_bytes() for path in (tmp_path / "v").rglob("*") if path.is_file()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["v"]
    with pytest.raises(PublishError, match=r"Version 1\.0\.0 is at .*v already, with other content"):
        publish_to_folder(select(dataset(), min_cde=0.7), tmp_path / "v")
    with pytest.raises(PublishError, match=r"There is version 1\.0\.0 of a dataset at"):
        publish_to_folder(select(dataset()), tmp_path / "v", version="1.1.0")
