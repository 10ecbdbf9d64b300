"""One run of everything over rows of a stranger: nothing private stands in any file that it has written."""

import json
import zipfile

import datasets
import pyarrow.parquet as pq
from click.testing import CliRunner

from hf_rap import Rollouts, collect_in_run, export, publish_to_folder, select_cognitive
from hf_rap.cli import cli
from hf_rap.cli.files import write_file
from hf_rap.rows.settling import settle
from hf_rap.rows.sources import load_source
from hf_rap.scorers import CDEScore, DifficultyScore
from hf_rap.scorers.base import add_scores

from .conftest import CANARY, Knows, png

KEY = "hf_CANARYkeyCANARY"


class Half(Knows):
    """Right once in two with the picture, never without."""

    def complete(self, requests, sampling):
        wrong = Knows("5").complete(requests, sampling)
        right = super().complete(requests, sampling)
        pairs = zip(requests, right, wrong, strict=True)
        return [[one[0], *other[1:]] if request.images else other for request, one, other in pairs]


def strangers_rows(machine, url):
    """Three good rows, and a bad one for every way out; a second column of pictures that nobody asks about."""
    secret = [str(machine.private), str(machine.key), "../private.png", f"file://{machine.private}", f"{url}/x.png"]
    (machine.own / "link.png").symlink_to(machine.private)
    (machine.own / "key.png").symlink_to(machine.key)
    secret += ["link.png", "key.png", str(machine.own / "link.png")]
    fine = [{"bytes": png(colour), "path": str(machine.own / "fine.png")} for colour in ("red", "green", "blue")]
    named = [{"bytes": None, "path": name} for name in secret]
    rows = len(fine) + len(secret)
    features = {
        "id": datasets.Value("string"),
        "image": datasets.Image(),
        "other": datasets.Image(),
        "notes": datasets.Value("string"),
        "question": datasets.Value("string"),
        "answer": datasets.Value("string"),
    }
    columns = {
        "id": [str(number) for number in range(rows)],
        "image": [*fine, *named],
        "other": [*named[:3], *named],
        "notes": [str(machine.private)] * rows,
        "question": [f"How many? {number}" for number in range(rows)],
        "answer": ["4"] * rows,
    }
    schema = datasets.Features(features).arrow_schema
    import pyarrow as pa

    pq.write_table(pa.table(columns, schema=schema), machine.own / "train.parquet")
    return load_source(str(machine.own / "train.parquet")), len(secret)


def everything_in(folder):
    """All bytes of all files below, Parquet cells and members of archives unpacked."""
    for path in folder.rglob("*"):
        if not path.is_file() or path.is_symlink():
            continue
        yield path, path.read_bytes()
        if path.suffix == ".parquet":
            yield path, str(pq.read_table(path).to_pylist()).encode()
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as file:
                yield from ((path, file.read(name)) for name in file.namelist())


def test_nothing_of_this_machine_is_in_what_is_written(machine, listener, tmp_path, monkeypatch, caplog):
    """Neither a private file's bytes, nor a folder, nor a key; and what was left out is counted. Logs and output are searched, too.

    One line on the user's own screen names folders: it says which option lets their pictures through.
    """
    caplog.set_level(0)
    monkeypatch.setenv("HF_TOKEN", KEY)
    url, asked = listener
    ds, bad = strangers_rows(machine, url)
    from hf_rap import Layout

    layout = Layout("question", "image", "answer", id="id", ignore=("other",))
    out = tmp_path / "out"
    engine = Half()
    evidence = collect_in_run(ds, Rollouts(engine, attempts=2, layout=layout), str(out / "run"))
    assert [error is None for error in evidence["rap_error"][:]] == [True] * 3 + [False] * bad
    scored = add_scores(evidence, CDEScore(), DifficultyScore())
    write_file(scored, out / "scored.parquet", layout=settle(layout, ds).layout)
    selection = select_cognitive(scored, min_cde=0.1, max_ace=None)
    assert len(selection.selected) == 3
    done = publish_to_folder(selection, out / "version", layout=layout)
    export(selection, out / "easyr1", to="easyr1", layout=layout)
    export(selection, out / "jsonl", to="jsonl", layout=layout)
    result = CliRunner().invoke(cli, ["export", str(out / "version"), str(out / "again")])
    assert result.exit_code == 0, result.output
    inspected = CliRunner().invoke(cli, ["inspect", str(out / "version")])
    assert inspected.exit_code == 0, inspected.output
    assert asked == []
    assert len(engine.seen) > 0
    logged = [
        f"{record.getMessage()} {record.exc_text or ''}" for record in caplog.records if record.name != "filelock"
    ]
    ours = [text for text in logged if "pictures lie outside of the dataset's own folder" not in text]
    assert len(ours) < len(logged)
    for text in (*logged, result.output, inspected.output):
        assert CANARY.decode() not in text
        assert KEY not in text
    for text in ours:
        assert str(machine.private) not in text
        assert str(machine.key) not in text
    assert done.facts["images_missing"] == bad + 3 + bad
    for path, content in everything_in(out):
        assert CANARY not in content, path
        assert b"CANARY-path" not in content, path
        assert KEY.encode() not in content, path
    written = pq.read_table(out / "scored.parquet").to_pylist()
    assert [row["other"] for row in written] == [None] * len(written)
    assert [row["image"] is None for row in written] == [False] * 3 + [True] * bad
    assert {row["notes"] for row in written} == {"private.png"}


def test_json_lines_with_paths_of_this_machine_publish_no_path(machine, tmp_path):
    """The usual files of LLaMA-Factory and MM-Eureka: pictures go inside, names keep their last part."""
    rows = [
        {"id": str(number), "question": f"How many? {number}", "images": [str(machine.own / "fine.png")], "answer": "4"}
        for number in range(3)
    ]
    (machine.own / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    ds = load_source(str(machine.own / "train.jsonl"))
    out = tmp_path / "out"
    evidence = collect_in_run(ds, Rollouts(Half(), attempts=2), str(out / "run"))
    write_file(evidence, out / "evidence.parquet")
    selection = select_cognitive(add_scores(evidence, CDEScore(), DifficultyScore()), min_cde=0.1, max_ace=None)
    publish_to_folder(selection, out / "version")
    for path, content in everything_in(out):
        assert b"CANARY-path" not in content, path
    (scored,) = (out / "version" / "scored").glob("*.parquet")
    assert pq.read_table(scored)["images"].to_pylist() == [[{"bytes": png("red"), "path": "fine.png"}]] * 3
