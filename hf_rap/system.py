"""What the operating system is asked for: files that are there whole or not at all, memory given back, sizes."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import stat
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Given = TypeVar("Given")

PARTIAL = ".partial"  # how the names of what is being written end
_SCRATCH = "hf-rap-"  # how the names of temporary folders begin
_LOCK = "lock"  # a file in each
_SYNCS_AT_ONCE = 16
# What folders that other machines share (CIFS, FUSE, VirtualBox) answer where they know nothing of the kind.
_NO_SYNC = (errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOTTY, errno.EPERM)
_NO_FOLDER_SYNC = (*_NO_SYNC, errno.EACCES)  # may be written to, and not be looked into
# What a disk that other machines share says of a moment; a second try mostly succeeds.
_PASSING = (errno.EBUSY, errno.EAGAIN, errno.ESTALE, errno.EINTR, errno.ETXTBSY, errno.EDEADLK)
_PASSING_ON_WINDOWS = (5, 32, 33)  # a virus scanner looks at the file
_WAITS = (0.05, 0.2, 0.75, 2.0)  # seconds
# What a disk says when it is no fault of the program.
_OF_DISKS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.ENAMETOOLONG),
    *(errno.EMFILE, errno.ENFILE, errno.ENOLCK, errno.ENXIO, errno.ELOOP, *_PASSING),
)
_MAPS = Path("/proc/self/maps")
_ARROW = ".arrow"
_DONTNEED = 4  # MADV_DONTNEED on Linux


def is_free(path: Path) -> bool:
    """Nothing is there yet, or an empty folder."""
    return not path.exists() or (path.is_dir() and not any(path.iterdir()))


def patiently(call: Callable[[], Given]) -> Given:
    """What the call gives, tried again for three seconds in all where a shared disk says that it cannot just now."""
    for wait in _WAITS:
        try:
            return call()
        except OSError as error:
            if error.errno not in _PASSING and getattr(error, "winerror", None) not in _PASSING_ON_WINDOWS:
                raise
        time.sleep(wait)
    return call()


def disk_trouble(error: OSError) -> str | None:
    """What a disk has to say where it is at fault, such as "No space left on device"; None for any other error.

    >>> disk_trouble(OSError(28, "Error writing bytes to file. Detail: ...")), disk_trouble(FileNotFoundError(2, "no"))
    ('No space left on device', None)
    """
    return os.strerror(error.errno) if error.errno in _OF_DISKS else None


def make_folder(path: Path) -> None:
    """A folder where there is none; where it is gone again, or a file stands there, whoever writes into it says so."""
    with suppress(FileExistsError):
        path.mkdir(parents=True, exist_ok=True)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path to write to, which becomes `path` when the block ends, and is gone when it fails.

    What is there stays until then, and what stands there afterwards survives a power cut. The folder is made where
    it is missing.
    """
    make_folder(path.parent)
    partial = _partial(path)
    try:
        with locked(partial):
            yield partial
            _sync_file(partial)
            patiently(lambda: partial.replace(path))
        sync_folder(path.parent)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


@contextmanager
def whole_output(path: Path) -> Iterator[Path]:
    """`whole_file` for a file that people name: what dead processes have left of it goes first.

    A link is followed, whether or not something is at its end: it says which disk is meant.
    """
    path = Path(os.path.realpath(path))
    remove_abandoned_beside(path)
    with whole_file(path) as partial:
        yield partial


@contextmanager
def whole_folder(path: Path, *, replaces: Callable[[Path], bool] | None = None) -> Iterator[Path]:
    """An empty folder to fill, which becomes `path` when the block ends, and is gone when it fails.

    There may be an empty folder at `path`, or one that it `replaces`, nothing else. All files in it survive a power cut.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned_beside(path)
    partial = _partial(path)
    partial.mkdir()
    try:
        with locked(partial):
            yield partial
            sync_below(partial)
            if replaces is not None and path.is_dir() and replaces(path):
                shutil.rmtree(path)
            if path.exists():
                path.rmdir()  # Windows does not rename over a folder
            patiently(lambda: partial.rename(path))
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    sync_folder(path.parent)


def _partial(path: Path) -> Path:
    """A name that nobody else has, beside the target: a rename cannot cross file systems."""
    return path.with_name(f".{path.name}.{uuid4().hex[:8]}{PARTIAL}")


@contextmanager
def locked(path: Path, *, new: bool = True) -> Iterator[bool]:
    """Whether the lock of a file or folder is ours, for as long as the block runs.

    Who writes has locked it: who can lock it has found what a dead process left. The system lets go of a lock when its
    process ends, however that happens. Windows has no such locks, and some shared disks have none either: there nothing
    is removed.

    Args:
        path: of it.
        new: a file that is not there is made.

    Raises:
        OSError: it is not there, or not ours to open.
    """
    try:
        import fcntl
    except ImportError:  # Windows, which renames nothing that is open
        yield False
        return
    flags = os.O_RDONLY if path.is_dir() else os.O_RDWR | (os.O_CREAT if new else 0)
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            ours = True
        except OSError:
            ours = False
        yield ours
    finally:
        # A mounted bucket of the Hub says EIO here of a file that somebody else has written meanwhile; nothing was
        # written by this one, and it is closed all the same.
        with suppress(OSError):
            os.close(descriptor)


def remove_abandoned(paths: Iterable[Path]) -> None:
    """Removes those of these files and folders that a dead process was writing."""
    for path in paths:
        with suppress(OSError), locked(path, new=False) as ours:  # of another user, or gone since
            if not ours:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()


def remove_abandoned_beside(target: Path) -> None:
    """Removes what dead processes have left that were writing this file or folder."""
    with suppress(OSError):
        names = (name for name in os.listdir(target.parent) if _is_partial_of(name, target.name))  # noqa: PTH208 - a name may hold what a pattern means
        remove_abandoned([target.with_name(name) for name in names])


def _is_partial_of(name: str, target: str) -> bool:
    return name.startswith(f".{target}.") and name.endswith(PARTIAL)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A temporary folder, which is gone when the block ends; those that dead processes have left go first.

    Raises:
        OSError: no folder can be made there.
    """
    for folder in filter(_is_own, Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*")):
        if _holds_lock_of_the_dead(folder):
            shutil.rmtree(folder, ignore_errors=True)
    with (
        tempfile.TemporaryDirectory(prefix=_SCRATCH, ignore_cleanup_errors=True) as made,
        locked(Path(made) / _LOCK),
    ):
        yield Path(made)


def _is_own(folder: Path) -> bool:
    """A folder of this user with a plain file for a lock: others write there, too, and a pipe would be waited for."""
    try:
        status, lock = folder.lstat(), (folder / _LOCK).lstat()
    except OSError:
        return False
    own = not hasattr(os, "getuid") or status.st_uid == lock.st_uid == os.getuid()
    return own and stat.S_ISDIR(status.st_mode) and stat.S_ISREG(lock.st_mode)


def _holds_lock_of_the_dead(folder: Path) -> bool:
    with suppress(OSError), ExitStack() as stack:
        return stack.enter_context(locked(folder / _LOCK, new=False))
    return False


def sync_below(folder: Path) -> None:
    """All files in a folder and below, and their names, reach the disk."""
    inside = list(folder.rglob("*"))
    # A disk answers many requests in one go: 3,000 files took 14 s one after the other, and 0.4 s in 16 threads.
    with ThreadPoolExecutor(_SYNCS_AT_ONCE) as pool:
        list(pool.map(_sync_file, [path for path in inside if path.is_file()]))
    for path in inside:
        if path.is_dir():
            sync_folder(path)
    sync_folder(folder)


def _sync_file(path: Path) -> None:
    # Windows syncs only what can be written. A mounted bucket of the Hub opens for writing only what is written anew.
    with patiently(lambda: path.open("rb+" if os.name == "nt" else "rb")) as file:
        _sync(file.fileno(), _NO_SYNC)


def sync_folder(folder: Path) -> None:
    """The names in a folder reach the disk and survive a power cut; Windows neither can nor needs to."""
    if os.name == "nt":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        if error.errno in _NO_FOLDER_SYNC:
            return
        raise
    try:
        _sync(descriptor, _NO_FOLDER_SYNC)
    finally:
        os.close(descriptor)


def _sync(descriptor: int, passed_over: tuple[int, ...]) -> None:
    try:
        patiently(lambda: os.fsync(descriptor))
    except OSError as error:
        if error.errno not in passed_over:
            raise


def release_mapped_files() -> None:
    """Give back the pages of Arrow files that this process has read; does nothing but on Linux.

    Datasets maps its files, and every page that was looked at counts as memory of the process until the system
    is short of it: a scheduler that goes by that number kills a job over its images. Nothing is lost:
    the pages of a mapping that cannot be written are read again when they are needed, mostly from the
    system's cache.
    """
    advise = _madvise()
    if advise is None:
        return
    for line in _MAPS.read_text().splitlines():
        if not line.endswith(_ARROW):
            continue
        addresses, rights = line.split(maxsplit=2)[:2]
        if "w" not in rights:
            start, end = (int(address, 16) for address in addresses.split("-"))
            advise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _DONTNEED)


@cache
def _madvise() -> Any:
    """The system's call, or None where there is no such thing."""
    return getattr(ctypes.CDLL(None), "madvise", None) if _MAPS.exists() else None


def give_back_memory() -> None:
    """What Arrow and the C library keep for later goes back to the system: after something large that comes once."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None  # of the GNU library
    if trim is not None:
        trim(0)


def cores() -> int | None:
    """How many this process may use, where the system tells; else how many there are."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count()


def memory_bytes() -> int | None:
    """Of the machine; None where there is no way to ask (Windows)."""
    names = getattr(os, "sysconf_names", {})
    if "SC_PHYS_PAGES" not in names or "SC_PAGE_SIZE" not in names:
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
