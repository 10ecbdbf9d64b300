"""A run in a bucket that is mounted as a folder, as jobs on Hugging Face have it."""

import errno
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from mounted_bucket import unmount
from stubs import make_rows, stub_rollouts

from hf_rap import collect_evidence, collect_in_run, list_runs
from hf_rap.runs.folder import RunFolder

HERE = Path(__file__).parent


@pytest.fixture
def bucket(tmp_path):
    """A mounted folder; skipped where nothing may be mounted."""
    folder = tmp_path / "bucket"
    folder.mkdir()
    server = subprocess.Popen(
        [sys.executable, str(HERE / "mounted_bucket.py"), str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    if server.stdout.readline() != b"mounted\n":
        pytest.skip(f"nothing can be mounted here: {server.stderr.read().decode().splitlines()[-1]}")
    yield folder
    unmount(folder)
    server.wait(10)


def ids_in(run):
    """The rows of all parts."""
    return {name for part in run.glob("*/*.parquet") for name in pq.read_table(part)["rap_id"].to_pylist()}


def plain(ds):
    return ds.remove_columns("images").to_list()


@pytest.mark.skipif(os.name == "nt", reason="opens files for writing to sync them")
def test_files_that_can_only_be_written_anew(tmp_path, monkeypatch):
    """Opened for writing without being emptied they are refused, and a lock held beside the writer says EIO when it is closed."""
    really_open, really_close = io.open, os.close

    def open_anew(path, mode="r", *args, **options):
        if "+" in mode:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        return really_open(path, mode, *args, **options)

    def close(descriptor):
        really_close(descriptor)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(io, "open", open_anew)
    monkeypatch.setattr("hf_rap.system.os.close", close)
    monkeypatch.setattr("hf_rap.system.sync_folder", lambda _folder: None)  # closes, too
    folder = RunFolder(str(tmp_path / "run"), create=True)
    folder.write("a.json", b"1")
    folder.write("a.json", b"2")
    assert folder.read("a.json") == b"2"
    assert sorted(folder.names("")) == ["a.json", "run.json"]


@pytest.mark.exhaustive
def test_rules_of_the_mounted_bucket(bucket):
    """Written anew, renamed, read; what is there cannot be changed in place, and the older of two writers is told."""
    path = bucket / "a"
    path.write_bytes(b"1" * 3_000_000)
    path.write_bytes(b"22")
    path.rename(bucket / "b")
    assert (bucket / "b").read_bytes() == b"22"
    with pytest.raises(PermissionError):
        (bucket / "b").open("r+b")
    first = os.open(bucket / "b", os.O_WRONLY | os.O_TRUNC)
    (bucket / "b").write_bytes(b"3")
    with pytest.raises(OSError, match="Input/output error"):
        os.close(first)
    assert (bucket / "b").read_bytes() == b"3"


@pytest.mark.exhaustive
def test_a_run_in_a_mounted_bucket_survives_a_kill(bucket, tmp_path):
    """Killed with -9 in its middle, begun again: parts that were there are not asked again, and the evidence is the same."""
    ds = make_rows(30)
    code = (
        f"import sys; sys.path.insert(0, {str(HERE)!r}); from stubs import *; from hf_rap import collect_in_run\n"
        f"collect_in_run(make_rows(30), stub_rollouts(seconds=0.05), {str(bucket / 'run')!r}, rows_per_part=3)"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        while not list(bucket.glob("run/*/*.parquet")):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    held = ids_in(bucket / "run")
    assert 0 < len(held) == list_runs(str(bucket / "run"))[0].rows < 30
    log = tmp_path / "log"
    evidence = collect_in_run(ds, stub_rollouts(log=str(log), seconds=0.05), str(bucket / "run"), rows_per_part=3)
    assert plain(evidence) == plain(collect_evidence(ds, stub_rollouts(seconds=0.05)))
    assert held.isdisjoint(line.split()[0] for line in log.read_text().splitlines())
