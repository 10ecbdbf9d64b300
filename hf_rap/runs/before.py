"""Runs from before models had an identity: their manifests name a model, and only of folders what was in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_rap.errors import RunError
from hf_rap.settings import NOT_COUNTED, counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hf_rap.evidence.collector import Collector

    from .folder import RunFolder

# Of the settings of that time: what was written down only, the kernel, which counts no more, and what the identity
# has taken the place of.
_NOT_COUNTED = {"device", "transformers", "torch", "hf_rap", "attention"}
_OF_THE_MODEL = {"model", "revision", "weights"}


def fingerprint_before(folder: RunFolder, collector: Collector, settings: Mapping[str, Any]) -> str | None:
    """The fingerprint of that time under which the evidence of this collector lies; None where it has to start anew.

    Raises:
        RunError: everything agrees as far as it is told, but which weights those were is not told.
    """
    here = counted(settings)
    untold: str | None = None
    for fingerprint in folder.fingerprints():
        manifest = folder.manifest(fingerprint)
        there = manifest.get("settings")
        if manifest.get("kind") != collector.kind or not isinstance(there, dict) or NOT_COUNTED in there:
            continue
        aside = _NOT_COUNTED | {*settings.get(NOT_COUNTED, ())} | (_OF_THE_MODEL if "identity" in here else set())
        if any(here.get(name) != value for name, value in there.items() if name not in aside):
            continue
        same = _same_model(there, settings, collector.engine) if "identity" in here else True
        if same:
            return fingerprint
        if same is None:
            untold = str(there.get("hf_rap", "unknown"))
    if untold is not None:
        raise RunError(
            f"The run {folder.url!r} was written before models had an identity: its manifest names {settings['model']!r} and "
            f"no commit, so nothing tells whether its replies came from {here['identity']}. Go on with the hf_rap that wrote "
            f"it ({untold}), or give a new folder to ask this model."
        )
    return None


def _same_model(there: Mapping[str, Any], here: Mapping[str, Any], engine: Any) -> bool | None:
    """Whether the settings of that time mean the model of now; None where that is not told."""
    if here.get("adapter") is not None:
        return False  # there were none
    if there.get("weights") is not None:
        return bool(engine.digest_before() == there["weights"]) if hasattr(engine, "digest_before") else None
    if there.get("revision") is not None:
        return bool(here.get("revision") == there["revision"])
    return None if here["model"] == there.get("model") else False
