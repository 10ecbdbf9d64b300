"""The gate for all that a dataset names: which files rows may point to, and their bytes.

    {"bytes": None, "path": "/home/me/.ssh/id_ed25519"}     what a row of a stranger can say

A row's own bytes are the row's. A name leads somewhere else, so what it leads to has to lie in the dataset's own folder,
in what the caches of the Hub client and of datasets hold for this repository and revision, or in a folder that the user
has named (`media_roots`, --media-root). Asking, evidence, exports and versions all read through here; nothing fetches a
URL that a row names.
"""

from __future__ import annotations

import os
import re
import stat
import threading
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from urllib.request import url2pathname

from hf_rap.options import check

if TYPE_CHECKING:
    import datasets

MAX_BYTES = 1 << 28  # of one file of media
# Pictures are RGB in memory, 3 bytes per pixel, and some become RGBA on the way.
MAX_PIXELS = 100_000_000
ROOTS_VARIABLE = "HF_RAP_MEDIA_ROOTS"  # folders, separated as in PATH; processes that are started have it, too
HOW = "--media-root FOLDER (media_roots=[FOLDER] in Python)"
_LONGEST_NAME = 4096
_TAKES = "folders that exist"
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar")
_FOLDER_BUILDERS = ("imagefolder", "audiofolder", "videofolder", "pdffolder", "niftifolder")


class Barred(Exception):  # noqa: N818 - not an error for callers
    """Why a name of a row is not opened; never says more of this machine than the row itself does."""


@dataclass(frozen=True)
class Named:
    """What a row calls by a name instead of holding it, and where such things may lie."""

    value: Any
    """As the row has it."""
    name: str
    roots: tuple[str, ...] = ()

    def read(self) -> bytes:
        """The bytes of the file.

        Raises:
            Barred: there is no such file, or it is none that this dataset may name.
        """
        return read_named(self.name, self.roots)

    def lies_outside(self) -> str | None:
        """Where the name leads, if that is outside of all that it may name; None for any other name."""
        try:
            path, _ = _taken_apart(self.name)
        except Barred:
            return None
        return None if _allowed(path, self.roots) else path


def named_in(value: Any, roots: tuple[str, ...]) -> Any:
    """An image as a row stores it, with a name as `Named`; bytes, pictures and arrays as they are."""
    text: Any = value
    if isinstance(value, Mapping):
        content = next((value[key] for key in KEYS if value.get(key) is not None), None)
        text = content if isinstance(content, str) else None
        if isinstance(content, Mapping):
            return named_in(content, roots)
    if not isinstance(text, str) or text.startswith("data:"):
        return value
    return Named(value, text, roots)


KEYS = ("bytes", "path", "image", "url")  # of a struct that holds an image, the first that is not null


def read_named(name: str, roots: tuple[str, ...]) -> bytes:
    """The bytes of what a row names, of a file or of a member of a zip file.

    Raises:
        Barred: it is no regular file of at most `MAX_BYTES` below one of the roots.
    """
    path, member = _taken_apart(name)
    absolute = _place(path, roots)
    if absolute is None:
        raise Barred(
            f"{short_name(path)} lies outside of the dataset's own folder and is not opened: if it is yours, name its "
            f"folder, {HOW}"
        )
    return _member(absolute, member, path) if member is not None else read_regular(absolute)


def read_regular(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a regular file; a pipe, a device or a folder is refused without a wait.

    Raises:
        Barred: it is none, or larger than `MAX_BYTES`.
    """
    most = MAX_BYTES
    with _opened(path) as (file, size):
        if size > most:
            raise Barred(f"the file {short_name(str(path))} has {size:,} bytes, and at most {most:,} are read")
        content: bytes = file.read(most + 1)
        if len(content) > most:
            raise Barred(f"the file {short_name(str(path))} has more than {most:,} bytes")
        return content


@contextmanager
def noting_files() -> Iterator[list[tuple[str, int | None, int | None]]]:
    """What is opened within, in this context: path, size, and time of change in ns; both None for what is not there."""
    named: list[tuple[str, int | None, int | None]] = []
    outer = _noted.get()
    token = _noted.set(named)
    try:
        yield named
    finally:
        _noted.reset(token)
        if outer is not None:
            outer += named


_noted: ContextVar[list[tuple[str, int | None, int | None]] | None] = ContextVar("files noted", default=None)


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[tuple[Any, int]]:
    shown = short_name(os.fspath(path))
    named = _noted.get()
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as error:
        if named is not None:
            named.append((os.fspath(path), None, None))
        raise Barred(f"there is no file {shown} that can be read") from error
    status = os.fstat(descriptor)
    if named is not None:
        named.append((os.fspath(path), status.st_size, status.st_mtime_ns))
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise Barred(f"{shown} is no regular file")
    with os.fdopen(descriptor, "rb") as file:
        yield file, status.st_size


def _member(archive: str, member: str, shown: str) -> bytes:
    """A file inside of a zip file, which is how datasets names the pictures of a folder with one."""
    with _opened(archive) as (file, _):
        try:
            with zipfile.ZipFile(file) as opened:
                entry = opened.getinfo(member)
                if entry.file_size > MAX_BYTES:
                    raise Barred(f"{short_name(member)} in {short_name(shown)} has {entry.file_size:,} bytes")
                with opened.open(entry) as inside:
                    content = inside.read(MAX_BYTES + 1)
        except (KeyError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
            raise Barred(f"there is no {short_name(member)} in {short_name(shown)} that can be read") from error
        except Exception as error:
            if isinstance(error, Barred):
                raise
            raise Barred(f"{short_name(member)} in {short_name(shown)} is broken") from error
    if len(content) > MAX_BYTES:
        raise Barred(f"{short_name(member)} in {short_name(shown)} has more than {MAX_BYTES:,} bytes")
    return content


def _taken_apart(name: str) -> tuple[str, str | None]:
    """The path in a name, and for `zip://a/b.png::/data/x.zip` the member of that archive.

    Raises:
        Barred: the name is a URL, or no path at all.
    """
    if len(name) > _LONGEST_NAME or "\0" in name:
        raise Barred(f"there is no file {short_name(name)}")
    member = None
    if name.startswith("zip://") and "::" in name:
        inside, _, name = name.removeprefix("zip://").partition("::")
        member = inside.removeprefix("/")
    if name.startswith("file:"):
        rest = name.removeprefix("file:").removeprefix("//").removeprefix("localhost")
        name = url2pathname(rest) if rest.startswith("/") else unquote(rest)
    elif "://" in name:
        scheme = name.partition("://")[0]
        raise Barred(f"{scheme[:20]} URLs are not fetched ({short_name(name)}): download the image and give its path")
    return name, member


def _place(path: str, roots: Iterable[str]) -> str | None:
    """The real path of what a row names below one of the roots; None where it lies outside of all of them."""
    every = (*roots, *given_roots())
    candidates = [path] if os.path.isabs(path) else [*(os.path.join(root, path) for root in every), path]
    first = None
    for candidate in candidates:
        real = _real(candidate)
        if _is_below(candidate, real, every):
            if os.path.lexists(real):
                return real
            first = first or real
    return first


def _allowed(path: str, roots: Iterable[str]) -> bool:
    return _place(path, roots) is not None


def is_own(path: str, folder: str) -> bool:
    """The file lies below the folder, or below one that the user has named; as a snapshot of the Hub has its files in blobs/."""
    return _allowed(os.path.abspath(path), (os.path.abspath(folder),))


def _real(path: str) -> str:
    try:
        folder, name = os.path.split(os.path.abspath(path))
        place = os.path.join(_real_folder(folder), name)
        return os.path.realpath(place) if os.path.islink(place) else place
    except (OSError, ValueError):
        return ""


@lru_cache(maxsize=4096)
def _real_folder(folder: str) -> str:
    """Links do not change while rows are read; what is opened is compared with the real path of today."""
    return os.path.realpath(folder)


def _is_below(path: str, real: str, roots: Iterable[str]) -> bool:
    if not real:
        return False
    for root in roots:
        top = _real_folder(root)
        if real == top or real.startswith(top.rstrip(os.sep) + os.sep):
            return True
        # Of a repository of the Hub a revision lies in snapshots/COMMIT, as links to files in blobs/.
        above = os.path.dirname(top)
        if os.path.basename(above) == "snapshots":
            lexical = os.path.join(_real_folder(os.path.dirname(os.path.abspath(path))), os.path.basename(path))
            blobs = os.path.join(os.path.dirname(above), "blobs") + os.sep
            if lexical.startswith(top + os.sep) and real.startswith(blobs):
                return True
        if _is_extracted(real, top):
            return True
    return False


def _is_extracted(real: str, root: str) -> bool:
    """The file was unpacked by datasets from an archive below the root."""
    import datasets

    folder = os.path.realpath(str(datasets.config.EXTRACTED_DATASETS_PATH)) + os.sep
    return real.startswith(folder) and real.removeprefix(folder).partition(os.sep)[0] in _unpacked(root)


@lru_cache(maxsize=64)
def _unpacked(root: str) -> frozenset[str]:
    """What datasets calls the folders into which it unpacks the archives below a folder."""
    archives = (path for path in Path(root).rglob("*") if path.name.lower().endswith(_ARCHIVES))
    return frozenset(sha256(str(archive).encode()).hexdigest() for archive in archives)


def short_name(name: str) -> str:
    """A name for messages, which may be published: of an absolute path the last part alone, and not for ever."""
    name = name.replace("\\", "/") if os.name == "nt" else name
    is_path = "://" not in name
    return ascii_of((os.path.basename(name.rstrip("/")) or "/") if is_path and os.path.isabs(name) else name[:80])


def ascii_of(text: str) -> str:
    """A text in quotes, cut after 80 characters, of which those that steer a terminal are spelled out."""
    return repr(text[:80] + ("..." if len(text) > 80 else ""))


def without_folder(text: str) -> str:
    """A text, of which the path of a file or folder of this machine keeps only its last part."""
    try:
        path, member = _taken_apart(text)
        path = os.path.expanduser(path)
        fine = os.path.isabs(path) and os.path.exists(path)
    except (Barred, OSError, ValueError):
        return text
    last = os.path.basename(path.rstrip(os.sep))
    if not fine or not last:
        return text
    return last if member is None else f"zip://{member}::{last}"


# What the user allows


_given: list[str] = []
_lock = threading.Lock()


def given_roots() -> tuple[str, ...]:
    """The folders that the user has named for this process."""
    with _lock:
        given = tuple(_given)
    return (*given, *filter(None, os.environ.get(ROOTS_VARIABLE, "").split(os.pathsep)))


@contextmanager
def allowed(media_roots: Iterable[str | os.PathLike[str]] = ()) -> Iterator[None]:
    """Within, rows may name files below these folders, too."""
    roots = checked_roots(media_roots)
    with _lock:
        _given.extend(roots)
    try:
        yield
    finally:
        with _lock:
            for root in roots:
                _given.remove(root)


def checked_roots(media_roots: Any) -> tuple[str, ...]:
    """Folders as absolute paths; raises `SettingError` for what is none."""
    single = isinstance(media_roots, (str, os.PathLike))
    check(single or media_roots is None or isinstance(media_roots, Iterable), "media_roots", media_roots, _TAKES)
    roots = (media_roots,) if single else tuple(media_roots or ())
    for root in roots:
        fine = isinstance(root, (str, os.PathLike)) and os.fspath(root) and os.path.isdir(os.path.expanduser(root))
        check(fine, "media_roots", root, _TAKES)
    return tuple(os.path.abspath(os.path.expanduser(root)) for root in roots)


# Where a dataset is from


_origins: dict[str, tuple[str, ...]] = {}


def note_origin(ds: datasets.Dataset, roots: Iterable[str | os.PathLike[str]]) -> None:
    """What was loaded by `load_source` and all that is made of it may name files below these folders, in this process."""
    places = tuple(os.path.abspath(root) for root in roots)
    for folder in _cache_folders(ds):
        _origins[folder] = places


def roots_of_process() -> tuple[str, ...]:
    """For a batch that does not say what dataset it is of: the folders of all that `load_source` has loaded here."""
    return tuple(dict.fromkeys(place for places in _origins.values() for place in places))


def own_folders(ds: Any) -> tuple[str, ...]:
    """The folders whose files a dataset may name, found out by the files of Arrow that it is read from.

    Rows of the Hub lie in the cache of datasets under .../user___name/config/version/COMMIT; what `load_source` has
    read is noted there; and of a folder of pictures that `load_dataset` has read it is the folder of the pictures.
    What a dataset says of itself counts for nothing: anybody can write that.
    """
    roots: dict[str, None] = {}
    for folder in _cache_folders(ds):
        if folder in _origins:
            roots |= dict.fromkeys(_origins[folder])
            continue
        roots |= dict.fromkeys(_of_the_hub(folder))
        roots |= dict.fromkeys(_of_pictures(folder, ds))
    return tuple(roots)


def _cache_folders(ds: Any) -> list[str]:
    files = getattr(ds, "cache_files", None) or ()
    names = [file["filename"] for file in files if isinstance(file, Mapping)] if not isinstance(files, Mapping) else []
    return list(dict.fromkeys(os.path.dirname(os.path.realpath(name)) for name in names))


def _in_cache(folder: str) -> list[str]:
    """The parts of a folder below the cache of datasets, where nobody else writes; none for any other."""
    import datasets

    cache = os.path.realpath(str(datasets.config.HF_DATASETS_CACHE)) + os.sep
    return folder.removeprefix(cache).split(os.sep) if folder.startswith(cache) else []


def _of_the_hub(folder: str) -> list[str]:
    """Where the Hub client keeps the revision that datasets has read."""
    from huggingface_hub import constants

    parts = _in_cache(folder)
    commit = parts[-1] if parts else ""
    if len(parts) < 4 or len(commit) != 40 or not set(commit) <= set("0123456789abcdef"):
        return []
    return [str(place) for place in Path(constants.HF_HUB_CACHE).glob(f"datasets--*/snapshots/{commit}")]


def _of_pictures(folder: str, ds: Any) -> list[str]:
    """The folder of the pictures, where datasets itself has listed them: what lies in no home folder, and above none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not _in_cache(folder) or getattr(ds.info, "builder_name", None) not in _FOLDER_BUILDERS:
        return []
    if not os.path.isfile(os.path.join(folder, "dataset_info.json")):
        return []
    places: set[str] = set()
    for name in ds.column_names:
        kind = ds.data.schema.field(name).type
        if not (pa.types.is_struct(kind) and {"bytes", "path"} <= {field.name for field in kind}):
            continue
        for chunk in ds.data.column(name).chunks:
            paths = pc.replace_substring_regex(pc.struct_field(chunk, "path"), r".*::", "")
            places |= set(pc.unique(pc.replace_substring_regex(paths, r"[^/\\]*$", "")).drop_null().to_pylist())
    # Releases of datasets before 5 let a metadata file name pictures above its folder.
    if not places or not all(map(os.path.isabs, places)) or any(".." in re.split(r"[/\\]", place) for place in places):
        return []
    top = os.path.realpath(os.path.commonpath(places))
    home = os.path.realpath(os.path.expanduser("~"))
    is_wide = (home + os.sep).startswith(top.rstrip(os.sep) + os.sep) or top.count(os.sep) < 2
    return [] if is_wide else [top]
