"""What a run holds, for people: its fingerprints and their counts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from .before import GOES_ON_FROM
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
    entries: list[Held] = []
    groups: dict[str, list[str]] = {}
    manifests = {name: folder.manifest(name) for name in folder.fingerprints()}
    later = {before: name for name, manifest in manifests.items() for before in manifest.get(GOES_ON_FROM, ())}
    for name, manifest in manifests.items():
        settings = manifest.get("settings")
        fingerprint = fingerprint_of(settings) if isinstance(settings, dict) else name
        groups.setdefault(later.get(name, fingerprint), []).append(name)
    for fingerprint, names in groups.items():
        index = Index(folder, names, part_schema(()))
        shown = fingerprint if fingerprint in names else names[0]
        manifest = manifests[shown]
        settings = manifest["settings"] if isinstance(manifest.get("settings"), dict) else {}
        rows, failed = index.counts()
        fewest, most = index.attempts() if manifest.get("tops_up") else (None, None)
        torn = [file for file in folder.unreadable_manifests() if file.path.split("/")[0] in names]
        unusable = tuple(f"{file.path}: {file.why}" for file in (*torn, *index.unusable))
        parts = sum(len(folder.parts(name)) for name in names) - len(index.unusable)
        kind, model = manifest.get("kind"), settings.get("model")
        graders = tuple(sorted({stretch.grader for stretch in index.every() if stretch.grader is not None}))
        limits = tuple(sorted({stretch.limit for stretch in index.every() if stretch.limit is not None}))
        entries.append(Held(shown, kind, model, settings, rows, failed, fewest, most, parts, unusable, graders, limits))
    return sorted(entries, key=lambda held: held.fingerprint)
