"""A run folder: what lies where, how it gets there whole, and how it is told from anything else.

    RUN/run.json                        {"format": 2}
    RUN/writers/0-of-1-<token>.json     who is writing, see `lease`
    RUN/claims/...                      and on which rows, see `claims`
    RUN/<fingerprint>/manifest.json     kind of evidence, and the settings that the fingerprint stands for
    RUN/<fingerprint>/0000-0005-00064-<hash>.parquet
    RUN/<fingerprint>/0001/...          further parts, about 1,000 in a folder
    RUN/<fingerprint>/index/...         what need not be found out again, see `stored`

A part is never changed. Its name says which attempts of how many rows it holds, and ends with a hash
of the file: a part that was torn, edited or copied from elsewhere does not fit its own name. Replies that were graded
again, or that were cut off and went on, are a new part.

A folder keeps the name that it got. Where a later hf_rap counts fewer settings, it finds those that count in the manifest:
see `RunFolder.same`; for folders from before models had an identity, `before`.
"""

from __future__ import annotations

import errno
import io
import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from hf_rap.errors import RunError, first_line, hide_secrets, logger_of
from hf_rap.options import MAX_JSON_BYTES, check_path, read_json
from hf_rap.stats.secrets import masked, masked_settings
from hf_rap.stats.settings import counted
from hf_rap.system import PARTIAL, make_folder, patiently, remove_abandoned, whole_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pyarrow as pa

logger = logger_of(__name__)

Made = TypeVar("Made")

FORMAT = 2  # raise it when an older hf_rap could not read what this one writes
METADATA = b"hf_rap_part"
MANIFEST = "manifest.json"
_RUN = "run.json"
# What is there and cannot be read, or has a name and is not there: that file is lost, the others are not.
_LOST = (errno.EIO, errno.ENOENT, errno.ELOOP, errno.EISDIR, errno.ENOTDIR, errno.EBADMSG, getattr(errno, "EUCLEAN", 0))
_PARTS_LOOKED_AT = 3  # whether a folder whose run.json is torn is a run of this format
_PARQUET = ".parquet"
# Where a file can be made on the condition that it is not there; others, as hf://, look first and then write.
_CREATE_FOR_ONE = ("file", "local", "memory", "s3", "s3a")
_PROBES = "claims"
_REMOVALS = 10  # of a folder by other processes, one right behind the other
PARTS_PER_FOLDER = 1_000
# What file systems tell of a file, beside its size, that another content changes.
_CHANGES = ("ETag", "etag", "blob_id", "mtime", "LastModified", "last_modified", "updated", "created")
_FOLDER_OF_PARTS = re.compile(r"\d{4,}")
_FINGERPRINT = re.compile(r"[0-9a-f]{16}")
_PART = re.compile(r"(?P<first>\d{4,})-(?P<stop>\d{4,})-(?P<rows>\d{5,})-(?P<hash>[0-9a-f]{32})\.parquet")


def fingerprint_of(settings: Mapping[str, Any]) -> str:
    """64 bits, in hex, over those of the settings that change what evidence is drawn from.

    A run goes on after an upgrade and on another machine: what changes numbers on purpose has a version of its own.

    >>> fingerprint_of({"model": "m", "torch": "2.4"}) == fingerprint_of({"model": "m", "torch": "2.5"})
    True
    """
    return blake2b(json.dumps(counted(settings), sort_keys=True).encode(), digest_size=8).hexdigest()


def by_content(path: str) -> tuple[str, str]:
    """What puts parts in an order that does not depend on the folder that one got: fingerprint and name."""
    fingerprint, _, name = path.partition("/")
    return fingerprint, name.rpartition("/")[2]


@dataclass(frozen=True)
class Unusable:
    """A file in a run that is not trusted, and why."""

    path: str
    why: str


def check_url(url: Any) -> None:
    """Raise `SettingError` for what is neither a path nor a URL."""
    check_path("url", url, "a folder, or a URL such as s3://bucket/run")


class RunFolder:
    """The files of a run, at any URL that fsspec opens (a path, s3://, hf://buckets/..., memory://).

    Raises:
        RunError: the URL cannot be opened or written, or holds something else than a run.
    """

    def __init__(self, url: str, *, create: bool = False) -> None:
        import fsspec

        check_url(url)
        self.url = str(url)
        try:
            self.fs, self.path = fsspec.core.url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            raise RunError(f"The run {self.url!r} cannot be opened: {first_line(error)}") from error
        protocols = self.fs.protocol if isinstance(self.fs.protocol, tuple) else (self.fs.protocol,)
        self.is_local = "file" in protocols
        if self.is_local:
            self.path = os.path.realpath(self.path)  # of a link whose target is not there yet, the folder is made there
        if "hf" in protocols and not self.path.startswith("buckets/"):
            raise RunError(
                f"The run {self.url!r} would make a commit of every file, of which the Hub takes some hundred an hour: give a "
                "bucket, hf://buckets/USER/NAME/FOLDER (`hf buckets create USER/NAME` makes one)."
            )
        self._check(create=create)

    def fingerprints(self) -> list[str]:
        """The fingerprints that have a folder."""
        return sorted(name for name in self.names("") if _FINGERPRINT.fullmatch(name))

    def same(self, fingerprint: str, kind: str | None = None) -> list[str]:
        """The folders whose manifest stands for this fingerprint, that of its name first; of one kind of evidence."""
        fingerprints = [fingerprint]
        for name in self.fingerprints():
            manifest = self.manifest(name) if name != fingerprint else {}
            settings = manifest.get("settings")
            if (
                isinstance(settings, dict)
                and kind in (None, manifest.get("kind"))
                and fingerprint_of(settings) == fingerprint
            ):
                fingerprints.append(name)
        return fingerprints

    def names(self, folder: str) -> list[str]:
        """What lies in a folder of the run; nothing where there is no such folder."""
        self.fs.invalidate_cache()
        where = f"{self.path}/{folder}".rstrip("/")
        try:
            paths = patiently(lambda: self.fs.ls(where, detail=False))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except Exception as error:
            raise self._cannot("list", folder or "the files", error) from error
        return sorted({str(path).rstrip("/").rpartition("/")[2] for path in paths if str(path).rstrip("/") != where})

    def parts(self, fingerprint: str) -> list[str]:
        """The names of files that could be parts, those in folders with the folder."""
        return list(self.listed(fingerprint))

    def listed(self, fingerprint: str) -> dict[str, str]:
        """The same, and for each what changes when its file does: its size, and the time or the tag that is told of it."""
        found = self._files(fingerprint)
        parts = {name: stamp for name, (is_folder, stamp) in found.items() if not is_folder and name.endswith(_PARQUET)}
        for folder, (is_folder, _) in found.items():
            if is_folder and _FOLDER_OF_PARTS.fullmatch(folder):
                inside = self._files(f"{fingerprint}/{folder}")
                parts |= {f"{folder}/{name}": stamp for name, (_, stamp) in inside.items() if name.endswith(_PARQUET)}
        return dict(sorted(parts.items()))

    def _files(self, folder: str) -> dict[str, tuple[bool, str]]:
        """What lies in a folder of the run: whether it is a folder itself, and its stamp."""
        self.fs.invalidate_cache()
        where = f"{self.path}/{folder}"
        try:
            infos = self.fs.ls(where, detail=True)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        files = {}
        for info in infos:
            path = str(info["name"]).rstrip("/")
            change = next((info[name] for name in _CHANGES if info.get(name) is not None), None)
            if path != where:
                files[path.rpartition("/")[2]] = (info.get("type") == "directory", f"{info.get('size')} {change}")
        return files

    def write_part(self, fingerprint: str, table: pa.Table, *, first: int, stop: int, before: int = 0) -> str:
        """Store a table as a part that appears only when it is whole; gives its name.

        `before`: about how many parts there are, by which it gets a folder.
        """
        import pyarrow.parquet as pq

        metadata = json.dumps({"format": FORMAT, "fingerprint": fingerprint}).encode()
        file = io.BytesIO()
        pq.write_table(table.replace_schema_metadata({METADATA: metadata}), file, compression="zstd")
        content = file.getvalue()
        name = f"{first:04d}-{stop:04d}-{len(table):05d}-{_hash(content)}{_PARQUET}"
        if before >= PARTS_PER_FOLDER:
            name = f"{before // PARTS_PER_FOLDER:04d}/{name}"
        self.write(f"{fingerprint}/{name}", content)
        return name

    def read_part(self, fingerprint: str, name: str, schema: pa.Schema | None = None) -> pa.Table | Unusable:
        """The part, or what is wrong with it.

        Args:
            fingerprint: the folder it lies in.
            name: its name there.
            schema: columns that it must have, with these types; structs in lists may lack fields, which are null then:
                an earlier release has written them.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = f"{fingerprint}/{name}"
        named = _PART.fullmatch(name.rpartition("/")[2])
        if named is None:
            return Unusable(path, "not named like a part: some other program's file")
        content = self._content(path, named["hash"])
        if isinstance(content, Unusable):
            return content
        try:
            # With threads the process may abort when it ends soon after (https://github.com/apache/arrow/issues/34314).
            table = pq.read_table(pa.BufferReader(content), use_threads=False, pre_buffer=False)
            metadata = read_json((table.schema.metadata or {})[METADATA])
        except (pa.ArrowException, KeyError, ValueError) as error:  # ForeignError is one
            return Unusable(path, f"not a part that hf_rap wrote ({type(error).__name__})")
        says = (metadata, len(table))
        expected = ({"format": FORMAT, "fingerprint": fingerprint}, int(named["rows"]))
        if says != expected:
            return Unusable(path, f"says {says[0]} with {says[1]} rows, expected {expected[0]} with {expected[1]} rows")
        for field in schema or ():
            column = _as_type(table[field.name], field.type) if field.name in table.column_names else None
            if column is None:
                return Unusable(path, f"another schema: no column {field.name!r} of type {field.type}")
            table = table.set_column(table.column_names.index(field.name), field, column)
        return _without_secrets(table)

    def _content(self, path: str, hash_: str) -> bytes | Unusable:
        try:
            content = self.read(path)
        except OSError as error:
            if not _is_lost(error):  # rights, say: all of it is there, and need not be asked again
                raise self._cannot("read", path, error) from error
            return Unusable(path, f"cannot be read: {error.strerror or first_line(error)}")
        if _hash(content) == hash_:
            return content
        return Unusable(path, f"its {len(content)} bytes do not fit the hash in its name: torn or changed")

    def write_manifest(self, fingerprint: str, manifest: Mapping[str, Any]) -> None:
        """Say what a fingerprint stands for, where that is not said or cannot be read any more."""
        if not self.manifest(fingerprint):
            if MANIFEST in self.names(fingerprint):
                logger.warning("%s/%s cannot be read, and is written anew.", fingerprint, MANIFEST)
            self.write(f"{fingerprint}/{MANIFEST}", _json({"format": FORMAT, **manifest}))

    def manifest(self, fingerprint: str) -> dict[str, Any]:
        """What a fingerprint stands for, without secrets that an earlier release wrote; nothing where it cannot be read."""
        try:
            manifest: dict[str, Any] = masked(self.read_json(f"{fingerprint}/{MANIFEST}"))
        except (OSError, ValueError):
            return {}
        return manifest

    def unreadable_manifests(self) -> list[Unusable]:
        """Where nothing says what the parts of a fingerprint are: evidence of its settings is found by its name alone."""
        return [
            Unusable(
                f"{fingerprint}/{MANIFEST}",
                "it cannot be read. The command that wrote these parts writes it anew when it is started again; no other one "
                "goes on from them",
            )
            for fingerprint in self.fingerprints()
            if not self.manifest(fingerprint) and self.parts(fingerprint)
        ]

    def read(self, path: str) -> bytes:
        """The content of a file in the run."""
        self._refuse_odd(path)
        target = f"{self.path}/{path}"
        content: bytes = patiently(Path(target).read_bytes if self.is_local else lambda: self.fs.cat_file(target))
        return content

    def read_json(self, path: str) -> dict[str, Any]:
        """The object in a file of the run; raises as `hf_rap.options.read_json`."""
        self._refuse_odd(path)
        values: dict[str, Any] = read_json(self.fs.cat_file(f"{self.path}/{path}", end=MAX_JSON_BYTES + 1))
        return values

    def _is_odd(self, path: str) -> bool:
        """No regular file: a pipe would be waited for, a device read without end."""
        return self.is_local and not Path(f"{self.path}/{path}").is_file()

    def _refuse_odd(self, path: str) -> None:
        if self._is_odd(path):
            raise FileNotFoundError(f"{path} is no regular file")

    def write(self, path: str, content: bytes) -> None:
        """A file that is there as a whole or not at all: renamed into place on disks, one request elsewhere.

        No store has to make a file only where there is none, or to rename one: buckets can do neither.
        """
        target = f"{self.path}/{path}"
        try:
            patiently(lambda: self._write(target, content))
        except Exception as error:
            raise self._cannot_write(path, error) from error

    def _cannot_write(self, path: str, error: Exception) -> RunError:
        hide_secrets(error)
        said = getattr(error, "strerror", None) or first_line(error).rstrip(". ")
        return RunError(
            f"Cannot write {path} into the run {self.url!r}: {said}. Parts that are written stay "
            "good; give the run room (or rights) and start the same command again."
        )

    def create(self, path: str, content: bytes) -> bool:
        """A file that only one of several processes can make; False for those to whom it is there already.

        For a moment, or where its process was killed in that moment, it may be empty.
        """
        target = f"{self.path}/{path}"
        try:
            if not self.is_local:
                self.fs.pipe_file(target, content, mode="create")
                return True
            descriptor = _despite_removals(lambda: _new_file(Path(target)))
        except FileExistsError:
            return False
        except OSError as error:
            if not self.is_local and self.fs.exists(target):  # as S3 says it
                return False
            raise self._cannot_write(path, error) from error
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        return True

    @property
    def promises_creation(self) -> bool:
        """The file system has a way to make a file for one process alone, which need not hold everywhere."""
        protocols = self.fs.protocol if isinstance(self.fs.protocol, tuple) else (self.fs.protocol,)
        return any(protocol in _CREATE_FOR_ONE for protocol in protocols)

    def creates_for_one(self) -> bool:
        """Whether `create` holds here: tried out, where a file system promises it."""
        if not self.promises_creation:
            return False
        probe = f"{_PROBES}/{uuid4().hex}"
        try:
            return self.create(probe, b"1") and not self.create(probe, b"2")
        except (RunError, NotImplementedError, TypeError, ValueError):
            return False
        finally:
            self.remove(probe)

    def remove_folder(self, folder: str) -> None:
        """Remove a folder of ours with all that lies in it, as far as that is there.

        On a disk it goes out of the way in one step: what other processes make in its place meanwhile is no part of it.
        """
        with suppress(OSError):  # another process removes it as well, or what is left lies in nobody's way
            if self.is_local:
                aside = Path(f"{self.path}/{folder}.{uuid4().hex}{PARTIAL}")
                Path(f"{self.path}/{folder}").rename(aside)
                remove_abandoned([aside])
            else:
                self.fs.rm(f"{self.path}/{folder}", recursive=True)

    def _write(self, target: str, content: bytes) -> None:
        if not self.is_local:
            self.fs.pipe_file(target, content)
            return

        def whole() -> None:
            with whole_file(Path(target)) as partial:
                partial.write_bytes(content)

        _despite_removals(whole)  # also on a disk on which locks hold for one machine alone

    def remove(self, path: str) -> None:
        """Remove a file of ours; one that is gone is no error."""
        try:
            self.fs.rm_file(f"{self.path}/{path}")
        except (FileNotFoundError, OSError):
            return

    def remove_leftovers(self) -> None:
        """Remove what killed processes left half-written; what a living rank writes is locked, and stays."""
        if self.is_local:
            for folder, folders, files in os.walk(
                self.path
            ):  # which takes folders that others remove meanwhile for empty
                remove_abandoned(Path(folder, name) for name in [*folders, *files] if name.endswith(PARTIAL))

    def _check(self, *, create: bool) -> None:
        names = self.names("")
        if _RUN in names:
            stored = self._stored_format(mend=create)
            if stored != FORMAT:
                raise RunError(
                    f"The run {self.url!r} has format {stored}, this hf_rap reads {FORMAT}: use the hf_rap that wrote it, "
                    "or another folder."
                )
        elif not create:
            raise RunError(f"There is no run at {self.url!r}.")
        elif any(not name.startswith(".") for name in names):  # another process may be making the run just now
            raise RunError(
                f"{self.url!r} is not a run and not empty (it has {', '.join(names[:3])}): give a new or empty folder."
            )
        else:
            self.write(_RUN, _json({"format": FORMAT}))

    def _stored_format(self, *, mend: bool) -> Any:
        """What run.json says; where it is torn, what its parts say, and `mend` writes it anew."""
        try:
            content = self.read(_RUN)
        except OSError as error:
            if not _is_lost(error):
                raise self._cannot("read", _RUN, error) from error
            content = b""
        try:
            return read_json(content)["format"]
        except (ValueError, KeyError, TypeError) as error:
            if not (self._has_good_parts() or _is_torn(content)):
                raise RunError(f"{self.url!r} has a {_RUN} that hf_rap did not write.") from error
        if mend:
            logger.warning("%s of the run %r was torn, and is written anew.", _RUN, self.url)
            self.write(_RUN, _json({"format": FORMAT}))
        return FORMAT

    def _has_good_parts(self) -> bool:
        """Some part is one of this format; no parts are none.

        Raises:
            RunError: there are parts, and none of those looked at is one that this hf_rap reads.
        """
        parts = [(fingerprint, name) for fingerprint in self.fingerprints() for name in self.parts(fingerprint)]
        wrong = [self.read_part(*part) for part in parts[:_PARTS_LOOKED_AT]]
        if wrong and all(isinstance(part, Unusable) for part in wrong):
            raise RunError(
                f"The {_RUN} of {self.url!r} cannot be read, and neither can its parts by this hf_rap ({wrong[0]}): use the "
                "hf_rap that wrote them, or another folder."
            )
        return bool(parts)

    def _cannot(self, what: str, path: str, error: Exception) -> RunError:
        hide_secrets(error)
        said = getattr(error, "strerror", None) or first_line(error).rstrip(". ")
        return RunError(
            f"Cannot {what} {path} in the run {self.url!r}: {said}. Give this process the rights, "
            "or wait until the disk answers, and start the same command again."
        )


def _new_file(path: Path) -> int:
    """The descriptor of a file that is new, in a folder that need not be there."""
    make_folder(path.parent)
    return os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0), 0o666)


def _despite_removals(make: Callable[[], Made]) -> Made:
    """What makes a file, where another process may remove its folder at the same moment."""
    for _ in range(_REMOVALS):
        with suppress(FileNotFoundError):
            return make()
    return make()


def _is_lost(error: OSError) -> bool:
    return error.errno in _LOST or isinstance(error, FileNotFoundError)


def _is_torn(content: bytes) -> bool:
    """The beginning of a run.json of ours, or as many zeros, which a power cut leaves."""
    return not content.strip(b"\0") or _json({"format": FORMAT}).startswith(content)


def _as_type(column: pa.ChunkedArray, type_: pa.DataType) -> pa.ChunkedArray | None:
    """The column where it has this type, or lacks fields of a struct in lists, with nulls for these; else None."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if column.type == type_:
        return column
    if not all(
        pa.types.is_list(list_type) and pa.types.is_struct(list_type.value_type) for list_type in (column.type, type_)
    ):
        return None
    here = {field.name: field.type for field in column.type.value_type}
    wanted = {field.name: field.type for field in type_.value_type}
    if not here.items() <= wanted.items():
        return None
    structs = pc.list_flatten(column.combine_chunks())
    values = [structs.field(name) if name in here else pa.nulls(len(structs), field) for name, field in wanted.items()]
    items = pa.StructArray.from_arrays(values, fields=list(type_.value_type), mask=structs.is_null())
    lengths = pc.list_value_length(column.combine_chunks())
    ends = pc.cumulative_sum(lengths.fill_null(0))
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends.cast(pa.int32())])
    return pa.chunked_array([pa.ListArray.from_arrays(offsets, items, type=type_, mask=lengths.is_null())])


def _without_secrets(part: pa.Table) -> pa.Table:
    """The same, where an earlier release has written secrets into the settings of its rows."""
    import pyarrow as pa

    for place, name in enumerate(part.column_names):
        if not name.endswith("_settings"):
            continue
        texts = part[name].to_pylist()
        if any(masked_settings(text) != text for text in dict.fromkeys(texts)):
            part = part.set_column(place, part.schema.field(place), pa.array(map(masked_settings, texts), pa.string()))
    return part


def _hash(content: bytes) -> str:
    return blake2b(content, digest_size=16).hexdigest()


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=2, sort_keys=True).encode()
