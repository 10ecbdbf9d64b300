"""What rows name: files elsewhere, URLs, devices. Each is refused in one line, and null in all that is written."""

import json
import os
import socket
import zipfile

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hf_rap.errors import RowError, SourceError
from hf_rap.rows import media
from hf_rap.rows.layouts import Layout
from hf_rap.rows.outside import outside_remark
from hf_rap.rows.parquet import Embedder
from hf_rap.rows.questions import raw_rows, read_question
from hf_rap.rows.settling import settle
from hf_rap.rows.sources import load_source

from .conftest import CANARY, png

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
PLAIN = Layout("question", "image", "answer")


def stored(names, kind="struct"):
    """A table of a stranger: rows that hold nothing of their pictures but a name."""
    features = {"image": datasets.Image(), "question": datasets.Value("string"), "answer": datasets.Value("string")}
    if kind == "list":
        features["image"] = datasets.List(datasets.Image())
    if kind == "text":
        features["image"] = datasets.Value("string")
    cells = {
        "struct": [{"bytes": None, "path": name} for name in names],
        "list": [[{"bytes": None, "path": name}] for name in names],
        "text": names,
    }[kind]
    schema = datasets.Features(features).arrow_schema
    return pa.table({"image": cells, "question": ["Q"] * len(names), "answer": ["4"] * len(names)}, schema=schema)


def loaded(machine, names, kind="struct"):
    """The same, as a file in the folder of the dataset, read by `load_source`."""
    pq.write_table(stored(names, kind), machine.own / "train.parquet")
    return load_source(str(machine.own / "train.parquet"))


def refused(ds):
    """Why the first row is not asked, what is written of it, and how many files were counted as missing."""
    layout = settle(None, ds).layout
    (raw,) = raw_rows(ds.with_format("arrow")[:1].to_pydict(), layout)
    with pytest.raises(RowError) as caught:
        read_question(raw, layout)
    embedder = Embedder.of(ds, layout.media_roots)
    written = embedder.embed(ds.with_format("arrow")[:1])
    return str(caught.value), written["image"].to_pylist()[0], embedder.missing


def link(place, target):
    place.symlink_to(target)
    return str(place)


def folder_link(machine):
    (machine.own / "pictures").symlink_to(machine.top)
    return "pictures/private.png"


def chain(machine):
    (machine.own / "first").symlink_to(machine.own / "second")
    (machine.own / "second").symlink_to(machine.top)
    return str(machine.own / "first" / "private.png")


def zip_elsewhere(machine):
    with zipfile.ZipFile(machine.top / "x.zip", "w") as file:
        file.write(machine.private, "a.png")
    return f"zip://a.png::{machine.top / 'x.zip'}"


def zip_link(machine):
    zip_elsewhere(machine)
    return f"zip://a.png::{link(machine.own / 'y.zip', machine.top / 'x.zip')}"


OUTSIDE = {
    "absolute": lambda m: str(m.private),
    "key_file": lambda m: str(m.key),
    "dots": lambda m: "../private.png",
    "dots_inside_an_absolute_path": lambda m: f"{m.own}/sub/../../private.png",
    "two_slashes": lambda m: f"/{m.private}",
    "file_url": lambda m: f"file://{m.private}",
    "file_url_of_localhost": lambda m: f"file://localhost{m.private}",
    "file_url_with_dots": lambda m: f"file://{m.own}/%2e%2e/private.png",
    "file_url_without_slashes": lambda m: "file:../private.png",
    "link_to_the_file": lambda m: link(m.own / "a.png", m.private),
    "link_to_a_key": lambda m: link(m.own / "b.png", m.key),
    "relative_link": lambda m: link(m.own / "c.png", "../private.png"),
    "link_to_the_folder": folder_link,
    "link_to_a_link": chain,
    "a_folder_that_begins_alike": lambda m: str(
        (m.top / "set-of-others").mkdir()
        or ((m.top / "set-of-others" / "a.png").write_bytes(png()) and m.top / "set-of-others" / "a.png")
    ),
    "zip_elsewhere": zip_elsewhere,
    "link_to_a_zip": zip_link,
    "the_folder_above": lambda m: str(m.top),
    "environment_of_the_process": lambda m: "/proc/self/environ",
    "descriptor_of_the_process": lambda m: "/proc/self/fd/0",
    "passwords": lambda m: "/etc/passwd",
    "windows_path": lambda m: "C:\\Users\\me\\private.png",
    "home": lambda m: "~/.ssh/id_rsa",
    "not_there": lambda m: str(m.top / "gone.png"),
}


@pytest.mark.parametrize("kind", ["struct", "list", "text"])
@pytest.mark.parametrize("name", OUTSIDE)
def test_a_file_outside_is_neither_asked_nor_written(machine, monkeypatch, name, kind):
    """However the row spells it; the reason names neither the folder nor a byte, and does not say whether it is there."""
    monkeypatch.chdir(machine.own)
    ds = loaded(machine, [OUTSIDE[name](machine)], kind)
    why, written, missing = refused(ds)
    assert why.startswith("image_unreadable: image 1 of 1: ")
    assert "outside of the dataset's own folder" in why or "there is no" in why or "no regular file" in why
    assert str(machine.top) not in why
    assert CANARY.decode() not in why
    if kind == "text":
        assert machine.top.as_posix() not in str(written)
    else:
        assert (written if kind == "struct" else written[0]) is None
        assert missing == 1


def fifo(machine):
    os.mkfifo(machine.own / "pipe.png")
    return "pipe.png"


def unix_socket(machine):
    place = machine.own / "s.png"
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(place))
    return "s.png"


def sparse(machine):
    with (machine.own / "large.png").open("wb") as file:
        file.truncate(media.MAX_BYTES + 1)
    return "large.png"


def bomb_in_a_zip(machine):
    """100 MB of zeros in 100 KB."""
    with zipfile.ZipFile(machine.own / "x.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.png", bytes(100_000_000))
    return f"zip://a.png::{machine.own / 'x.zip'}"


INSIDE = {
    "pipe": (fifo, "no regular file"),
    "socket": (unix_socket, "there is no file|no regular file"),
    "zeros": (lambda m: link(m.own / "z.png", "/dev/zero"), "outside of"),
    "folder": (lambda m: "sub", "no regular file"),
    "large": (sparse, "bytes, and at most"),
    "bomb": (bomb_in_a_zip, "bytes"),
    "closed": (lambda m: (m.own / "x.png").touch(mode=0o000) or "x.png", "there is no file|is empty"),
    "loop": (lambda m: link(m.own / "l.png", m.own / "l.png") and "l.png", "there is no file|outside of"),
    "null_byte": (lambda m: "a\0.png", "there is no file"),
    "long_name": (lambda m: "a./" * 2000, "there is no file"),
    "long_part": (lambda m: "a" * 300 + ".png", "there is no file"),
    "surrogate_like": (lambda m: "\u202egnp.exe", "there is no file"),
    "no_member": (
        lambda m: zip_elsewhere(m) and f"zip://b.png::{(m.top / 'x.zip').rename(m.own / 'x.zip')}",
        "there is no",
    ),
    "no_zip": (lambda m: f"zip://b.png::{m.own / 'fine.png'}", "there is no"),
    "text": (lambda m: (m.own / "t.png").write_text("x" * 99) and "t.png", "not an image that Pillow knows"),
}


@pytest.mark.parametrize("name", INSIDE)
def test_what_is_no_file_of_media_is_refused_at_once(machine, monkeypatch, name):
    """Pipes and devices do not hang, large ones do not fill the memory, and none is carried along."""
    monkeypatch.chdir(machine.own)
    monkeypatch.setattr(media, "MAX_BYTES", 1_000_000)
    make, message = INSIDE[name]
    why, written, missing = refused(loaded(machine, [make(machine)]))
    assert why.startswith("image_unreadable: image 1 of 1: ")
    assert any(part in why for part in message.split("|"))
    assert (written, missing) == (None, 1)


URLS = [
    "{url}/x.png",
    "{URL}/x.png",
    "zip://x.png::{url}/x.zip",
    "simplecache::{url}/x.png",
    "filecache::{url}/x.png",
    "hf://datasets/someone/private/x.png",
    "s3://bucket/x.png",
    "gs://bucket/x.png",
    "ftp://127.0.0.1/x.png",
    "sftp://127.0.0.1/x.png",
    "github://owner:repo@main/x.png",
    "memory://x.png",
    "local://{private}",
    "blockcache::file://{private}",
    "https://user:secret@127.0.0.1/x.png",
]


@pytest.mark.parametrize("form", URLS)
def test_a_url_is_fetched_nowhere(machine, monkeypatch, listener, form):
    """Not on asking, not on writing, whatever datasets would do with it."""
    url, asked = listener
    name = form.format(url=url, URL=url.replace("http", "HTTP"), private=machine.private)
    why, written, missing = refused(loaded(machine, [name]))
    assert why.startswith("image_unreadable: ")
    assert (written, missing) == (None, 1)
    assert asked == []


def test_the_screen_says_which_option_lets_it_through(machine):
    """Before any model runs; a row, which may be published, does not know the folder."""
    ds = loaded(machine, [str(machine.private), str(machine.own / "fine.png")])
    remark = outside_remark(ds, settle(None, ds).layout)
    assert remark.startswith("1 pictures lie outside of the dataset's own folder")
    assert f"--media-root {machine.top} " in remark
    assert f"(media_roots=['{machine.top}'])" in remark


@pytest.mark.parametrize("target", ["../*.png", "{top}/*.png", "{url}/x.parquet"])
def test_a_card_cannot_take_data_from_elsewhere(machine, listener, target):
    """`data_files` in the README of a folder."""
    url, asked = listener
    target = target.format(top=machine.top, url=url)
    head = f"---\nconfigs:\n- config_name: default\n  data_files: '{target}'\n---\n"
    (machine.own / "README.md").write_text(head)
    with pytest.raises(SourceError) as caught:
        load_source(str(machine.own))
    assert "\n" not in str(caught.value)
    assert asked == []


def test_what_a_dataset_says_of_itself_opens_nothing(machine, tmp_path):
    """A folder of `save_to_disk` whose info claims that it was a folder of pictures."""
    ds = datasets.Dataset(stored(["a.png"]).set_column(0, "image", [["a.png"]]))
    ds.info.builder_name = "imagefolder"
    ds.save_to_disk(tmp_path / "saved")
    table = stored([str(machine.private)])
    (file,) = (tmp_path / "saved").glob("*.arrow")
    info = json.loads((tmp_path / "saved" / "dataset_info.json").read_text())
    info["features"] = datasets.Features.from_arrow_schema(table.schema).to_dict()
    (tmp_path / "saved" / "dataset_info.json").write_text(json.dumps(info))
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    why, written, missing = refused(load_source(str(tmp_path / "saved")))
    assert "outside" in why
    assert (written, missing) == (None, 1)


def test_a_layout_in_a_file_opens_nothing(machine):
    """The metadata of a Parquet file is a stranger's, too."""
    from hf_rap.errors import LayoutError
    from hf_rap.rows.layouts import layout_from

    values = {"question": "question", "images": "image", "answer": "answer"}
    assert layout_from(values, "a.parquet").media_roots == ()
    with pytest.raises(LayoutError, match=r"a\.parquet says of its layout what no release"):
        layout_from({**values, "media_roots": ["/"]}, "a.parquet")


def test_a_path_of_this_machine_keeps_its_last_part(machine):
    """In texts, lists of them and cells of mixed types, as far as there is such a file; other texts stay."""
    there, gone = str(machine.private), "/nowhere/x.png"
    table = pa.table({"a": [there, gone, "no path", None], "b": [[there, "x"], [], None, [gone]]})
    ds = datasets.Dataset(table)
    written = Embedder.of(ds).embed(ds.data.table)
    assert written.to_pydict() == {
        "a": ["private.png", gone, "no path", None],
        "b": [["private.png", "x"], [], None, [gone]],
    }


def test_bytes_stay_and_the_folder_of_their_name_goes():
    """A version shows of a path its last part alone."""
    cells = [{"bytes": b"abc", "path": "/home/me/a.png"}, None, {"bytes": b"", "path": None}]
    features = datasets.Features({"image": datasets.Image()})
    table = pa.table({"image": cells}, schema=features.arrow_schema)
    embedder = Embedder(features)
    assert embedder.embed(table)["image"].to_pylist() == [
        {"bytes": b"abc", "path": "a.png"},
        None,
        {"bytes": b"", "path": None},
    ]
    assert embedder.missing == 0


def test_rows_of_a_slice_are_written_as_they_are(machine):
    """Lists in the middle of a table, with nulls among them."""
    names = [["fine.png"], None, [], ["fine.png", "../private.png"], ["fine.png"]]
    cells = [cell if cell is None else [{"bytes": None, "path": name} for name in cell] for cell in names]
    features = datasets.Features({"images": datasets.List(datasets.Image())})
    table = pa.table({"images": cells}, schema=features.arrow_schema)
    embedder = Embedder(features, (str(machine.own),))
    fine = {"bytes": png("red"), "path": "fine.png"}
    assert embedder.embed(table.slice(1, 3))["images"].to_pylist() == [None, [], [fine, None]]
    assert embedder.missing_by_column == {"images": 1}
