"""Whether a checkpoint holds the weights that its model has, all of them and no others."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from hf_rap.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_SHOWN = 3


def refuse_wrong_weights(
    where: str, model: Any, loading_info: Mapping[str, Any], allowed: Collection[str]
) -> list[str]:
    """Raise where weights are missing, which would then be random, or are left over: they belong to another model.

    Args:
        where: the checkpoint, for people.
        model: what it was loaded into.
        loading_info: `output_loading_info` of `from_pretrained`.
        allowed: names or patterns (`visual.*`) of weights that may be missing or left over.

    Returns:
        Names of weights that are missing and may be: they are random.

    Raises:
        EngineError: others are missing or left over, or have another shape.

    """
    kinds = {
        kind: sorted(map(_name, loading_info.get(f"{kind}_keys") or ()))
        for kind in ("missing", "mismatched", "unexpected")
    }
    wrong = {
        kind: [name for name in names if not any(fnmatchcase(name, pattern) for pattern in allowed)]
        for kind, names in kinds.items()
    }
    words = {"missing": "are missing, and would be random", "mismatched": "have another shape"}
    words["unexpected"] = "have no place in it, and would be left out"
    if any(wrong.values()):
        said = "; ".join(f"{len(names):,} {words[kind]} ({_some(names)})" for kind, names in wrong.items() if names)
        raise EngineError(
            f"The weights of {where!r} are not those of a {type(model).__name__}: {said}. The checkpoint was saved from "
            "another model, or by a version of transformers that names them otherwise. Weights that may be missing or left "
            "over are named with allow_missing (--allow-missing), patterns such as 'visual.*' too."
        )
    return [*kinds["missing"], *kinds["mismatched"]]


def _name(key: Any) -> str:
    """Names come with shapes where shapes are the fault."""
    return key if isinstance(key, str) else str(key[0])


def _some(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
