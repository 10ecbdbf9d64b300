"""What was found out about a model on this machine and need not be found out again: in the user's cache folder."""

from __future__ import annotations

import json
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import constants

from hf_rap.system import whole_file

if TYPE_CHECKING:
    from collections.abc import Mapping


def is_remembered(fact: Mapping[str, Any]) -> bool:
    """Whether `remember` was told the same before."""
    try:
        return bool(json.loads(_path(fact).read_text(encoding="utf-8")) == fact)
    except (OSError, ValueError):
        return False


def remember(fact: Mapping[str, Any]) -> None:
    """Notes a fact of JSON-able values. A folder that cannot be written only costs finding it out again."""
    path = _path(fact)
    try:
        with whole_file(path) as file:
            file.write_text(json.dumps(fact, indent=1, sort_keys=True), encoding="utf-8")
    except OSError:
        return


def _path(fact: Mapping[str, Any]) -> Path:
    name = blake2b(json.dumps(fact, sort_keys=True).encode(), digest_size=16).hexdigest()
    return Path(constants.HF_HOME) / "hf_rap" / "checked" / f"{name}.json"
