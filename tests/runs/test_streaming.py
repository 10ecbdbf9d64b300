"""A stream through a run: the same evidence as of the table, whatever happens, and no shard is read for nothing."""

import json
import os
import random
import re
import signal
import time
from itertools import pairwise
from pathlib import Path

import datasets
import pytest
from click.testing import CliRunner
from server import FaultyServer
from stubs import lines, make_rows, stub_rollouts

from hf_rap import Controls, EndpointEngine, Rollouts, collect_evidence, collect_in_run, list_runs
from hf_rap.cli import cli
from hf_rap.errors import SettingError, SourceError
from hf_rap.runs.fill import Run
from hf_rap.runs.shards import _Shards

SHARDS, EACH = 4, 15


@pytest.fixture(autouse=True)
def few_first_rows(monkeypatch):
    """Of a stream, a layout is settled by fewer rows than a shard has."""
    for module in ("hf_rap.rows.settling", "hf_rap.runs.shards"):
        monkeypatch.setattr(f"{module}.FIRST_ROWS", 5)


def whole(rows=SHARDS * EACH, **options):
    """The table."""
    return make_rows(rows, **options)


def stream_of(folder, ds=None, kind="parquet"):
    """The same in files of 15 rows, streamed."""
    ds = whole() if ds is None else ds
    names = []
    for number, start in enumerate(range(0, len(ds), EACH)):
        names.append(str(folder / f"rows-{number}.{'jsonl' if kind == 'json' else kind}"))
        if not Path(names[-1]).exists():
            part = ds.select(range(start, min(start + EACH, len(ds))))
            part.to_json(names[-1]) if kind == "json" else part.to_parquet(names[-1])
    return datasets.load_dataset(kind, data_files=names, split="train", streaming=True)


def plain(rows):
    return [{name: value for name, value in row.items() if name != "images"} for row in rows]


@pytest.mark.parametrize("ids", [True, False])
@pytest.mark.parametrize("pieces", ["all at once", "few at a time"])
def test_the_evidence_is_that_of_the_table(tmp_path, monkeypatch, ids, pieces):
    """Values, order, types, ids and the errors of rows; a piece may end in the middle of a shard."""
    if pieces == "few at a time":
        monkeypatch.setattr("hf_rap.runs.shards.PIECE_ROWS", 7)
    ds = whole(ids=ids)
    streamed = collect_in_run(stream_of(tmp_path, ds), stub_rollouts(), str(tmp_path / "run"), rows_per_part=4)
    table = collect_evidence(ds, stub_rollouts())
    assert isinstance(streamed, datasets.IterableDataset)
    assert plain(streamed) == plain(table)
    assert streamed.features == table.features
    stored = table.cast_column("images", datasets.List(datasets.Image(decode=False)))
    assert [row["images"] for row in streamed] == stored["images"][:]
    pictures = [row["images"] for row in streamed.decode(True)]
    assert [[picture.size for picture in row] for row in pictures] == [
        [picture.size for picture in row] for row in table["images"]
    ]


def test_one_arm_alone(tmp_path):
    """The columns of the other are null, as of the table."""
    rollouts = Rollouts(stub_rollouts().engine, attempts=2, arm="image")
    streamed = collect_in_run(stream_of(tmp_path), rollouts, str(tmp_path / "run"))
    assert plain(streamed) == plain(collect_evidence(whole(), rollouts))


def test_json_lines_stream_as_well(tmp_path):
    """Rows without pictures."""
    rows = [{"id": str(n), "images": [], "problem": f"How many? ({n})", "answer": str(n % 4 + 1)} for n in range(40)]
    ds = datasets.Dataset.from_list(rows)
    streamed = collect_in_run(stream_of(tmp_path, ds, "json"), stub_rollouts(), str(tmp_path / "run"))
    assert list(streamed) == collect_evidence(ds, stub_rollouts()).to_list()


def test_a_shard_that_is_done_is_not_read_again(tmp_path):
    """Its content may be gone: its name, size and time say that it is the file of then."""
    stream, log = stream_of(tmp_path), str(tmp_path / "log")
    run = str(tmp_path / "run")
    collect_in_run(stream, stub_rollouts(), run)
    for number in (1, 2, 3):  # the first tells the layout
        path = tmp_path / f"rows-{number}.parquet"
        times = path.stat()
        path.write_bytes(b"x" * times.st_size)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    collect_in_run(stream, stub_rollouts(log=log), run)
    assert lines(log) == []
    with pytest.raises(
        SourceError, match=r"Shard 2 of the stream cannot be read: .* What is collected stays in the run"
    ):
        collect_in_run(stream, stub_rollouts(5), run)  # more attempts need the rows


def test_a_shard_that_has_changed_is_read_again(tmp_path):
    """Only its new rows are asked."""
    run, log = str(tmp_path / "run"), str(tmp_path / "log")
    collect_in_run(stream_of(tmp_path), stub_rollouts(), run)
    new = datasets.concatenate_datasets([whole().select(range(EACH, 2 * EACH)), make_rows(3, start=100)])
    new.to_parquet(str(tmp_path / "rows-1.parquet"))
    evidence = list(collect_in_run(stream_of(tmp_path), stub_rollouts(log=log), run))
    assert len(evidence) == SHARDS * EACH + 3
    assert {line.split()[0] for line in lines(log)} <= {f"row-{number:05d}" for number in (100, 101, 102)}
    assert lines(log)


def test_a_run_goes_on_from_table_to_stream_and_back(tmp_path):
    """Rows are known by their content."""
    run, log = str(tmp_path / "run"), str(tmp_path / "log")
    ds = whole()
    collect_in_run(ds.select(range(20)), stub_rollouts(), run)
    streamed = collect_in_run(stream_of(tmp_path), stub_rollouts(log=log), run)
    assert not {line.split()[0] for line in lines(log)} & set(ds["id"][:20])
    before = len(lines(log))
    table = collect_in_run(ds, stub_rollouts(log=log), run)
    assert len(lines(log)) == before
    assert plain(streamed) == plain(table) == plain(collect_evidence(ds, stub_rollouts()))


def test_more_attempts_and_failed_rows_are_found_in_shards_that_are_done(tmp_path):
    """Attempts 3 and 4 alone; failed rows when they are asked for."""
    run, log = str(tmp_path / "run"), str(tmp_path / "log")
    stream = stream_of(tmp_path)
    stop = tmp_path / "well"
    failing = {"fails_on": "(22)", "stop_file": str(stop)}
    collect_in_run(stream, stub_rollouts(**failing), run)
    collect_in_run(stream, stub_rollouts(log=log, **failing), run)
    assert lines(log) == []
    stop.touch()
    collect_in_run(stream, stub_rollouts(log=log, **failing), run, retry_errors=True)
    assert {line.split()[0] for line in lines(log)} >= {"row-00022"}
    Path(log).unlink()
    evidence = collect_in_run(stream, stub_rollouts(5, log=log, **failing), run)
    assert {line.split(" ", 2)[2] for line in lines(log)} == {"3 2"}
    assert plain(evidence) == plain(collect_evidence(whole(), stub_rollouts(5)))


@pytest.mark.parametrize(
    "change", ["mapped", "filtered", pytest.param("shuffled", marks=pytest.mark.exhaustive), "skipped"]
)
def test_a_stream_that_was_made_of_another_is_read_whole(tmp_path, change, caplog):
    """It is said; nothing is asked twice, in whatever order rows come."""
    stream = stream_of(tmp_path)
    made = {
        "mapped": lambda: stream.map(lambda row: {"more": len(row["problem"])}),
        "filtered": lambda: stream.filter(lambda row: int(row["id"][4:]) % 2 == 0),
        "shuffled": lambda: stream.shuffle(seed=random.randint(0, 99), buffer_size=20),
        "skipped": lambda: stream.skip(20),
    }[change]
    run, log = str(tmp_path / "run"), str(tmp_path / "log")
    evidence = {row["id"]: row for row in plain(collect_in_run(made(), stub_rollouts(), run))}
    assert "a start that goes on reads all of it again" in caplog.text
    collect_in_run(made(), stub_rollouts(log=log), run)
    assert lines(log) == []
    table = {row["id"]: row for row in plain(collect_evidence(whole(), stub_rollouts()))}
    assert len(evidence) == {"filtered": 30, "skipped": 40}.get(change, 60)
    for name, row in evidence.items():
        assert {column: row[column] for column in table[name]} == table[name]


def test_a_server_is_asked_for_a_stream(tmp_path):
    """Rows, pictures and errors as from the table."""
    with FaultyServer(draws_n="knows") as server:
        rollouts = Rollouts(EndpointEngine(server.url, model="m", concurrency=8), attempts=2)
        streamed = collect_in_run(stream_of(tmp_path), rollouts, str(tmp_path / "run"))
        assert plain(streamed) == plain(collect_evidence(whole(), rollouts))


def test_a_row_that_takes_long_keeps_no_later_piece_waiting(tmp_path, monkeypatch):
    """Of nine pieces; the second row of the first is answered when all others are, and its shard is not noted before."""
    monkeypatch.setattr("hf_rap.runs.shards.PIECE_ROWS", 7)
    run, noted, answered = tmp_path / "run", [], set()
    rows = [{"id": str(n), "images": [], "problem": f"How many? ({n})", "answer": "1"} for n in range(60)]
    ds = datasets.Dataset.from_list(rows, features=whole().features)

    class Slow(FaultyServer):
        def answer(self, request, body, fault):
            number = re.search(r"\((\d+)\)", json.dumps(body))
            give_up = time.monotonic() + 30
            while number and number[1] == "1" and len(answered) < 59 and time.monotonic() < give_up:
                time.sleep(0.01)
            if number and number[1] == "1":
                noted.append((len(answered), len(list(run.glob("*/shards/rows-0*")))))
            super().answer(request, body, fault)
            if number:
                answered.add(number[1])

    with Slow(draws_n="knows") as server:
        rollouts = Rollouts(EndpointEngine(server.url, model="m", concurrency=4), attempts=1)
        streamed = list(collect_in_run(stream_of(tmp_path, ds), rollouts, str(run), rows_per_part=4))
    assert noted == [(59, 0)]
    assert [row["id"] for row in streamed] == ds["id"][:]
    assert len(list(run.glob("*/shards/*"))) == 4
    assert not (run / "claims").exists()


def test_what_was_read_before_a_shard_that_cannot_be_read_is_kept(tmp_path, monkeypatch):
    """What is under way is answered; the next start asks none of it again."""
    monkeypatch.setattr("hf_rap.runs.shards.PIECE_ROWS", 7)
    stream, run, log = stream_of(tmp_path), str(tmp_path / "run"), tmp_path / "log"
    good = (tmp_path / "rows-2.parquet").read_bytes()
    (tmp_path / "rows-2.parquet").write_bytes(good[:100])
    with pytest.raises(SourceError, match="Shard 3 of the stream cannot be read"):
        collect_in_run(stream, stub_rollouts(log=str(log)), run)
    assert list_runs(run)[0].rows == 29  # pieces of 7, 7 and 1 of each shard, and the last one waited for more
    (tmp_path / "rows-2.parquet").write_bytes(good)
    streamed = collect_in_run(stream_of(tmp_path), stub_rollouts(log=str(log)), run)
    assert plain(streamed) == plain(collect_evidence(whole(), stub_rollouts()))
    assert len(lines(log)) == len(set(lines(log)))


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.exhaustive)])
def test_kills_change_nothing(tmp_path, kills):
    """Each costs at most the parts in flight."""
    ds = whole(SHARDS * EACH + 20 * kills)
    run, log = tmp_path / "run", tmp_path / "log"
    stream = stream_of(tmp_path, ds)

    def parts():
        return len(list(run.glob("*/*.parquet")))

    for _ in range(kills):
        before = parts()
        child = os.fork()
        if child == 0:
            try:
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
                slow = stub_rollouts(log=str(log), seconds=0.01)
                collect_in_run(stream, slow, str(run), rows_per_part=4)
            finally:
                os._exit(0)
        give_up = time.monotonic() + 60
        while parts() == before and time.monotonic() < give_up:
            time.sleep(0.01)
        time.sleep(random.uniform(0.0, 0.3))
        os.kill(child, signal.SIGKILL)
        assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    (held,) = list_runs(str(run))
    assert held.unusable == ()
    streamed = collect_in_run(stream, stub_rollouts(log=str(log), seconds=0.01), str(run), rows_per_part=4)
    assert plain(streamed) == plain(collect_evidence(ds, stub_rollouts()))
    needed = sum(2 if row % 11 != 10 else 1 for row in range(len(ds)) if row % 7 != 6)
    assert len(lines(log)) - needed <= kills * 4 * 2


def test_what_looks_at_all_rows_says_so(tmp_path):
    """Shuffled pictures, estimates, adaptive attempts."""
    ds = collect_evidence(whole(), stub_rollouts())
    stream = stream_of(tmp_path, ds)
    engine = stub_rollouts().engine
    with pytest.raises(SettingError, match="Controls looks at all rows, so it takes a Dataset, not a stream"):
        collect_in_run(stream, Controls(engine), str(tmp_path / "run"))
    blank = Controls(engine, arms=("blank",))
    streamed = collect_in_run(stream, blank, str(tmp_path / "run"))
    assert plain(streamed) == plain(collect_evidence(ds, blank))
    options = ["--adaptive", "--dry-run", "--without"]
    for option, value in zip(options, ["exact", "5", "x"], strict=True):
        command = ["rollouts", "x", "--model", "demo", "--streaming", "--run", "r", option, value]
        told = CliRunner().invoke(cli, command).output
        assert f"{option} " in told
        assert "leave out --streaming" in told


def test_the_command_streams(tmp_path):
    """Files, class names and all; what it writes is scored like any other."""
    stream_of(tmp_path)
    with FaultyServer(draws_n="knows") as server:
        command = [
            "rollouts",
            f"{tmp_path}/rows-*.parquet",
            "--endpoint",
            server.url,
            "--model",
            "m",
            "--attempts",
            "2",
        ]
        table = [*command, "--out", str(tmp_path / "table.parquet")]
        streamed = [
            *command,
            "--streaming",
            "--run",
            str(tmp_path / "run"),
            "--out",
            str(tmp_path / "streamed.parquet"),
        ]
        for each in (table, streamed):
            done = CliRunner().invoke(cli, each)
            assert done.exit_code == 0, done.exception
    one, other = (datasets.Dataset.from_parquet(str(tmp_path / f"{name}.parquet")) for name in ("table", "streamed"))
    assert one.features == other.features
    assert (
        one.cast_column("images", datasets.List(datasets.Image(decode=False))).to_list()
        == other.cast_column("images", datasets.List(datasets.Image(decode=False))).to_list()
    )
    done = CliRunner().invoke(cli, ["score", str(tmp_path / "streamed.parquet"), "--out", str(tmp_path / "s.parquet")])
    assert done.exit_code == 0, done.exception


def test_rows_that_change_their_types_are_said(tmp_path):
    """With the number of the shard, and what is there stays."""
    for number, answer in enumerate(["1", [{"a": 1}]]):
        lines = [
            json.dumps({"id": f"{number}-{n}", "images": [], "problem": "How many?", "answer": answer})
            for n in range(8)
        ]
        (tmp_path / f"rows-{number}.jsonl").write_text("\n".join(lines))
    names = [str(tmp_path / f"rows-{number}.jsonl") for number in (0, 1)]
    stream = datasets.load_dataset("json", data_files=names, split="train", streaming=True)
    with pytest.raises(SourceError, match="of the stream"):
        collect_in_run(stream, stub_rollouts(), str(tmp_path / "run"))


def test_two_processes_share_a_stream(tmp_path):
    """Each asks its own rows of every piece; the first has all of the evidence."""
    stream, run, log = stream_of(tmp_path), str(tmp_path / "run"), str(tmp_path / "log")
    child = os.fork()
    if child == 0:
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            collect_in_run(stream, stub_rollouts(log=log), run, rank=1, world=2)
        finally:
            os._exit(0)
    evidence = collect_in_run(stream, stub_rollouts(log=log), run, rank=0, world=2)
    os.waitpid(child, 0)
    assert plain(evidence) == plain(collect_evidence(whole(), stub_rollouts()))
    assert len(lines(log)) == len({tuple(line.split()) for line in lines(log)})


def test_one_that_comes_late_to_a_stream_asks_nothing_again(tmp_path):
    """It finds the first shard done and so reads another piece: what another process has claimed of that is not for it."""
    shards = _Shards(stream_of(tmp_path), whole().features)

    def rows_of(run, numbers):
        """Those that the process gets of these shards, a part after the other."""
        (piece,) = shards.pieces(run, numbers)
        run.turn_to(piece.ds, piece.rows, starts=piece.starts)
        sharing = run._share(*run._asking(retry=False), range(len(run.rows)))
        for task in sharing.tasks(run.start_progress(sharing.rows)):
            yield {row.id for row in task.rows}

    options = {"rows_per_part": 6, "world": 2}
    with (
        Run(make_rows(5), stub_rollouts(), str(tmp_path / "run"), rank=0, **options) as early,
        Run(make_rows(5), stub_rollouts(), str(tmp_path / "run"), rank=1, **options) as late,
    ):
        parts = rows_of(early, [0, 1])
        claimed = set.union(*(next(parts) for _ in range(4)))  # 6 + 6 + 3 of the first shard, 6 of the second
        assert len(claimed) == 21
        left = [f"row-{number:05d}" for number in range(21, 45)]
        assert sorted(set.union(*rows_of(late, [1, 2]))) == left


def test_blocks_of_a_shard_follow_from_it_alone(tmp_path, monkeypatch):
    """Whatever else is in a piece, a block starts where it started for others: 15 rows in blocks of 6 are 6, 6 and 3."""
    monkeypatch.setattr("hf_rap.runs.shards.PIECE_ROWS", 20)
    shards = _Shards(stream_of(tmp_path), whole().features)
    first = make_rows(5)
    with Run(first, stub_rollouts(), str(tmp_path / "run"), rows_per_part=6) as run:

        def blocks(numbers):
            return {
                tuple(row.id for row in piece.rows[start:stop])
                for piece in shards.pieces(run, numbers)
                for start, stop in pairwise([*piece.starts, len(piece.rows)])
            }

        early, late = blocks([0, 1, 2, 3]), blocks([1, 2, 3])
    assert [len(block) for block in sorted(early)] == [6, 6, 3] * 4
    assert late == {block for block in early if min(block) >= "row-00015"}


@pytest.mark.parametrize("change", ["a folder", "class names", "pictures named as files", "several sources", "no run"])
def test_what_the_command_streams(tmp_path, change):
    """As `load_source` has it, or a sentence that says what to do."""
    (tmp_path / "data").mkdir()
    ds = whole(20)
    sources, more = [str(tmp_path / "data")], ["--run", str(tmp_path / "run"), "--out", str(tmp_path / "e.parquet")]
    says = None
    if change == "class names":
        features = datasets.Features(
            {**ds.features, "answer": datasets.ClassLabel(names=["zero", "one", "two", "3", "4"])}
        )
        answers = [None if answer is None else int(answer) for answer in ds["answer"]]
        ds = ds.remove_columns("answer").add_column("answer", answers).cast(features)
    ds.to_parquet(str(tmp_path / "data" / "train-00000-of-00001.parquet"))
    if change == "pictures named as files":
        from PIL import Image

        Image.new("RGB", (8, 8)).save(tmp_path / "data" / "a.png")
        line = {"image": "a.png", "question": "How many?", "answer": "3"}
        (tmp_path / "data" / "train-00000-of-00001.parquet").unlink()
        (tmp_path / "data" / "rows.jsonl").write_text(json.dumps(line) + "\n")
        sources, says = [str(tmp_path / "data" / "rows.jsonl")], "names its pictures as files"
    elif change == "several sources":
        sources, says = [*sources, *sources], "--streaming takes one SOURCE"
    elif change == "no run":
        more, says = more[2:], "--streaming needs --run"
    with FaultyServer(draws_n="knows") as server:
        command = [
            "rollouts",
            *sources,
            "--endpoint",
            server.url,
            "--model",
            "m",
            "--attempts",
            "1",
            "--streaming",
            *more,
        ]
        done = CliRunner().invoke(cli, command)
    if says is not None:
        assert says in f"{done.output} {done.exception}"
        return
    assert done.exit_code == 0, done.exception
    written = datasets.Dataset.from_parquet(str(tmp_path / "e.parquet"))
    assert len(written) == 20
    if change == "class names":
        assert written["answer"][:3] == ["one", "two", "3"]
