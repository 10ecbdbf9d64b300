"""What somebody who helps needs to know about an installation, and nothing that is secret.

Versions, the engine and the machine. No environment variables, paths, names of users or hosts.
"""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from .system import cores, memory_bytes
from .version import VERSION

# Not required, but what can be done depends on them; the first two also tell of a version that does not fit transformers.
_BESIDE = ("tokenizers", "safetensors", "torchvision", "vllm", "flash-attn")
_PATH = re.compile(r"""[^\s'"(]*[/\\]([^\s'"():/\\]+)""")


def describe_environment() -> dict[str, Any]:
    """Versions, engine and machine, ready for JSON; None is what is not installed or not known.

    Loads torch and transformers, since only that tells whether they work; if they do not, `["engine"]["fault"]` says why.
    """
    return {
        "hf_rap": VERSION,
        "python": {"version": platform.python_version(), "implementation": platform.python_implementation()},
        "system": {
            "name": platform.system(),
            "release": platform.release(),
            "machine": platform.machine(),
            "cores": cores(),
            "cores_of_machine": os.cpu_count(),
            "memory_bytes": memory_bytes(),
        },
        "engine": _engine(),
        "packages": {name: _version(name) for name in _packages()},
    }


def _engine() -> dict[str, Any]:
    """`describe_devices`, or why torch and transformers cannot be loaded."""
    try:
        from .engines.devices import describe_devices

        return describe_devices()
    # What a library that does not fit, or only half is there, can raise; the command is there to say so.
    except (ImportError, OSError, RuntimeError, AttributeError, TypeError, ValueError) as error:
        first_line = f"{type(error).__name__}: {error}".splitlines()[0]
        nothing = dict.fromkeys(("device", "gpus", "cuda", "rocm"))
        return {"name": "TransformersEngine", **nothing, "fault": without_paths(first_line)}


def without_paths(text: str) -> str:
    """Of every path in `text` its last name alone."""
    # First, since it may hold a space.
    return _PATH.sub(r"\1", text.replace(str(Path.home()), ""))


def _packages() -> list[str]:
    """What hf-rap and its extras ask for, in alphabetical order, then what else matters."""
    try:
        lines = requires("hf-rap") or []
    except PackageNotFoundError:  # a source tree on PYTHONPATH
        lines = ["datasets", "huggingface-hub", "torch", "transformers"]
    names = {re.split(r"[^\w.-]", line, maxsplit=1)[0].replace("_", "-").lower() for line in lines}
    return [*sorted(names), *(name for name in _BESIDE if name not in names)]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
