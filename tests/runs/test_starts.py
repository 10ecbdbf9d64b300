"""What a start reads: what it knows is kept beside the parts, and never trusted where something has changed."""

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from datasets import Dataset
from stubs import FEATURES, Stub, make_rows, png, stub_rollouts

from hf_rap import Rollouts, collect_evidence, collect_in_run, list_runs
from hf_rap.rows.media import allowed, noting_files
from hf_rap.runs.fill import Run
from hf_rap.runs.folder import RunFolder
from hf_rap.runs.lease import Lease

ROWS = 130  # from 100 on their keys are kept


def asked(log):
    path = Path(log)
    return {line.split()[0] for line in path.read_text().splitlines()} if path.exists() else set()


def named_rows(folder, count=ROWS):
    """Rows that name the files of their pictures; without ids, so that these are made of the pixels."""
    folder.mkdir(exist_ok=True)
    rows = []
    for number in range(count):
        path = folder / f"{number}.png"
        if not path.exists():
            path.write_bytes(png(number))
        image = {"bytes": None, "path": str(path)}
        rows.append({"id": None, "images": [image], "problem": f"<image>How many? ({number})", "answer": "1"})
    return Dataset.from_list(rows, features=FEATURES)


def tables(run, kind):
    return sorted(Path(run).glob(f"*/index/{kind}-*.arrow"))


def opened(ds, rollouts, run, **options):
    """The ids of the rows that a start finds to be done, and how many picture files it opens."""
    with noting_files() as named, Run(ds, rollouts, run, **options) as running:
        return {row.id for task in running.tasks(range(len(ds))) for row in task.rows}, len(named)


def test_a_second_start_opens_no_picture(run, tmp_path):
    """The first reads all files; the second none, and nothing is left to do."""
    pictures = tmp_path / "pictures"
    ds = named_rows(pictures)
    roots = {"media_roots": [pictures]}
    todo, files = opened(ds, stub_rollouts(1), run, **roots)
    assert (len(todo), files) == (ROWS, 2 * ROWS)  # for the id, and for the key of runs from before
    collect_in_run(ds, stub_rollouts(1), run, **roots)
    assert opened(ds, stub_rollouts(1), run, **roots) == (set(), 0)


def test_a_picture_that_has_changed_is_another_row(run, tmp_path):
    """The dataset is the same; one file holds another picture of the same size, and one is gone."""
    pictures = tmp_path / "pictures"
    ds = named_rows(pictures)
    roots = {"media_roots": [pictures]}
    collect_in_run(ds, stub_rollouts(1), run, **roots)
    before = (pictures / "7.png").stat()
    (pictures / "7.png").write_bytes(png(8).ljust(before.st_size, b"\0"))
    (pictures / "9.png").unlink()
    todo, _ = opened(ds, stub_rollouts(1), run, **roots)
    assert len(todo) == 2
    evidence = collect_in_run(ds, stub_rollouts(1), run, **roots)
    assert evidence["rap_error"][9].startswith("image_unreadable")
    assert evidence.to_list() == collect_evidence(ds, stub_rollouts(1), **roots).to_list()


def test_another_dataset_is_read_again(run, log):
    """One answer, or the order, is another one: what is kept of the first dataset says nothing about it."""
    ds = make_rows(ROWS)
    collect_in_run(ds, stub_rollouts(1), run)
    (kept,) = tables(run, "rows")
    changed = ds.map(lambda row: {"answer": "4" if row["id"] == "row-00001" else row["answer"]})
    evidence = collect_in_run(changed, stub_rollouts(1, log=log), run)
    assert asked(log) == {"row-00001"}
    assert evidence.to_list() == collect_evidence(changed, stub_rollouts(1)).to_list()
    assert kept in tables(run, "rows")
    assert len(tables(run, "rows")) == 2
    turned = ds.select(range(ROWS - 1, -1, -1))
    assert opened(turned, stub_rollouts(1), run)[0] == set()


@pytest.mark.parametrize("kind", ["rows", "parts"])
@pytest.mark.parametrize("damage", [b"", b"ARROW1 nothing", None])
def test_what_is_kept_may_be_lost_or_torn(run, kind, damage, log):
    """It is found out again, and kept again."""
    ds = make_rows(ROWS)
    collect_in_run(ds, stub_rollouts(1), run, rows_per_part=5)
    (table,) = tables(run, kind)
    if damage is None:
        table.unlink()
    else:
        table.write_bytes(damage)
    evidence = collect_in_run(ds, stub_rollouts(1, log=log), run)
    assert asked(log) == set()
    assert evidence.to_list() == collect_evidence(ds, stub_rollouts(1)).to_list()
    assert [table.stat().st_size > 1_000 for table in tables(run, kind)] == [True]


def test_kept_by_another_release_it_is_not_taken(run, monkeypatch, log):
    """A release that finds something wrong in a part that another one took, or makes other ids, has another format."""
    ds = make_rows(ROWS)
    monkeypatch.setattr("hf_rap.runs.contents._FORMAT", 0)
    monkeypatch.setattr("hf_rap.runs.keys._FORMAT", 0)
    collect_in_run(ds, stub_rollouts(1), run, rows_per_part=5)
    monkeypatch.undo()
    collect_in_run(ds, stub_rollouts(1, log=log), run)
    assert asked(log) == set()
    assert [len(tables(run, kind)) for kind in ("rows", "parts")] == [2, 1]


def flip(part):
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)


def cut(part):
    part.write_bytes(part.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [flip, cut, Path.unlink])
def test_a_part_that_has_changed_is_found_out(run, damage, caplog, log):
    """Its contents are kept, and its size or its time of change is another one, or it is gone: its rows are done again."""
    ds = make_rows(60)
    collect_in_run(ds, stub_rollouts(1), run, rows_per_part=3)
    assert len(tables(run, "parts")) == 1
    part = min(Path(run).glob("*/*.parquet"))
    damage(part)
    evidence = collect_in_run(ds, stub_rollouts(1, log=log), run)
    assert ("is not used, its rows are done again" in caplog.text) == (damage is not Path.unlink)
    assert 0 < len(asked(log)) <= 3
    assert evidence.to_list() == collect_evidence(ds, stub_rollouts(1)).to_list()


def test_a_part_that_another_process_has_made_again_is_seen(run):
    """It has the name of the one that was refused, and another file: its rows are there, and are asked by nobody else."""
    ds = make_rows(60)
    collect_in_run(ds, stub_rollouts(1), run, rows_per_part=3)
    part = min(Path(run).glob("*/*.parquet"))
    good = part.read_bytes()
    cut(part)
    with Run(ds, stub_rollouts(1), run) as ours:
        assert (len(ours.lacking()), len(ours.index.unusable)) == (3, 1)
        ours.index.refresh()
        assert (len(ours.lacking()), len(ours.index.unusable)) == (3, 1)
        part.write_bytes(good)
        ours.index.refresh()
        assert ours.lacking() == []


def test_a_part_that_has_changed_unseen_is_found_out_when_it_is_read(run, log):
    """Same size, same time: the merge says so, what was kept is not trusted any more, and the next start does it again."""
    from hf_rap.errors import RunError

    ds = make_rows(60)
    collect_in_run(ds, stub_rollouts(1), run, rows_per_part=3)
    part = min(Path(run).glob("*/*.parquet"))
    times = part.stat()
    flip(part)
    os.utime(part, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(RunError, match="was good a moment ago"):
        collect_in_run(ds, stub_rollouts(1), run)
    evidence = collect_in_run(ds, stub_rollouts(1, log=log), run)
    assert 0 < len(asked(log)) <= 3
    assert evidence.to_list() == collect_evidence(ds, stub_rollouts(1)).to_list()


def test_a_listing_says_the_same_with_and_without_what_is_kept(run):
    """Attempts, failed rows, limits and graders."""
    collect_in_run(make_rows(60), stub_rollouts(2, fails_on="(3)"), run, rows_per_part=3)
    kept = list_runs(run)
    for table in tables(run, "parts"):
        table.unlink()
    assert list_runs(run) == kept
    assert (kept[0].rows, kept[0].failed, kept[0].parts) == (60, 9, 20)


@pytest.mark.exhaustive
def test_many_small_tables_become_one(run):
    """Each call keeps what it has written; a start joins them."""
    for stop in range(16, 16 * 19, 16):
        collect_in_run(make_rows(stop), stub_rollouts(1), run, rows_per_part=1)
    assert len(tables(run, "parts")) <= 3
    (held,) = list_runs(run)
    assert held.rows == 16 * 18


def test_parts_are_grouped_in_folders(run, monkeypatch, log):
    """About so many in each; the first stay where earlier releases have put theirs."""
    monkeypatch.setattr("hf_rap.runs.folder.PARTS_PER_FOLDER", 5)
    ds = make_rows(40)
    collect_in_run(ds.select(range(24)), stub_rollouts(1), run, rows_per_part=2)
    (fingerprint,) = [held.fingerprint for held in list_runs(run)]
    places = {path.parent.relative_to(run).as_posix() for path in Path(run).rglob("*.parquet")}
    assert places == {fingerprint, f"{fingerprint}/0001", f"{fingerprint}/0002"}
    evidence = collect_in_run(ds, stub_rollouts(1, log=log), run, rows_per_part=2)
    assert len(asked(log) & {f"row-{number:05d}" for number in range(24)}) == 0
    assert evidence.to_list() == collect_evidence(ds, stub_rollouts(1)).to_list()
    assert list_runs(run)[0].parts == 20


@pytest.mark.parametrize("rows_per_part", [pytest.param(1, marks=pytest.mark.exhaustive), 7])
def test_a_shuffled_dataset_is_merged_in_its_order(run, rows_per_part):
    """Rows stand in quite another order than their parts."""
    ds = make_rows(300)
    collect_in_run(ds, stub_rollouts(2), run, rows_per_part=rows_per_part)
    shuffled = ds.shuffle(seed=1)
    assert (
        collect_in_run(shuffled, stub_rollouts(2), run).to_list()
        == collect_evidence(shuffled, stub_rollouts(2)).to_list()
    )


def test_an_engine_from_outside_and_its_rows_are_kept_too(run, log):
    """The key of a row is ours, whoever answers."""
    ds = make_rows(ROWS)
    collect_in_run(ds, Rollouts(Stub(), attempts=1), run)
    table = pa.ipc.open_file(pa.memory_map(str(tables(run, "rows")[0]))).read_all()
    assert len(table) == ROWS
    assert json.loads(table.schema.metadata[b"files"]) == [[]]


def test_a_listing_counts_rows_of_one_part_and_of_several_alike(run):
    """Ten rows have two attempts, four of them got a third; rows 1 and 8 fail, and the gold of row 6 cannot be read."""
    rows = make_rows(10).to_list()
    for number in (1, 8):
        rows[number]["problem"] += " fails"
    ds = Dataset.from_list(rows, features=FEATURES)
    collect_in_run(ds, stub_rollouts(2, fails_on="fails"), run, rows_per_part=3)
    collect_in_run(ds.select(range(4)), stub_rollouts(3, fails_on="fails"), run, rows_per_part=3)
    (held,) = list_runs(run)
    assert (held.rows, held.failed, held.fewest_attempts, held.most_attempts, held.parts) == (10, 3, 2, 3, 6)


def test_processes_that_start_together_read_each_picture_once(run, tmp_path, monkeypatch):
    """Three at once, 130 rows in stretches of 10: each file is opened twice, for id and older key, by one of them alone."""
    monkeypatch.setattr("hf_rap.runs.keys._ROWS_AT_ONCE", 10)
    ds = named_rows(tmp_path / "pictures")
    barrier = threading.Barrier(3)

    def start(rank):
        with noting_files() as named, allowed([tmp_path / "pictures"]):
            barrier.wait()
            with Run(ds, stub_rollouts(1), run, rank=rank, world=3, media_roots=[tmp_path / "pictures"]) as running:
                barrier.wait()
                return [row.key for row in running.rows], len(named)

    # A fourth is there already: who is alone clears away the claims of earlier ones.
    with Lease(RunFolder(run, create=True)), ThreadPoolExecutor(3) as threads:
        keys, opened = zip(*threads.map(start, range(3)), strict=True)
    assert keys[0] == keys[1] == keys[2]
    assert len(set(keys[0])) == ROWS
    assert sum(opened) == 2 * ROWS
    assert len(tables(run, "rows")) == 1
