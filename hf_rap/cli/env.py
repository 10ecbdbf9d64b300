"""hf-rap env: versions, engine and machine, for a report of a fault."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .options import as_json, command
from .output import print_json, print_pairs

if TYPE_CHECKING:
    from collections.abc import Mapping

_GB = 1e9


@command()
@as_json
def env(*, as_json: bool) -> None:
    """Print versions, engine and machine: what to paste into a report of a fault.

    No environment variables, tokens, paths or names are printed.

    Example: hf-rap env

    In Python: hf_rap.environment.describe_environment()
    """
    from hf_rap.environment import describe_environment

    facts = describe_environment()
    if as_json:
        print_json(facts)
        return
    print_pairs(
        {
            "hf-rap": facts["hf_rap"],
            "Python": f"{facts['python']['version']} ({facts['python']['implementation']})",
            "system": " ".join(facts["system"][part] for part in ("name", "release", "machine")),
            "cores": f"{facts['system']['cores']} of {facts['system']['cores_of_machine']}",
            "memory": _gigabytes(facts["system"]["memory_bytes"]),
            **_engine(facts["engine"]),
            **{name: version or "not installed" for name, version in facts["packages"].items()},
        }
    )


def _engine(engine: Mapping[str, Any]) -> dict[str, str]:
    if engine["fault"]:
        return {"engine": f"{engine['name']} does not load ({engine['fault']})", "GPUs": "unknown"}
    builds = [f"{name} {engine[key]}" for name, key in (("CUDA", "cuda"), ("ROCm", "rocm")) if engine[key]]
    gpus = [f"{gpu['name']}, {_gigabytes(gpu['memory_bytes'])}" for gpu in engine["gpus"]]
    return {
        "engine": f"{engine['name']} on {engine['device']}, torch built {'for ' + builds[0] if builds else 'for the CPU'}",
        "GPUs": "; ".join(gpus) or "none",
    }


def _gigabytes(count: int | None) -> str:
    return "unknown" if count is None else f"{count / _GB:.1f} GB"
