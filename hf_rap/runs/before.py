"""Runs from before models had an identity: their manifests name a model, and only of folders what was in it.

    "model": "grid-vlm", "revision": null, "weights": "e391ec8b1ba3f2445c3463a6f36bd807", "attention": "sdpa", ...

"weights" is a digest of a folder's files, "revision" the commit of a Hub model or null, "attention" the kernel.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hf_rap.errors import RunError
from hf_rap.stats.settings import NOT_COUNTED, counted, set_apart, settings_in

from .folder import fingerprint_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hf_rap.evidence.collector import Collector

    from .folder import RunFolder

GOES_ON_FROM = "goes_on_from"
"""In a manifest: folders of that time, whose evidence belongs to the fingerprint."""
KERNEL = "attention"
OF_THE_MODEL = ("model", "revision", "weights", "adapter")  # what the identity has taken the place of


def folders_before(folder: RunFolder, collector: Collector, settings: Mapping[str, Any]) -> list[str]:
    """The folders of that time whose evidence is that of this collector: the run goes on from them.

    Raises:
        RunError: everything agrees as far as it is told, but which weights those were is not told, and nothing has been
            collected since.
    """
    here = counted(settings)
    pinned = "identity" in here
    aside = {KERNEL, *settings[NOT_COUNTED], *(OF_THE_MODEL if pinned else ())}
    same, untold = [], None
    for fingerprint in folder.fingerprints():
        manifest = folder.manifest(fingerprint)
        there = manifest.get("settings")
        if manifest.get("kind") != collector.kind or not isinstance(there, dict) or NOT_COUNTED in there:
            continue
        if any(here.get(name) != value for name, value in counted(there).items() if name not in aside):
            continue
        same_model = _same_model(there, settings, getattr(collector, "engine", None)) if pinned else True
        if same_model:
            same.append(fingerprint)
        elif same_model is None:
            untold = str(there.get("hf_rap", "unknown"))
    if untold is not None and not same and fingerprint_of(settings) not in folder.fingerprints():
        raise RunError(
            f"The run {folder.url!r} was written before models had an identity: its manifest names {settings['model']!r} and "
            f"no commit, so nothing tells whether its replies came from {here['identity']}. Go on with the hf_rap that wrote "
            f"it ({untold}), or give a new folder to ask this model."
        )
    return same


def _same_model(there: Mapping[str, Any], here: Mapping[str, Any], engine: Any) -> bool | None:
    """Whether the settings of that time mean the model of now; None where that is not told."""
    if here.get("adapter") is not None:
        return False  # there were none
    if there.get("weights") is not None:
        return bool(engine.digest_before() == there["weights"]) if hasattr(engine, "digest_before") else None
    if there.get("revision") is not None:
        return bool(here.get("revision") == there["revision"])
    return None if here["model"] == there.get("model") else False


def with_identity(row: Mapping[str, Any], engine: Mapping[str, Any]) -> dict[str, Any]:
    """A row of evidence whose settings name the model as those of now do, which is the same one.

    Args:
        row: evidence; its columns of settings are JSON.
        engine: what the engine tells of itself, as it is written down.
    """
    return {name: _retold(value, engine) if name.endswith("_settings") else value for name, value in row.items()}


def _retold(text: str | None, engine: Mapping[str, Any]) -> str | None:
    before = settings_in(text)
    if text is None or NOT_COUNTED in before:
        return text
    kept = {name: value for name, value in before.items() if name not in OF_THE_MODEL}
    if "attn_implementation" in engine and KERNEL in kept:
        kept["attn_implementation"] = kept.pop(KERNEL)
    of_the_model = {name: engine[name] for name in (*OF_THE_MODEL, "identity") if name in engine}
    return json.dumps(set_apart({**counted(engine), **of_the_model, **kept}, *engine[NOT_COUNTED]), sort_keys=True)
