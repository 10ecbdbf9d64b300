"""What stands beside the data of a version: facts, sample pictures and the manifest."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hf_rap.errors import SourceError, visible
from hf_rap.options import ForeignError, read_json
from hf_rap.rows.provenance import hash_file
from hf_rap.select.stability import describe_stability
from hf_rap.stats.health import check_health

from .digest import RowDigest, digest_of_files
from .facts import collect_facts
from .samples import sample_rows, shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from hf_rap.rows.provenance import SourceInfo

    from .configs import Content

MANIFEST = "rap.json"
README = "README.md"
REPORT = "report.html"
FORMAT = 1
_PLAIN_NAME = re.compile(r"[\w.\-]+(/[\w.\-]+)*", re.ASCII)


@dataclass
class Written:
    """What was written of a config: rows, their size without compression, and the files."""

    rows: int = 0
    memory_bytes: int = 0
    content: str = ""
    """What the rows say, see `RowDigest`."""
    example: dict[str, Any] | None = None
    """The first row, shortened."""
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Path in the version -> {"sha256", "bytes"}."""

    @property
    def digest(self) -> str:
        """What the files hold, in 32 characters."""
        hashes = "".join(self.files[name]["sha256"] for name in sorted(self.files))
        return hashlib.sha256(hashes.encode()).hexdigest()[:32]

    def add(self, shard: Path, name: str) -> None:
        """Take in a shard under the path that it has in the version."""
        import pyarrow.parquet as pq

        with pq.ParquetFile(shard) as parquet:
            footer = parquet.metadata
            if self.example is None:
                (first, *_) = next(parquet.iter_batches(batch_size=1, use_threads=False)).to_pylist()
                self.example = shortened(first)
        self.rows += footer.num_rows
        self.memory_bytes += sum(footer.row_group(group).total_byte_size for group in range(footer.num_row_groups))
        self.files[name] = {"sha256": hash_file(shard), "bytes": shard.stat().st_size}


def describe(
    content: Content,
    written: Mapping[str, Written],
    *,
    name: str,
    version: str,
    source: SourceInfo | None,
    licence: str | None,
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The facts, and the picture files that their samples name.

    Args:
        content: what is published.
        written: config -> what was written of it.
        name: of the dataset, on the card.
        version: three numbers.
        source: where the rows come from; None prints as unknown.
        licence: of the data; None takes the licence of `source`.

    """
    facts = collect_facts(
        content.selection,
        name=name,
        version=version,
        source=source,
        licence=licence,
        group_by=content.group_by,
        images_missing=content.images_missing,
    )
    samples, pictures = sample_rows(content.selection, content.layout)
    if content.page is not None:
        pictures[REPORT], facts["report"] = content.page, REPORT
    facts["configs"] = {
        config: {
            "rows": record.rows,
            "bytes": sum(file["bytes"] for file in record.files.values()),
            "memory_bytes": record.memory_bytes,
            "shards": len(record.files),
            "features": content.features(config).to_dict(),
        }
        for config, record in written.items()
    }
    facts["content"] = {config: record.content for config, record in written.items()}
    facts["digests"] = {config: record.digest for config, record in written.items()}
    facts["layout"] = content.layout.as_dict()
    facts["samples"] = samples
    facts["examples"] = {config: record.example for config, record in written.items()}
    facts["stability"] = stability = describe_stability(content.selection)
    facts["health"] = check_health(content.selection.scored, agreement=stability.get("jaccard")).as_dict()
    return facts, pictures


def file_entry(content: bytes) -> dict[str, Any]:
    """What the manifest says about a file."""
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def manifest_of(facts: Mapping[str, Any], files: Mapping[str, Mapping[str, Any]]) -> bytes:
    """The text of rap.json."""
    ordered = {name: files[name] for name in sorted(files)}
    manifest = {"format": FORMAT, "version": facts["version"], "facts": facts, "files": ordered}
    return (json.dumps(manifest, indent=2) + "\n").encode()


def same_content(
    content: Content, manifest: Mapping[str, Any], licence: str | None, files: Callable[[str], Sequence[Path]]
) -> bool:
    """The version that `manifest` describes has these very rows, decided the same way, under this licence.

    Args:
        content: what is to be published.
        manifest: of a version that is there.
        licence: of the data; None for one that is not known, which is no other.
        files: the data files of a config of that version; read where the version is from before it named its content.

    """
    from datasets import Features

    facts = manifest["facts"]
    rows = content.selection.scored, content.selection.kept_rows
    if set(facts.get("configs") or {}) != set(content.configs) or licence not in (None, facts.get("licence")):
        return False
    if [len(part) for part in rows] != [(facts.get("rows") or {}).get(name) for name in ("all", "kept")]:
        return False
    for config in content.configs:
        theirs = facts.get("content", {}).get(config) or digest_of_files(
            files(config), Features.from_dict(facts["configs"][config]["features"])
        )
        digest = RowDigest(content.features(config))
        for _ in digest.over(content.batches(config)):
            pass
        if digest.hexdigest() != theirs:
            return False
    return True


def read_manifest(content: bytes, where: str) -> dict[str, Any]:
    """What rap.json says, which a stranger may have written: of the shape of ours, and of files of its own folder alone.

    Args:
        content: of the file.
        where: the folder or repository, for the error.

    Raises:
        SourceError: it is no manifest of a version.

    """
    try:
        manifest: dict[str, Any] = read_json(content)
    except ForeignError as error:
        raise SourceError(f"{where}: its {MANIFEST} {error}.") from error
    shapes = (("version", str), ("facts", dict), ("files", dict))
    if not all(isinstance(manifest.get(name), kind) for name, kind in shapes):
        raise SourceError(f"{where}: its {MANIFEST} is none that hf-rap writes (no version, facts and files).")
    for name, entry in manifest["files"].items():
        if not _is_plain_name(name):
            raise SourceError(
                f"{where}: its {MANIFEST} lists {visible(name, 80)!r}, which is no file of its own folder."
            )
        fine = isinstance(entry, dict) and isinstance(entry.get("sha256"), str) and isinstance(entry.get("bytes"), int)
        if not fine:
            raise SourceError(f"{where}: its {MANIFEST} says nothing of the content of {visible(name, 80)!r}.")
    return manifest


def _is_plain_name(name: str) -> bool:
    """A relative path as `publish` writes it: forward slashes, no way up, nothing that a system reads in its own way."""
    parts = name.split("/")
    return _PLAIN_NAME.fullmatch(name) is not None and not any(part in ("", ".", "..") for part in parts)


def file_below(folder: Path, name: str) -> Path | None:
    """The file of a manifest's name, where it lies below the folder; None where it is missing or a link leads out.

    A snapshot of the Hub consists of links into blobs/ beside it, which count as its own.
    """
    path, top = (folder / name).resolve(), folder.resolve()
    blobs = top.parent.parent / "blobs" if top.parent.name == "snapshots" else top
    return path if path.is_file() and (path.is_relative_to(top) or path.is_relative_to(blobs)) else None
