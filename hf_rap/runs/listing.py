"""What a run holds, for people: its fingerprints and their counts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from .folder import RunFolder
from .index import Index, part_schema


@dataclass(frozen=True)
class Held:
    """What lies under one fingerprint of a run."""

    fingerprint: str
    kind: str | None
    """What was collected: rollouts, attention or step scores; None where the manifest is unreadable."""
    model: str | None
    settings: dict[str, Any]
    rows: int
    failed: int
    fewest_attempts: int | None
    """Attempts per row; None where there are none to add to, as in attention."""
    most_attempts: int | None
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
    folder = RunFolder(url)
    found = []
    for fingerprint in folder.fingerprints():
        index = Index(folder, fingerprint, part_schema(()))
        told = folder.manifest(fingerprint)
        settings = told["settings"] if isinstance(told.get("settings"), dict) else {}
        rows, failed = index.counts()
        fewest, most = index.attempts() if told.get("tops_up") else (None, None)
        unusable = tuple(f"{file.path}: {file.why}" for file in index.unusable)
        parts = len(folder.parts(fingerprint)) - len(unusable)
        kind, model = told.get("kind"), settings.get("model")
        found.append(Held(fingerprint, kind, model, settings, rows, failed, fewest, most, parts, unusable))
    return found
