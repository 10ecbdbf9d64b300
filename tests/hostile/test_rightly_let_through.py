"""Ways in which people rightly keep pictures apart from their rows: none of them may be refused."""

import hashlib
import json
import os
import tarfile
import zipfile
from pathlib import Path

import datasets
import pyarrow as pa
import pytest
from click.testing import CliRunner

from hf_rap import Layout, Rollouts, collect_evidence
from hf_rap.cli import cli
from hf_rap.rows.media import allowed, own_folders
from hf_rap.rows.sources import load_source

from .conftest import Knows, png

ROW = {"question": "How many?", "answer": "4"}


def lines(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(json.dumps({**ROW, **row}) for row in rows))
    return path


def errors(ds, layout=None, **options):
    return collect_evidence(ds, Rollouts(Knows(), attempts=1, layout=layout), **options)["rap_error"][:]


def picture_folder(folder):
    """As ImageFolder wants it: pictures in folders, and a metadata file."""
    (folder / "cats").mkdir(parents=True)
    for number in range(2):
        (folder / "cats" / f"{number}.png").write_bytes(png(("red", "green")[number]))
    rows = [{"file_name": f"cats/{number}.png", **ROW} for number in range(2)]
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def test_a_folder_of_pictures(tmp_path):
    """By `load_source`, and by plain `load_dataset`; also filtered, shuffled and joined."""
    folder = picture_folder(tmp_path / "set")
    assert errors(load_source(str(folder))) == [None, None]
    plain = datasets.load_dataset(str(folder), split="train")
    assert errors(plain) == [None, None]
    assert errors(plain.shuffle(seed=1).filter(lambda row: True)) == [None, None]
    assert errors(datasets.concatenate_datasets([plain, plain.select([1])])) == [None] * 3


def test_a_zip_of_pictures(tmp_path):
    """Datasets names what is inside `zip://a.png::/folder/x.zip`, or unpacks it into its cache."""
    folder = picture_folder(tmp_path / "pictures")
    (tmp_path / "set").mkdir()
    with zipfile.ZipFile(tmp_path / "set" / "x.zip", "w") as file:
        for path in sorted(folder.rglob("*.*")):
            file.write(path, path.relative_to(folder))
    assert errors(load_source(str(tmp_path / "set"))) == [None, None]


def test_a_webdataset(tmp_path):
    """A tar of pictures and JSON files: its bytes are in the rows."""
    (tmp_path / "set").mkdir()
    with tarfile.open(tmp_path / "set" / "train-0000.tar", "w") as file:
        for number in range(2):
            for ending, content in (("png", png()), ("json", json.dumps(ROW).encode())):
                path = tmp_path / f"{number}.{ending}"
                path.write_bytes(content)
                file.add(path, path.name)
    ds = load_source(str(tmp_path / "set"))
    assert errors(ds, Layout("json.question", "png", "json.answer")) == [None, None]


def test_names_beside_the_rows(tmp_path):
    """JSON lines with relative names, the usual way."""
    lines(tmp_path / "set" / "train.jsonl", {"image": "p/a.png"}, {"image": "p/b.png"})
    (tmp_path / "set" / "p").mkdir()
    for name in ("a", "b"):
        (tmp_path / "set" / "p" / f"{name}.png").write_bytes(png())
    assert errors(load_source(str(tmp_path / "set"))) == [None, None]
    assert errors(load_source(str(tmp_path / "set" / "train.jsonl"))) == [None, None]


def test_absolute_paths_below_the_folder_itself(tmp_path):
    """A script has written them for this machine."""
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.png").write_bytes(png())
    lines(tmp_path / "set" / "train.jsonl", {"images": [str(tmp_path / "set" / "a.png")]})
    assert errors(load_source(str(tmp_path / "set" / "train.jsonl"))) == [None]


def test_absolute_paths_elsewhere_with_media_roots(tmp_path):
    """LLaMA-Factory and MM-Eureka files: refused with the option to give, and fine with it."""
    (tmp_path / "pool").mkdir()
    (tmp_path / "pool" / "a.png").write_bytes(png())
    source = str(lines(tmp_path / "set" / "train.jsonl", {"images": [str(tmp_path / "pool" / "a.png")]}))
    (error,) = errors(load_source(source))
    assert error.startswith("image_unreadable: image 1 of 1: 'a.png' lies outside of the dataset's own folder")
    assert "--media-root FOLDER (media_roots=[FOLDER] in Python)" in error
    assert errors(load_source(source, media_roots=[tmp_path / "pool"])) == [None]
    assert errors(load_source(source), media_roots=tmp_path / "pool") == [None]


def test_the_command_line_says_the_very_option_and_takes_it(tmp_path):
    """What it prints can be pasted behind the command."""
    (tmp_path / "my pool").mkdir()
    (tmp_path / "my pool" / "a.png").write_bytes(png())
    source = str(lines(tmp_path / "train.jsonl" / "train.jsonl", {"images": [str(tmp_path / "my pool" / "a.png")]}))
    flag = ["--media-root", str(tmp_path / "my pool")]
    refused = CliRunner().invoke(cli, ["inspect", source, "--json"])
    fine = CliRunner().invoke(cli, ["inspect", source, "--json", *flag])
    assert json.loads(refused.stdout)["problems"][0]["code"] == "image_unreadable"
    assert json.loads(fine.stdout)["problems"] == []


def test_pictures_on_another_disk_by_a_link(tmp_path):
    """The folder is a link itself: fine. Only its pictures are: their place has to be named."""
    disk = tmp_path / "disk"
    lines(disk / "set" / "train.jsonl", {"image": "p/a.png"})
    (disk / "set" / "p").mkdir()
    (disk / "set" / "p" / "a.png").write_bytes(png())
    (tmp_path / "set").symlink_to(disk / "set")
    assert errors(load_source(str(tmp_path / "set"))) == [None]
    lines(tmp_path / "other" / "train.jsonl", {"image": "p/a.png"})
    (tmp_path / "other" / "p").symlink_to(disk / "set" / "p")
    source = str(tmp_path / "other" / "train.jsonl")
    assert errors(load_source(source))[0].startswith("image_unreadable")
    assert errors(load_source(source, media_roots=[disk])) == [None]


def test_a_snapshot_of_the_hub_as_a_folder(tmp_path):
    """`snapshot_download` gives a folder of links into blobs/ beside it."""
    repo = tmp_path / "datasets--user--set"
    snapshot = repo / "snapshots" / ("a" * 40)
    lines(snapshot / "train.jsonl", {"image": "a.png"})
    (repo / "blobs").mkdir()
    (repo / "blobs" / "1234").write_bytes(png())
    (snapshot / "a.png").symlink_to("../../blobs/1234")
    assert errors(load_source(str(snapshot))) == [None]
    other = tmp_path / "datasets--user--private"
    (other / "blobs").mkdir(parents=True)
    (other / "blobs" / "1").write_bytes(png())
    (snapshot / "b.png").symlink_to(other / "blobs" / "1")
    lines(snapshot / "train.jsonl", {"image": "b.png"})
    assert errors(load_source(str(snapshot)))[0].startswith("image_unreadable")


@pytest.fixture
def from_the_hub(tmp_path, monkeypatch):
    """A dataset as it lies in the caches after `load_dataset("user/set")`, and the snapshot of its repository."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    commit = "b" * 40
    snapshot = tmp_path / "hub" / "datasets--user--set" / "snapshots" / commit
    (snapshot.parents[1] / "blobs").mkdir(parents=True)
    snapshot.mkdir(parents=True)

    def make(name):
        folder = Path(datasets.config.HF_DATASETS_CACHE) / f"user___set{tmp_path.name}" / "default" / "0.0.0" / commit
        folder.mkdir(parents=True)
        features = datasets.Features({"image": datasets.Image(), **dict.fromkeys(ROW, datasets.Value("string"))})
        rows = {"image": [{"bytes": None, "path": name}], "question": ["How many?"], "answer": ["4"]}
        table = pa.table(rows, schema=features.arrow_schema)
        with pa.OSFile(str(folder / "train.arrow"), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table)
        return datasets.Dataset.from_file(str(folder / "train.arrow"))

    return snapshot, make


def test_a_folder_of_pictures_from_the_hub(from_the_hub):
    """Its pictures are links from the snapshot into blobs/."""
    snapshot, make = from_the_hub
    (snapshot.parents[1] / "blobs" / "1").write_bytes(png())
    (snapshot / "a.png").symlink_to("../../blobs/1")
    ds = make(str(snapshot / "a.png"))
    assert own_folders(ds) == (str(snapshot),)
    assert errors(ds) == [None]


def test_an_archive_of_the_hub_that_datasets_has_unpacked(from_the_hub, tmp_path, monkeypatch):
    """Older releases unpack into a folder that is named by the archive; one of another dataset stays closed."""
    monkeypatch.setattr("datasets.config.EXTRACTED_DATASETS_PATH", str(tmp_path / "extracted"))
    snapshot, make = from_the_hub
    (snapshot / "x.zip").write_bytes(b"")
    unpacked = tmp_path / "extracted" / hashlib.sha256(str(snapshot / "x.zip").encode()).hexdigest()
    other = tmp_path / "extracted" / hashlib.sha256(b"/somewhere/else.zip").hexdigest()
    for folder in (unpacked, other):
        folder.mkdir(parents=True)
        (folder / "a.png").write_bytes(png())
    ds = make(str(unpacked / "a.png"))
    assert errors(ds) == [None]
    strange = datasets.Dataset(pa.table({**ds.data.table.to_pydict(), "image": [str(other / "a.png")]}))
    with allowed([snapshot]):
        assert errors(strange)[0].startswith("image_unreadable")


def test_a_picture_of_another_dataset_of_the_hub_stays_closed(from_the_hub, tmp_path):
    """It may be private, and a stranger's rows may not publish it."""
    _, make = from_the_hub
    private = tmp_path / "hub" / "datasets--me--private" / "snapshots" / ("c" * 40)
    private.mkdir(parents=True)
    (private / "a.png").write_bytes(png())
    assert errors(make(str(private / "a.png")))[0].startswith("image_unreadable")


def test_rows_that_were_made_in_memory(tmp_path):
    """They are of no folder, so theirs has to be named."""
    (tmp_path / "a.png").write_bytes(png())
    ds = datasets.Dataset.from_list([{**ROW, "image": str(tmp_path / "a.png")}])
    assert errors(ds)[0].startswith("image_unreadable")
    assert errors(ds, media_roots=[tmp_path]) == [None]
    assert errors(ds, Layout("question", "image", "answer", media_roots=(str(tmp_path),))) == [None]


def test_names_in_the_blocks_of_a_chat(tmp_path):
    """Relative ones start at the folder of the file."""
    content = [{"type": "image", "image": "p/a.png"}, {"type": "text", "text": "How many?"}]
    row = {"messages": [{"role": "user", "content": content}], "answer": "4"}
    folder = tmp_path / "set"
    (folder / "p").mkdir(parents=True)
    (folder / "p" / "a.png").write_bytes(png())
    (folder / "train.jsonl").write_text(json.dumps(row))
    assert errors(load_source(str(folder / "train.jsonl"))) == [None]


def test_workers_of_map_know_the_folders_that_were_given(tmp_path):
    """Processes that are started have the variable."""
    (tmp_path / "a.png").write_bytes(png())
    ds = datasets.Dataset.from_list([{**ROW, "image": str(tmp_path / "a.png")}] * 2)
    os.environ["HF_RAP_MEDIA_ROOTS"] = os.pathsep.join([str(tmp_path / "gone"), str(tmp_path)])
    try:
        made = ds.map(Rollouts(Knows(), attempts=1), batched=True, num_proc=2)
    finally:  # datasets has put another os.environ in the place of the one that monkeypatch knows
        os.environ.pop("HF_RAP_MEDIA_ROOTS")
    assert made["rap_error"][:] == [None, None]
