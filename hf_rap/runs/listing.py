"""What a run holds, for people: its fingerprints and their counts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from .folder import RunFolder, fingerprint_of
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
    graders: tuple[str, ...] = ()
    """Verifier, version and what cut replies count as, as JSON, of the grades that are there."""
    limits: tuple[int, ...] = ()
    """Tokens that the replies could have."""

    def as_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return asdict(self)


def list_runs(url: str) -> list[Held]:
    """Every fingerprint of a run folder with its counts. Reads all parts.

    Raises:
        RunError: there is no run at the URL.
    """
    folder = RunFolder(url)
    found: list[Held] = []
    groups: dict[str, list[str]] = {}
    for name in folder.fingerprints():
        settings = folder.manifest(name).get("settings")
        groups.setdefault(fingerprint_of(settings) if isinstance(settings, dict) else name, []).append(name)
    for fingerprint, names in groups.items():
        index = Index(folder, names, part_schema(()))
        shown = fingerprint if fingerprint in names else names[0]
        told = folder.manifest(shown)
        settings = told["settings"] if isinstance(told.get("settings"), dict) else {}
        rows, failed = index.counts()
        fewest, most = index.attempts() if told.get("tops_up") else (None, None)
        unusable = tuple(f"{file.path}: {file.why}" for file in index.unusable)
        parts = sum(len(folder.parts(name)) for name in names) - len(unusable)
        kind, model = told.get("kind"), settings.get("model")
        graders = tuple(sorted({one.grader for one in index.every() if one.grader is not None}))
        limits = tuple(sorted({one.limit for one in index.every() if one.limit is not None}))
        found.append(Held(shown, kind, model, settings, rows, failed, fewest, most, parts, unusable, graders, limits))
    return sorted(found, key=lambda held: held.fingerprint)
