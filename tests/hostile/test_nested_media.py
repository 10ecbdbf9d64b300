"""Media below lists, structs and maps, and media that are no pictures: what the dataset may not name is null wherever it stands."""

import json
import os
import tarfile
import zipfile

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hf_rap import Layout, Rollouts, collect_in_run, export, publish_to_folder, select_cognitive
from hf_rap.cli.files import write_file
from hf_rap.errors import RapError, RowError
from hf_rap.rows.parquet import Embedder
from hf_rap.rows.questions import raw_rows, read_question
from hf_rap.rows.settling import settle
from hf_rap.rows.sources import load_source
from hf_rap.scorers import CDEScore, DifficultyScore
from hf_rap.scorers.base import add_scores

from .conftest import CANARY, png
from .test_canary import Half, everything_in

IMAGE, TEXT = datasets.Image(), datasets.Value("string")


def named(path):
    return {"bytes": None, "path": path}


COLUMNS = {  # name: (its feature, what a row holds that names the file `p`)
    "in_struct": ({"a": IMAGE, "b": TEXT}, lambda p: {"a": named(p), "b": "x"}),
    "in_structs": ([{"a": IMAGE, "b": TEXT}], lambda p: [{"a": named(p), "b": "x"}, None]),
    "in_lists": (datasets.List(datasets.List(IMAGE)), lambda p: [[named(p)], [], None]),
    "deep": ({"a": datasets.List({"b": {"c": datasets.List(IMAGE)}})}, lambda p: {"a": [{"b": {"c": [named(p)]}}]}),
    "fixed": (datasets.List(IMAGE, length=2), lambda p: [named(p), named(p)]),
    "large_list": (datasets.LargeList(IMAGE), lambda p: [named(p)]),
    "audio": (datasets.Audio(decode=False), named),
    "video": (datasets.Video(decode=False), named),
    "pdf": (datasets.Pdf(decode=False), named),
    "nifti": (datasets.Nifti(decode=False), named),
    "audios": (datasets.List(datasets.Audio(decode=False)), lambda p: [named(p)]),
    "empty_bytes": (IMAGE, lambda p: {"bytes": b"", "path": p}),
    "own_bytes": (IMAGE, lambda p: {"bytes": png(), "path": p}),
    "plain_struct": ({"bytes": datasets.Value("binary"), "path": TEXT}, named),
    "plain_structs": ([{"path": TEXT, "n": datasets.Value("int64")}], lambda p: [{"path": p, "n": 1}]),
    "texts_in_lists": (datasets.List(datasets.List(TEXT)), lambda p: [[p, "x"], []]),
    "text_in_struct": ({"a": {"b": TEXT}}, lambda p: {"a": {"b": p}}),
    "large_text": (datasets.Value("large_string"), lambda p: p),
    "text_view": (datasets.Value("string_view"), lambda p: p),
    "file_url": (TEXT, lambda p: f"file://{p}"),
    "chat": (
        [{"role": TEXT, "content": [{"type": TEXT, "image": TEXT}]}],
        lambda p: [{"role": "user", "content": [{"type": "image", "image": p}]}],
    ),
    "chat_as_text": (
        TEXT,
        lambda p: json.dumps([{"role": "user", "content": [{"type": "image", "image": p}]}]),
    ),
    "chat_with_urls": (
        TEXT,
        lambda p: json.dumps([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": f"file://{p}"}}]}]),
    ),
    "list_as_text": (TEXT, lambda p: json.dumps([p, p])),
    "options": (datasets.List(TEXT), lambda p: [p, p]),
}  # fmt: skip


@pytest.fixture
def strangers(machine):
    """Six rows of a stranger with all these columns; the last names the key file, the others the picture."""
    names = [str(machine.private)] * 5 + [str(machine.key)]
    features = {"id": TEXT, "image": IMAGE, "question": TEXT, "answer": TEXT}
    cells = {
        "id": [str(number) for number in range(6)],
        "image": [{"bytes": png(size=(20 + number, 20)), "path": "x.png"} for number in range(6)],
        "question": [f"How many? {number}" for number in range(6)],
        "answer": ["4"] * 6,
    }
    for name, (feature, cell) in COLUMNS.items():
        features[name], cells[name] = feature, [cell(path) for path in names]
    features = datasets.Features(features)
    arrays = [pa.array(cells[name], features.arrow_schema.field(name).type) for name in features]
    pq.write_table(pa.table(arrays, schema=features.arrow_schema), machine.own / "train.parquet")
    return load_source(str(machine.own / "train.parquet"))


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_is_written_without_what_it_names(machine, strangers, name):
    """Neither bytes nor folder, and the rest of the cell stays."""
    table = strangers.select_columns([name]).with_format("arrow")[:]
    embedder = Embedder.of(strangers.select_columns([name]))
    written = str(embedder.embed(table).to_pylist())
    assert CANARY.decode() not in written
    assert "CANARY-path" not in written
    assert len(embedder.embed(table)) == 6


def test_a_version_of_all_of_them_holds_nothing_of_this_machine(machine, strangers, tmp_path):
    """Evidence, a run, a version and exports."""
    layout = Layout("question", "image", "answer", id="id", ignore=tuple(COLUMNS))
    out = tmp_path / "out"
    evidence = collect_in_run(strangers, Rollouts(Half(), attempts=2, layout=layout), str(out / "run"))
    assert evidence["rap_error"][:] == [None] * 6
    scored = add_scores(evidence, CDEScore(), DifficultyScore())
    write_file(scored, out / "scored.parquet", layout=settle(layout, strangers).layout)
    selection = select_cognitive(scored, min_cde=0.1, max_ace=None)
    assert len(selection.selected) == 6
    publish_to_folder(selection, out / "version", layout=layout)
    export(selection, out / "jsonl", to="jsonl", layout=layout)
    found = {}
    for path, content in everything_in(out):
        for what in (CANARY, b"CANARY-path"):
            if what in content:
                found[path.relative_to(out).as_posix()] = [
                    name
                    for name in COLUMNS
                    if path.suffix == ".parquet" and what.decode() in str(pq.read_table(path, columns=[name]))
                ]
    assert found == {}


def stored(machine, name, feature, cells):
    features = datasets.Features({"question": TEXT, "answer": TEXT, name: feature})
    count = len(cells)
    table = pa.table({"question": ["Q"] * count, "answer": ["4"] * count, name: cells}, schema=features.arrow_schema)
    pq.write_table(table, machine.own / "train.parquet")
    return load_source(str(machine.own / "train.parquet"))


SPELLINGS = {
    "root_of_the_process": lambda m: f"/proc/self/root{m.private}",
    "cwd_of_the_process": lambda m: "/proc/self/cwd/../private.png",
    "descriptor": lambda m: "/dev/fd/0",
    "stdin": lambda m: "/dev/stdin",
    "maps": lambda m: "/proc/self/maps",
    "unc": lambda m: "\\\\server\\share\\x.png",
    "unc_of_slashes": lambda m: "//server/share/x.png",
    "long_windows_path": lambda m: "\\\\?\\C:\\x.png",
    "percent": lambda m: "..%2fprivate.png",
    "percent_twice": lambda m: "%252e%252e%252fprivate.png",
    "wide_dots": lambda m: "\u2025/private.png",
    "wide_slash": lambda m: "..\uff0fprivate.png",
    "dots_behind_a_file": lambda m: "fine.png/../../private.png",
    "null_byte": lambda m: "fine.png\0/../../private.png",
    "null_byte_behind": lambda m: "../private.png\0.png",
    "line_break_behind": lambda m: "../private.png\n",
    "space_before": lambda m: " ../private.png",
    "variable": lambda m: "$HOME/../private.png",
    "other_home": lambda m: "~root/private.png",
    "glob": lambda m: "../priv*.png",
    "braces": lambda m: "{..,}/private.png",
    "chain_of_zip_and_file": lambda m: f"zip://a::file://{m.private}",
    "tar": lambda m: f"tar://a::{m.private}",
    "reference": lambda m: f"reference::file://{m.private}",
    "cached": lambda m: f"simplecache::file://{m.private}",
    "dir": lambda m: f"dir::file://{m.top}",
    "libarchive": lambda m: f"libarchive://a::{m.private}",
    "local": lambda m: f"local:{m.private}",
    "hub": lambda m: "hf://datasets/me/private@main/private.png",
    "bucket": lambda m: "s3://bucket/x.png",
    "azure": lambda m: "abfs://c/x.png",
    "data": lambda m: "data:image/png;base64,AAAA",
    "python": lambda m: "python:os.system",
    "pipe_command": lambda m: "|cat ../private.png",
    "git": lambda m: f"git://{m.top}:x.png@main",
    "jar": lambda m: f"jar:file://{m.top}/x.zip!/a.png",
    "member_with_dots": lambda m: "zip://../../private.png::x.zip",
    "empty_member": lambda m: "zip://::x.zip",
    "only_dots": lambda m: "..",
    "dot": lambda m: ".",
    "slash": lambda m: "/",
    "capital_scheme": lambda m: f"FILE://{m.private}",
    "file_url_with_host": lambda m: f"file://evil.example{m.private}",
    "file_url_with_query": lambda m: f"file://{m.own}/../private.png?x#y",
}  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_another_spelling_of_a_file_outside(machine, monkeypatch, spelling):
    """None is opened, fetched or written."""
    monkeypatch.chdir(machine.own)
    with zipfile.ZipFile(machine.own / "x.zip", "w") as file:
        file.writestr("../../private.png", b"no picture")
    name = SPELLINGS[spelling](machine)
    ds = stored(machine, "image", IMAGE, [named(name)])
    layout = settle(None, ds).layout
    (raw,) = raw_rows(ds.with_format("arrow")[:1].to_pydict(), layout)
    with pytest.raises(RowError) as caught:
        read_question(raw, layout)
    assert str(caught.value).startswith("image_unreadable: ")
    assert str(caught.value).isprintable()
    assert "CANARY-path" not in str(caught.value)
    embedder = Embedder.of(ds)
    assert embedder.embed(ds.with_format("arrow")[:])["image"].to_pylist() == [None]


@pytest.mark.parametrize("feature", [datasets.Audio(decode=False), datasets.Video(decode=False), {"a": IMAGE}, [IMAGE]])
def test_a_url_in_any_media_column_is_not_fetched(machine, listener, feature):
    """Neither by us nor by datasets."""
    url, asked = listener
    cell = named(f"{url}/x.bin")
    cell = {"a": cell} if isinstance(feature, dict) else [cell] if isinstance(feature, list) else cell
    ds = stored(machine, "m", feature, [cell])
    Embedder.of(ds).embed(ds.with_format("arrow")[:])
    write_file(ds, machine.top / "out.parquet")
    assert asked == []
    assert CANARY not in (machine.top / "out.parquet").read_bytes()


BLOCKS = {
    "image_url": lambda url: {"type": "image_url", "image_url": {"url": url}},
    "image_url_as_text": lambda url: {"type": "image_url", "image_url": url},
    "image": lambda url: {"type": "image", "image": url},
    "path": lambda url: {"type": "image", "path": url},
    "url": lambda url: {"type": "image", "url": url},
    "video": lambda url: {"type": "video", "video": url},
    "video_url": lambda url: {"type": "video_url", "video_url": {"url": url}},
    "audio": lambda url: {"type": "audio", "audio": url},
    "input_audio": lambda url: {"type": "input_audio", "input_audio": {"data": url}},
    "file": lambda url: {"type": "file", "file": {"file_data": url}},
    "input_image": lambda url: {"type": "input_image", "image_url": url},
}


@pytest.mark.parametrize("kind", BLOCKS)
@pytest.mark.parametrize("target", ["url", "file"])
def test_a_block_of_a_chat_fetches_nothing_and_sends_no_address(machine, listener, kind, target):
    """A server that got the address would fetch it from inside its own network."""
    url, asked = listener
    address = f"{url}/x.png" if target == "url" else f"file://{machine.private}"
    content = [BLOCKS[kind](address), {"type": "text", "text": "How many?"}]
    row = {"messages": [{"role": "user", "content": content}], "answer": "4"}
    (machine.own / "train.jsonl").write_text(json.dumps(row))
    engine = Half()
    try:
        ds = load_source(str(machine.own / "train.jsonl"))
        evidence = collect_in_run(ds, Rollouts(engine, attempts=1), str(machine.top / "run"))
    except RapError as error:
        assert "\n" not in str(error)  # noqa: PT017 - both are fine
    else:
        write_file(evidence, machine.top / "out.parquet")
        assert CANARY not in (machine.top / "out.parquet").read_bytes()
        assert "CANARY-path" not in str(pq.read_table(machine.top / "out.parquet").to_pylist())
    assert asked == []
    assert all(url not in str(request) and "private.png" not in str(request) for request in engine.seen)


def member(name, kind, target=""):
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, target
    return made


@pytest.mark.parametrize("kind", ["symbolic", "hard", "dots", "absolute", "device"])
@pytest.mark.parametrize("archive", ["tar", "tar.gz"])
def test_a_member_of_a_tar_reaches_nothing_outside(machine, kind, archive):
    """A folder of pictures in a tar, or a webdataset."""
    import io

    members = {
        "symbolic": member("0.png", tarfile.SYMTYPE, str(machine.private)),
        "hard": member("0.png", tarfile.LNKTYPE, str(machine.private)),
        "dots": member("../../private.png", tarfile.REGTYPE),
        "absolute": member(str(machine.private), tarfile.REGTYPE),
        "device": member("0.png", tarfile.CHRTYPE),
    }
    before = machine.private.read_bytes()
    with tarfile.open(machine.own / f"train-0.{archive}", "w:gz" if archive.endswith("gz") else "w") as file:
        file.addfile(members[kind], io.BytesIO(b""))
        text = json.dumps({"question": "q", "answer": "4"}).encode()
        made = tarfile.TarInfo("0.json")
        made.size = len(text)
        file.addfile(made, io.BytesIO(text))
    (machine.own / "fine.png").unlink()
    try:
        ds = load_source(str(machine.own))
    except RapError as error:
        assert "\n" not in str(error)  # noqa: PT017 - both are fine
    else:
        write_file(ds, machine.top / "out.parquet")
        assert CANARY not in (machine.top / "out.parquet").read_bytes()
    assert machine.private.read_bytes() == before


@pytest.mark.parametrize(
    "name", ["../../private.png", "/etc/private.png", "a/../../../private.png", "C:\\private.png", "link.png"]
)
def test_a_member_of_a_zip_reaches_nothing_outside(machine, name):
    """A zip of pictures that datasets opens; a member that is a symbolic link, too."""
    before = machine.private.read_bytes()
    (machine.own / "fine.png").unlink()
    with zipfile.ZipFile(machine.own / "x.zip", "w") as file:
        made = zipfile.ZipInfo(name)
        if name == "link.png":
            made.external_attr = 0o120777 << 16
        file.writestr(made, str(machine.private) if name == "link.png" else png())
        file.writestr("metadata.jsonl", json.dumps({"file_name": name, "question": "q", "answer": "4"}))
    try:
        ds = load_source(str(machine.own))
    except RapError as error:
        assert "\n" not in str(error)  # noqa: PT017 - both are fine
    else:
        write_file(ds, machine.top / "out.parquet")
        assert CANARY not in (machine.top / "out.parquet").read_bytes()
        assert b"CANARY-path" not in (machine.top / "out.parquet").read_bytes()
    assert machine.private.read_bytes() == before


def test_a_hard_link_in_the_folder_is_a_file_of_the_folder(machine):
    """It cannot be told from one; whoever can make it can read the file anyway."""
    os.link(machine.private, machine.own / "hard.png")
    ds = stored(machine, "image", IMAGE, [named("hard.png")])
    (written,) = Embedder.of(ds).embed(ds.with_format("arrow")[:])["image"].to_pylist()
    assert written["bytes"] == machine.private.read_bytes()
