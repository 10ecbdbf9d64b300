"""What a run holds, for people: its fingerprints and their counts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from .before import GOES_ON_FROM
from .contents import FAILURE, GRADER, LIMIT, STOP
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
    """Every fingerprint of a run folder with its counts. Reads the parts whose contents are not kept.

    Args:
        url: the run folder: a path, or any URL that fsspec opens.

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
    unreadable = folder.unreadable_manifests()
    for fingerprint, names in groups.items():
        index = Index(folder, names, part_schema(()))
        shown = fingerprint if fingerprint in names else names[0]
        manifest = manifests[shown]
        settings = manifest["settings"] if isinstance(manifest.get("settings"), dict) else {}
        totals = _totals(index)
        fewest, most = (totals.fewest, totals.most) if manifest.get("tops_up") else (None, None)
        torn = [file for file in unreadable if file.path.split("/")[0] in names]
        unusable = tuple(f"{file.path}: {file.why}" for file in (*torn, *index.unusable))
        kind, model = manifest.get("kind"), settings.get("model")
        parts = index.parts - len(index.unusable)
        rows, failed, graders, limits = totals.rows, totals.failed, totals.graders, totals.limits
        entries.append(Held(shown, kind, model, settings, rows, failed, fewest, most, parts, unusable, graders, limits))
    return sorted(entries, key=lambda held: held.fingerprint)


@dataclass(frozen=True)
class _Totals:
    rows: int
    failed: int
    fewest: int
    most: int
    graders: tuple[str, ...]
    limits: tuple[int, ...]


def _totals(index: Index) -> _Totals:
    """What the index holds, as numbers: of nearly all rows by their table, of the others one by one."""
    import pyarrow.compute as pc

    plain = index.take_plain()
    rows, failed = index.counts()
    others = list(index.every())
    stops = [*(index.attempts() if others else ()), *(pc.min_max(plain[STOP]).as_py().values() if len(plain) else ())]
    graders = {stretch.grader for stretch in others} | set(plain[GRADER].unique().to_pylist())
    limits = {stretch.limit for stretch in others} | set(plain[LIMIT].unique().to_pylist())
    return _Totals(
        rows + len(plain),
        failed + len(plain) - plain[FAILURE].null_count,
        min(stops, default=0),
        max(stops, default=0),
        tuple(sorted(grader for grader in graders if grader is not None)),
        tuple(sorted(limit for limit in limits if limit is not None)),
    )
