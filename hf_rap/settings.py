"""What `rap_settings` and the manifest of a run hold: which of the settings count, and which model they name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .version import VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

NOT_COUNTED = "not_counted"
"""The names of those that are written down and do not tell evidence apart."""
# These never do, whoever writes them: evidence stays good after an upgrade and on another machine.
_WRITTEN_DOWN = ("device", "transformers", "torch", "hf_rap")
# Settings from before they named those that are not counted: these did not count for a run that keeps replies.
_OF_REPLIES = ("verifier", "verifier_version", "cut", "correct", "max_new_tokens")


def set_apart(settings: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The settings, which say that those with these names are not counted either."""
    apart = {*settings.get(NOT_COUNTED, ()), *_WRITTEN_DOWN, *names} & settings.keys()
    return {**settings, NOT_COUNTED: sorted(apart)}


def noted(settings: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The settings with the version of hf_rap, and with a word in place of an identity where the engine tells none.

    >>> noted({"model": "m"})["identity"]
    'not told by the engine'
    """
    untold = () if "identity" in settings else ("identity",)
    return set_apart({"identity": "not told by the engine", **settings, "hf_rap": VERSION}, *untold, *names)


def counted(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that tell evidence apart.

    >>> counted({"model": "m", "batch_size": 4, "not_counted": ["batch_size"]})
    {'model': 'm'}
    >>> counted({"model": "m", "torch": "2.4"})
    {'model': 'm'}
    """
    apart = settings.get(NOT_COUNTED)
    if apart is None:
        keeps_replies = any(str(name).endswith("_responses") for name in settings.get("writes", ()))
        apart = (*_WRITTEN_DOWN, *(_OF_REPLIES if keeps_replies else ()))
    return {name: value for name, value in settings.items() if name != NOT_COUNTED and name not in apart}


def identity_in(settings: Mapping[str, Any]) -> str | None:
    """What pins the model of these settings; None where they do not tell: a server's, or older ones."""
    identity: str | None = counted(settings).get("identity")
    return identity


def model_in(settings: Mapping[str, Any]) -> str:
    """The model of these settings, for people, with what pins it where that is told.

    >>> model_in({"model": "grid", "identity": "files:12ab"})
    'grid (files:12ab)'
    >>> model_in({"model": "me/grid", "revision": "12ab", "identity": "me/grid@12ab"})
    'me/grid@12ab'
    """
    name, identity = str(settings.get("model") or "unknown model"), identity_in(settings)
    if identity is None:
        return f"{name}@{settings['revision']}" if settings.get("revision") else name
    return identity if identity.startswith(f"{name}@") else f"{name} ({identity})"
