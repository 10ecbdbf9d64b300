"""What lies in a run folder beside the evidence that is collected now, and why it is not gone on with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hf_rap.stats.settings import NOT_COUNTED, counted, model_in

from .before import KERNEL, OF_THE_MODEL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .folder import RunFolder

_LONGEST = 60  # characters of a value in a sentence


def starts_anew(folder: RunFolder, kind: str, settings: Mapping[str, Any]) -> str | None:
    """The sentence that says why a run which begins here goes on with nothing; None where no such evidence is here.

    Several kinds of settings may lie in one folder, on purpose or because an earlier release wrote some of them in other
    words; the ones that differ least are told.

    Args:
        folder: in which nothing is gone on with.
        kind: of the evidence.
        settings: of now.
    """
    others = []
    for fingerprint in folder.fingerprints():
        manifest = folder.manifest(fingerprint)
        there = manifest.get("settings")
        if manifest.get("kind") == kind and isinstance(there, dict) and folder.parts(fingerprint):
            others.append(_differences(there, settings))
    others.sort(key=len)
    if not others:
        return None
    return (
        f"The run {folder.url!r} holds {kind} that cannot be continued, because other settings made them: "
        f"{'; '.join(others[0])}. It starts anew beside them."
    )


def _differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Each counted setting that differs, in words; the model as people know it."""
    apart = {name for settings in (there, here) for name in settings if name not in counted(settings)}
    names = {*there, *here} if NOT_COUNTED in there else {*there} - {KERNEL}  # earlier releases told less
    models = [model_in(settings) for settings in (there, here)]
    differences = [] if models[0] == models[1] else [f"{models[0]} there, {models[1]} here"]
    for name in sorted(names - apart - {"identity", *OF_THE_MODEL}):
        told = [_shown(settings[name]) if name in settings else "not told" for settings in (there, here)]
        if told[0] != told[1]:
            differences.append(f"{name} is {told[0]} there, {told[1]} here")
    return differences or ["other ones of them counted then"]


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text)} characters)"
