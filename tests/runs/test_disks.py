"""Disks that are full, broken or shared: a sentence and no traceback, and what is in the run stays."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from stubs import make_rows, stub_rollouts

from hf_rap import collect_evidence, collect_in_run, list_runs
from hf_rap.errors import RunError
from hf_rap.runs.folder import RunFolder
from hf_rap.system import whole_output

HERE = str(Path(__file__).parent)


@pytest.fixture(scope="module")
def ds():
    """30 rows."""
    return make_rows(30)


@pytest.fixture(scope="module")
def in_one_go(ds):
    """Their evidence."""
    return plain(collect_evidence(ds, stub_rollouts()))


@pytest.fixture
def run(tmp_path, ds):
    """A run of them in three parts."""
    collect_in_run(ds, stub_rollouts(), str(tmp_path / "run"), rows_per_part=10)
    return tmp_path / "run"


def parts_of(run):
    return sorted(run.glob("*/*.parquet"))


def rows_asked(log):
    return {line.split()[0] for line in Path(log).read_text().splitlines()}


def plain(ds):
    return ds.remove_columns("images").to_list()


def dangling(path):
    path.symlink_to(path.with_name("gone"))


def unreadable(path):
    path.symlink_to("/proc/self/mem")  # opens, and every read is EIO


BROKEN = {"Input/output error": unreadable, "is no regular file": dangling}


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="Linux only")
@pytest.mark.parametrize("why", BROKEN)
def test_a_part_that_cannot_be_read_costs_its_own_rows(run, tmp_path, why, caplog, ds, in_one_go):
    """It is said, and the rows of the others are not asked again."""
    _, part, _ = parts_of(run)
    part.unlink()
    BROKEN[why](part)
    evidence = collect_in_run(ds, stub_rollouts(log=str(tmp_path / "log")), str(run))
    assert plain(evidence) == in_one_go
    assert len(rows_asked(tmp_path / "log")) <= 10
    assert "cannot be read: " in caplog.text
    assert why in caplog.text


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="POSIX rights")
def test_parts_that_one_may_not_read_are_not_asked_again(run):
    """All of it is there: it takes rights, and no money."""
    code = (
        f"import os, sys; sys.path.insert(0, {HERE!r}); from stubs import *; from hf_rap import collect_in_run\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"
        f"collect_in_run(make_rows(30), stub_rollouts(), {str(run)!r})"
    )
    for folder in (run, *run.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path(folder.root):
            folder.chmod(0o777)
    for folder in run.iterdir():
        folder.chmod(0o777)
    for part in parts_of(run):
        part.chmod(0)
    env = {**os.environ, "HF_HOME": str(run.parent / "home")}
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=False).stderr
    assert "RunError: Cannot read" in told
    assert "Permission denied. Give this process the rights" in told


@pytest.mark.parametrize("content", [b"", b"\0" * 17, b'{\n  "form', b"torn by another program"])
def test_a_torn_run_json_is_mended_from_the_parts(run, tmp_path, content, caplog, ds, in_one_go):
    """Parts say which format they are of, so that nothing is asked again."""
    (run / "run.json").write_bytes(content)
    assert list_runs(str(run))[0].rows == 30
    assert (run / "run.json").read_bytes() == content  # who only looks writes nothing
    log = tmp_path / "log"
    assert plain(collect_in_run(ds, stub_rollouts(log=str(log)), str(run))) == in_one_go
    assert not log.exists()
    assert json.loads((run / "run.json").read_text()) == {"format": 2}
    assert "was torn, and is written anew" in caplog.text


def test_a_run_json_of_others_is_left_alone(tmp_path, ds):
    """No part tells that it is a run; one whose parts are of a later format is not gone on with either."""
    (tmp_path / "run.json").write_text('{"lr": 0.1}')
    with pytest.raises(RunError, match=r"has a run\.json that hf_rap did not write"):
        collect_in_run(ds, stub_rollouts(), str(tmp_path))
    assert (tmp_path / "run.json").read_text() == '{"lr": 0.1}'
    folder = tmp_path / ("0" * 16)
    folder.mkdir()
    (folder / f"0000-0003-00010-{'0' * 32}.parquet").write_bytes(b"of another format")
    (tmp_path / "run.json").write_bytes(b"")
    with pytest.raises(RunError, match="neither can its parts by this hf_rap"):
        collect_in_run(ds, stub_rollouts(), str(tmp_path))


@pytest.mark.parametrize("torn", [b"", b'{"settings": {'])
def test_a_torn_manifest_is_written_anew_by_its_command(run, tmp_path, torn, caplog, ds, in_one_go):
    """Until then it is said what to do; the parts count."""
    (manifest,) = run.glob("*/manifest.json")
    whole = json.loads(manifest.read_bytes())
    manifest.write_bytes(torn)
    (held,) = list_runs(str(run))
    assert held.rows == 30
    assert "manifest.json: it cannot be read. The command that wrote these parts writes it anew" in held.unusable[0]
    collect_in_run(ds, stub_rollouts(name="another"), str(run))
    assert "no other one goes on from them" in caplog.text
    log = tmp_path / "log"
    assert plain(collect_in_run(ds, stub_rollouts(log=str(log)), str(run))) == in_one_go
    assert not log.exists()
    assert json.loads(manifest.read_bytes()) == whole


def start(code, *, tmpfs=None, size="300k", env=None, limit=None):
    """A process of its own; with a small disk mounted at `tmpfs`, or files limited to so many bytes."""
    head = f"import sys; sys.path.insert(0, {HERE!r}); from stubs import *; from hf_rap import *; from hf_rap.cli import main\n"
    if limit is not None:
        head += f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
    command = [sys.executable, "-c", head + code]
    if tmpfs is not None:
        if not shutil.which("unshare") or subprocess.run(["unshare", "-Urm", "true"], check=False).returncode:
            pytest.skip("nothing can be mounted here")
        mount = f'mount -t tmpfs -o size={size} none {tmpfs} && exec "$@"'
        command = ["unshare", "-Urm", "sh", "-c", mount, "sh", *command]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **(env or {})}, check=False)


@pytest.mark.slow
def test_a_file_that_grows_too_large_is_one_line(run, tmp_path, ds, in_one_go):
    """EFBIG at --out: the line names the folder, nothing half is left, and the evidence is safe."""
    (tmp_path / "out").mkdir()
    code = f"""
from hf_rap.cli.collecting import report
from hf_rap.rows.provenance import SourceInfo
from pathlib import Path
import hf_rap.cli, resource
evidence = collect_in_run(make_rows(30), stub_rollouts(), {str(run)!r})
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
def cli(**_):
    report(evidence, {{}}, Path({str(tmp_path / "out" / "e.parquet")!r}), SourceInfo("x"), {{"run": {str(run)!r}}}, then="",
           layout=None, as_json=False)
hf_rap.cli.cli = cli
main()
"""
    ended = start(code)
    assert ended.returncode == 1, ended.stderr
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("hf-rap:")]
    assert f"e.parquet cannot be written into {tmp_path / 'out'}: File too large" in line
    assert f"The evidence is in the run {run}: the same command asks nothing again." in line
    assert "Traceback" not in ended.stderr
    assert list((tmp_path / "out").iterdir()) == []
    assert plain(collect_in_run(ds, stub_rollouts(fails_on="row"), str(run))) == in_one_go


@pytest.mark.slow
def test_a_full_disk_at_out_is_one_line(run, tmp_path):
    """ENOSPC, on a disk of its own."""
    (tmp_path / "out").mkdir()
    code = f"""
from hf_rap.cli.files import write_file
from pathlib import Path
import hf_rap.cli
hf_rap.cli.cli = lambda **_: write_file(collect_in_run(make_rows(30), stub_rollouts(), {str(run)!r}), Path({str(tmp_path / "out" / "e.parquet")!r}))
main()
"""
    ended = start(code, tmpfs=tmp_path / "out", size="8k")
    assert ended.returncode == 1, ended.stderr
    assert f"cannot be written into {tmp_path / 'out'}: No space left on device" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
def test_a_full_temporary_folder_is_said_at_the_merge(run, tmp_path):
    """Everything is in the run; the line names the folder, and what to set."""
    small = tmp_path / "small"
    small.mkdir()
    code = f"""
import hf_rap.cli
hf_rap.cli.cli = lambda **_: collect_in_run(make_rows(30), stub_rollouts(), {str(run)!r})
main()
"""
    ended = start(code, tmpfs=small, size="8k", env={"TMPDIR": str(small)})
    assert ended.returncode == 1, ended.stderr
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("hf-rap:")]
    assert (
        f"there is no room to put it together in the temporary folder {str(small)!r}: No space left on device" in line
    )
    assert "TMPDIR" in line
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
def test_a_folder_on_a_full_disk_stops_the_run_with_a_sentence(tmp_path):
    """EFBIG at a part."""
    code = f"""
import hf_rap.cli
hf_rap.cli.cli = lambda **_: collect_in_run(make_rows(200), stub_rollouts(), {str(tmp_path / "run")!r}, rows_per_part=100)
main()
"""
    ended = start(code, limit=4000)
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("hf-rap:")]
    assert "Cannot write" in line
    assert "File too large. Parts that are written stay good" in line
    assert "Traceback" not in ended.stderr
    assert not list((tmp_path / "run").rglob("*.partial"))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such locks")
def test_what_the_dead_have_left_goes_and_what_the_living_write_stays(run, tmp_path, ds):
    """In the root, beside the leases and beside the parts; with several ranks, too."""
    (fingerprint,) = (folder.name for folder in run.iterdir() if len(folder.name) == 16)
    dead = [run / name / ".x.json.0123abcd.partial" for name in ("", "writers", fingerprint)]
    for path in dead:
        path.write_bytes(b"half")
    code = (
        "from pathlib import Path; from hf_rap.system import whole_file\n"
        f"with whole_file(Path({str(run / fingerprint / 'a.parquet')!r})) as partial:\n"
        "    partial.write_bytes(b'whole'); print(flush=True); input()"
    )
    living = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        living.stdout.readline()
        os.kill(living.pid, signal.SIGSTOP)  # silent for however long
        from hf_rap.runs.fill import Run

        with Run(ds, stub_rollouts(), str(run), rank=1, world=4):
            pass
        assert not any(path.exists() for path in dead)
        (partial,) = run.rglob("*.partial")
        assert partial.read_bytes() == b"whole"
        os.kill(living.pid, signal.SIGCONT)
        living.communicate(b"\n", timeout=30)
        assert (run / fingerprint / "a.parquet").read_bytes() == b"whole"
    finally:
        living.kill()
        living.communicate()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such locks")
def test_a_killed_write_of_out_leaves_nothing_after_the_next(tmp_path, ds):
    """Nothing of that name; another file's is left alone."""
    target = tmp_path / "e.parquet"
    code = (
        f"from pathlib import Path; from hf_rap.system import whole_output; import os\n"
        f"with whole_output(Path({str(target)!r})) as partial:\n"
        "    partial.write_bytes(b'half'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    other = tmp_path / ".other.parquet.0123abcd.partial"
    other.touch()
    (left,) = (path for path in tmp_path.iterdir() if path != other)
    assert left.read_bytes() == b"half"
    from hf_rap.cli.files import write_file

    write_file(ds, target)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([other.name, target.name])


@pytest.mark.slow
def test_a_killed_merge_leaves_nothing_after_the_next(run, tmp_path, monkeypatch, ds):
    """In the temporary folder; that of a living process stays."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    code = f"collect_in_run(make_rows(30), stub_rollouts(), {str(run)!r}); print(flush=True); input()"
    head = f"import sys; sys.path.insert(0, {HERE!r}); from stubs import *; from hf_rap import *\n"
    child = subprocess.Popen(
        [sys.executable, "-c", head + code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path / "tmp")},
    )
    child.stdout.readline()
    (of_child,) = (tmp_path / "tmp").glob("hf-rap-*")
    collect_in_run(ds, stub_rollouts(), str(run))
    assert of_child.exists()
    child.kill()
    child.communicate()
    collect_in_run(ds, stub_rollouts(), str(run))
    assert not of_child.exists()


PASSING = [errno.EBUSY, errno.EAGAIN, errno.ESTALE, errno.EINTR]


@pytest.mark.parametrize("number", PASSING)
@pytest.mark.parametrize("call", ["replace", "fsync", "open"])
def test_what_a_shared_disk_says_of_a_moment_is_tried_again(tmp_path, monkeypatch, number, call, ds, in_one_go):
    """Twice it says no; the run has every part."""
    monkeypatch.setattr("hf_rap.system._WAITS", (0.001,) * 4)
    refused = []
    module = os if call != "open" else __import__("io")
    real = getattr(module, call)

    def sometimes(*args, **options):
        written = call != "open" or (str(args[0]).endswith(".partial") and "w" in str(args[1]))
        if written and len(refused) % 3 < 2:
            refused.append(args)
            raise OSError(number, os.strerror(number))
        refused.append(None)
        return real(*args, **options)

    monkeypatch.setattr(module, call, sometimes)
    evidence = collect_in_run(ds, stub_rollouts(), str(tmp_path / "run"), rows_per_part=10)
    assert plain(evidence) == in_one_go
    assert any(refused)


def test_a_disk_that_stays_busy_is_given_up(tmp_path, monkeypatch):
    """After five tries, with a sentence."""
    monkeypatch.setattr("hf_rap.system._WAITS", (0.001,) * 4)
    tried = []

    def busy(*args, **_):
        tried.append(args)
        raise OSError(errno.EBUSY, "Device or resource busy")

    folder = RunFolder(str(tmp_path / "run"), create=True)
    monkeypatch.setattr(os, "replace", busy)
    with pytest.raises(RunError, match=r"Cannot write a into the run .*: Device or resource busy"):
        folder.write("a", b"1")
    assert 5 <= len(tried) <= 25
    assert not list((tmp_path / "run").rglob("*.partial"))


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EPERM, errno.ENOSYS])
def test_a_run_on_a_disk_that_syncs_nothing(tmp_path, monkeypatch, number, ds, in_one_go):
    """As some of CIFS and FUSE: neither files nor folders."""

    def nothing(_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", nothing)
    assert plain(collect_in_run(ds, stub_rollouts(), str(tmp_path / "run"))) == in_one_go


@pytest.mark.skipif(os.name == "nt", reason="links")
def test_a_link_is_followed(tmp_path, ds):
    """Also one whose target is not there yet: a run, a file, on the disk that was meant."""
    (tmp_path / "big").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "big" / "run")
    collect_in_run(ds, stub_rollouts(), str(tmp_path / "run"))
    assert (tmp_path / "big" / "run" / "run.json").exists()
    (tmp_path / "e.parquet").symlink_to(tmp_path / "big" / "e.parquet")
    with whole_output(tmp_path / "e.parquet") as partial:
        partial.write_bytes(b"whole")
    assert (tmp_path / "e.parquet").is_symlink()
    assert (tmp_path / "big" / "e.parquet").read_bytes() == b"whole"
