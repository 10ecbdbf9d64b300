"""What a run holds, for people: its fingerprints and their counts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from hf_rap.columns import ERROR, ID

from .folder import RunFolder
from .index import ATTEMPTS, FIRST, KEY, Index


@dataclass(frozen=True)
class Held:
    """What lies under one fingerprint of a run."""

    fingerprint: str
    model: str | None
    settings: dict[str, Any]
    rows: int
    failed: int
    fewest_attempts: int
    most_attempts: int
    parts: int
    unusable: tuple[str, ...]
    """Files that are not trusted, each with the reason."""

    def as_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return asdict(self)


def list_runs(url: str) -> list[Held]:
    """Every fingerprint of a run folder with its counts. Reads all parts.

    Raises:
        RunError: there is no run at the URL.
    """
    import pyarrow as pa

    folder = RunFolder(url)
    # Only what is counted: runs of every kind of evidence can be listed.
    schema = pa.schema(
        [
            (KEY, pa.string()),
            (FIRST, pa.int32()),
            (ATTEMPTS, pa.int32()),
            (ID.name, pa.string()),
            (ERROR.name, pa.string()),
        ]
    )
    found = []
    for fingerprint in folder.fingerprints():
        index = Index(folder, fingerprint, schema)
        settings = folder.manifest(fingerprint)
        rows, failed = index.counts()
        fewest, most = index.attempts()
        unusable = tuple(f"{file.path}: {file.why}" for file in index.unusable)
        parts = len(folder.parts(fingerprint)) - len(unusable)
        model = settings.get("model")
        found.append(Held(fingerprint, model, settings, rows, failed, fewest, most, parts, unusable))
    return found
