"""Tables that a run keeps so that a start need not find out again what it knows; each is gone without a loss.

    RUN/<fingerprint>/index/<what>-<hash>.arrow

A file whose bytes do not fit the hash in its name is not read.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from .folder import RunFolder

FOLDER = "index"
_SUFFIX = ".arrow"


def kept_names(folder: RunFolder, fingerprint: str, what: str) -> list[str]:
    """The names of the tables of this kind."""
    names = folder.names(f"{fingerprint}/{FOLDER}")
    return [name for name in names if name.startswith(what) and name.endswith(_SUFFIX)]


def kept_tables(folder: RunFolder, fingerprint: str, what: str) -> Iterator[pa.Table]:
    """The tables whose names begin so, as far as they are whole."""
    for name in kept_names(folder, fingerprint, what):
        table = read_table(folder, fingerprint, name)
        if table is not None:
            yield table


def read_table(folder: RunFolder, fingerprint: str, name: str) -> pa.Table | None:
    """One of `kept_names`; None where it is gone, or was torn or changed."""
    try:
        content = folder.read(f"{fingerprint}/{FOLDER}/{name}")
    except OSError:
        return None
    if _hash(content) != name.removesuffix(_SUFFIX).rpartition("-")[2]:
        return None
    return from_file(content)


def as_file(table: pa.Table) -> bytes:
    """The table as an Arrow file."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    # Mostly keys, of which zstd saves half and takes ten times as long to read.
    options = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
    with pa.ipc.new_file(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def from_file(content: bytes) -> pa.Table:
    """The table of an Arrow file; raises ValueError for something else."""
    import pyarrow as pa

    options = pa.ipc.IpcReadOptions(use_threads=False)  # with them it takes more of the processor, and no less time
    return pa.ipc.open_file(pa.BufferReader(content), options=options).read_all()


def keep_table(
    folder: RunFolder, fingerprint: str, what: str, table: pa.Table, *, most: int | None = None, kind: str | None = None
) -> str:
    """Store a table; of those whose names begin with `kind`, no more than `most` stay, and none of the same `what`.

    Raises:
        RunError: it cannot be written.
    """
    content = as_file(table)
    name = f"{what}-{_hash(content)}{_SUFFIX}"
    folder.write(f"{fingerprint}/{FOLDER}/{name}", content)
    if kind is not None and most is not None:
        others = [other for other in kept_names(folder, fingerprint, kind) if other != name]
        stale = [other for other in others if other.startswith(f"{what}-")]
        for other in (*stale, *[other for other in others if other not in stale][most - 1 :]):
            folder.remove(f"{fingerprint}/{FOLDER}/{other}")
    return name


def _hash(content: bytes) -> str:
    return blake2b(content, digest_size=16).hexdigest()
