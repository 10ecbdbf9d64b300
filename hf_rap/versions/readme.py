"""A new card over an old README: the user's own words and metadata stay."""

from __future__ import annotations

from typing import Any

from .configs import CONFIGS

BEGIN, END = "<!-- hf-rap: begin -->", "<!-- hf-rap: end -->"
# Lists to which both sides add.
_JOINED = ("tags", "task_categories", "source_datasets")
# Lists of mappings where each config has an entry of its own.
_PER_CONFIG = ("configs", "dataset_info")


def merge_readme(existing: str | None, card: str) -> str:
    """`card` in the place of the generated part of `existing`.

    The generated part stands between two HTML comments, which no page shows. What is outside of them stays; a
    README that has none is the user's as a whole and stays above. Metadata: what the card says goes before what
    was there, but tags and the like are joined, and configs that are not ours stay.
    """
    card_head, card_body = _split(card)
    head, body = _split(existing or "")
    before, begin, rest = body.partition(BEGIN)
    _, _, after = rest.partition(END) if begin else ("", "", "")
    generated = f"{BEGIN}\n\n{card_body.strip()}\n\n{END}"
    text = "\n\n".join(part for part in (before.strip(), generated, after.strip()) if part)
    return f"---\n{_yaml(_merged(head, card_head))}---\n\n{text}\n"


def _split(text: str) -> tuple[dict[str, Any], str]:
    """Metadata and body; a head that is not readable as YAML is dropped, since the Hub refuses it as well."""
    import yaml  # type: ignore[import-untyped]

    text = text.replace("\r\n", "\n").removeprefix("\ufeff")
    if not text.startswith("---\n"):
        return {}, text
    head, mark, body = text[4:].partition("\n---")
    if not mark or body[:1] not in ("", "\n"):
        return {}, text
    try:
        read = yaml.safe_load(head)
    except yaml.YAMLError:
        read = None
    return (read if isinstance(read, dict) else {}), body


def _merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    merged = {**old, **new}
    for name in _JOINED:
        joined = [*_as_list(new.get(name)), *_as_list(old.get(name))]
        if joined:
            merged[name] = list(dict.fromkeys(map(str, joined)))
    for name in _PER_CONFIG:
        ours = _as_list(new.get(name))
        theirs = [
            entry
            for entry in _as_list(old.get(name))
            if isinstance(entry, dict) and entry.get("config_name") not in CONFIGS
        ]
        # Only one config can be the default.
        both = [*ours, *({key: value for key, value in entry.items() if key != "default"} for entry in theirs)]
        if both:
            merged[name] = both
        else:
            merged.pop(name, None)
    return merged


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _yaml(values: dict[str, Any]) -> str:
    import yaml

    text: str = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    return text
