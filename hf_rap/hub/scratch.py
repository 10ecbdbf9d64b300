"""Where shards are written before they are sent: a temporary folder that nobody has to clean up."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_SCRATCH = "hf-rap-"  # how the names of such folders begin


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A temporary folder, which is gone when the block ends; those that killed processes have left go first.

    Each holds a file that its process has locked: who can lock it has found a folder of the dead. Not on Windows.
    """
    top = Path(tempfile.gettempdir())
    for folder in filter(_is_own, top.glob(f"{_SCRATCH}*")):
        _remove_abandoned(folder)
    with tempfile.TemporaryDirectory(prefix=_SCRATCH, ignore_cleanup_errors=True) as made, _locked(Path(made)):
        yield Path(made)


def _is_own(folder: Path) -> bool:
    """A folder of this user with a plain file for a lock: others write there, too, and a pipe would be waited for."""
    try:
        status, lock = folder.lstat(), (folder / "lock").lstat()
    except OSError:
        return False
    own = not hasattr(os, "getuid") or status.st_uid == lock.st_uid == os.getuid()
    return own and stat.S_ISDIR(status.st_mode) and stat.S_ISREG(lock.st_mode)


def _remove_abandoned(folder: Path) -> None:
    try:
        with _locked(folder, new=False) as is_ours:
            if is_ours:
                shutil.rmtree(folder, ignore_errors=True)
    except OSError:  # of another user, or gone since
        return


@contextmanager
def _locked(folder: Path, *, new: bool = True) -> Iterator[bool]:
    """Whether the lock of a folder is ours, for as long as the block runs."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield False
        return
    with (folder / "lock").open("w" if new else "r") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
