"""Files and folders appear when they are whole, and what has appeared has reached the disk."""

import errno
import os
import stat
from pathlib import Path

import pytest

from hf_rap.system import is_free, sync_below, sync_folder, whole_file, whole_folder


def write_file(path, content="new"):
    """A file, the way every part of hf_rap writes one."""
    with whole_file(path) as partial:
        partial.write_text(content)


def write_folder(path):
    """A folder with a file, and one more below."""
    with whole_folder(path) as folder:
        (folder / "a.txt").write_text("a")
        (folder / "below").mkdir()
        (folder / "below" / "b.txt").write_text("b")


@pytest.fixture
def disk(monkeypatch):
    """What the disk is asked, in order: ("sync", path) and ("rename", path)."""
    asked = []
    sync, rename, replace = os.fsync, os.rename, os.replace

    def noted_sync(descriptor):
        asked.append(("sync", Path(f"/proc/self/fd/{descriptor}").readlink()))
        sync(descriptor)

    def noted_rename(source, target, **options):
        asked.append(("rename", Path(target)))
        rename(source, target, **options)

    def noted_replace(source, target, **options):
        asked.append(("rename", Path(target)))
        replace(source, target, **options)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(os, "rename", noted_rename)
    monkeypatch.setattr(os, "replace", noted_replace)
    return asked


linux_only = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="asks the system which file a number is")


@linux_only
def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, disk):
    """Content, then name, then the folder that holds the name."""
    write_file(tmp_path / "made" / "here" / "a.txt")
    (what, partial), *rest = disk
    assert (what, partial.parent, partial.suffix) == ("sync", tmp_path / "made" / "here", ".partial")
    assert rest == [("rename", tmp_path / "made" / "here" / "a.txt"), ("sync", tmp_path / "made" / "here")]


@linux_only
def test_a_folder_is_on_the_disk_before_it_has_its_name(tmp_path, disk):
    """Every file and every folder inside, then the name, then the folder that holds it."""
    write_folder(tmp_path / "v")
    *inside, renamed, last = disk
    top = {path.parts[len(tmp_path.parts)] for _, path in inside}
    assert len(top) == 1
    partial = tmp_path / top.pop()
    assert {path.relative_to(partial).as_posix() for _, path in inside} == {".", "a.txt", "below", "below/b.txt"}
    assert [what for what, _ in inside] == ["sync"] * 4
    assert (renamed, last) == (("rename", tmp_path / "v"), ("sync", tmp_path))


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_what_was_there(tmp_path, error):
    """The old file with its content, and neither a new one nor a part of it."""
    (tmp_path / "a.txt").write_text("old")

    def fail():
        with whole_file(tmp_path / "a.txt") as partial:
            partial.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.txt", "old")]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failed_folder_leaves_nothing(tmp_path, error):
    """However much was in it."""

    def fail():
        with whole_folder(tmp_path / "v") as folder:
            (folder / "half.txt").write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_while_syncing_leaves_nothing(tmp_path, monkeypatch):
    """Full disks often say so only then."""

    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for write in (write_file, write_folder):
        with pytest.raises(OSError, match="No space left"):
            write(tmp_path / "target")
    assert list(tmp_path.iterdir()) == []


def test_a_file_takes_the_place_of_another(tmp_path):
    """And has the rights that a file made here has."""
    (tmp_path / "plain.txt").write_text("")
    for content in ("old", "new"):
        write_file(tmp_path / "a.txt", content)
    assert (tmp_path / "a.txt").read_text() == "new"
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a.txt", "plain.txt")] == [
        stat.S_IMODE((tmp_path / "plain.txt").stat().st_mode)
    ] * 2


def test_an_empty_folder_is_replaced(tmp_path):
    """One that somebody has filled in the meantime is not."""
    (tmp_path / "v").mkdir()
    assert is_free(tmp_path / "v")
    write_folder(tmp_path / "v")
    assert (tmp_path / "v" / "below" / "b.txt").read_text() == "b"
    assert not is_free(tmp_path / "v")
    with pytest.raises(OSError, match="not empty"):
        write_folder(tmp_path / "v")
    assert [path.name for path in tmp_path.iterdir()] == ["v"]


@pytest.mark.parametrize(("make", "free"), [(Path.touch, False), (Path.mkdir, True), (lambda _path: None, True)])
def test_a_free_place(tmp_path, make, free):
    """Nothing, or an empty folder; a file takes the place."""
    make(tmp_path / "x")
    assert is_free(tmp_path / "x") is free


@linux_only
@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_shared_folders_that_cannot_be_synced_are_written_to(tmp_path, monkeypatch, number):
    """As on folders of a virtual machine's host: files are synced, and that folders are not stops nobody."""
    sync = os.fsync

    def no_folders(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", no_folders)
    write_file(tmp_path / "a.txt")
    write_folder(tmp_path / "v")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "v"]


@linux_only
def test_a_broken_disk_is_not_passed_over(tmp_path, monkeypatch):
    """Only that folders cannot be synced is no error."""

    def broken(_descriptor):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output error"):
        sync_folder(tmp_path)


@linux_only
def test_many_files_are_all_synced(tmp_path, disk):
    """As many as an export has images."""
    for number in range(200):
        (tmp_path / f"{number}.png").write_bytes(b"x")
    sync_below(tmp_path)
    assert {path for _, path in disk} == {tmp_path, *tmp_path.iterdir()}
