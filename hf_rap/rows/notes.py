"""What a folder says of itself, looked at before a library reads it: files of bounded size that name files of the folder alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_rap.errors import SourceError
from hf_rap.options import MAX_JSON_BYTES, ForeignError, read_json_file

from .media import is_own

if TYPE_CHECKING:
    from pathlib import Path

_STATE, _SPLITS = "state.json", "dataset_dict.json"
_NOTES = ("README.md", ".huggingface.yaml", "dataset_infos.json", "dataset_info.json", _STATE, _SPLITS)


def check_notes(folder: Path) -> None:
    """Raise `SourceError` for notes that a library would wait for, or fill the memory with."""
    for name in _NOTES:
        place = folder / name
        if not place.exists():
            continue
        if not place.is_file():
            raise SourceError(f"{folder.name}: its {name} is no regular file.")
        if place.stat().st_size > MAX_JSON_BYTES:
            raise SourceError(
                f"{folder.name}: its {name} has {place.stat().st_size:,} bytes, and at most {MAX_JSON_BYTES:,} are read."
            )


def check_saved(folder: Path) -> None:
    """Raise `SourceError` where a folder of `save_to_disk` takes its rows from elsewhere."""
    if (folder / _SPLITS).is_file():
        splits = _read(folder / _SPLITS).get("splits")
        for split in splits if isinstance(splits, list) else [None]:
            part = folder / _own(folder, _SPLITS, split)
            check_notes(part)
            if (part / _STATE).is_file():
                _check_state(part)
        return
    _check_state(folder)


def _check_state(folder: Path) -> None:
    files = _read(folder / _STATE).get("_data_files")
    for file in files if isinstance(files, list) else [None]:
        place = folder / _own(folder, _STATE, file.get("filename") if isinstance(file, dict) else None)
        if place.exists() and not place.is_file():
            raise SourceError(f"{folder.name}: its {place.name} is no regular file.")


def _read(place: Path) -> dict[str, Any]:
    try:
        return read_json_file(place)
    except ForeignError as error:
        raise SourceError(f"{place.parent.name}: its {place.name} {error}.") from error


def _own(folder: Path, note: str, name: Any) -> str:
    if not isinstance(name, str) or "\0" in name or not is_own(str(folder / name), str(folder)):
        raise SourceError(
            f"{folder.name}: its {note} takes rows from outside of it, or from nowhere, which is not read."
        )
    return name
