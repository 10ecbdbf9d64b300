"""Does this environment hold the oldest version of everything that pyproject.toml allows? Exits with 1 if not.

A bound that another package raises is one that nothing has tried: raise it in pyproject.toml as well.
"""

from __future__ import annotations

import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


def bounds() -> dict[str, Version]:
    """The name of every library that users get -> its lower bound."""
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    requirements = [Requirement(line) for line in lines]
    lowest = {
        each.name: [Version(part.version) for part in each.specifier if part.operator == ">="] for each in requirements
    }
    without = sorted(name for name, found in lowest.items() if len(found) != 1)
    if without:
        raise SystemExit(f"pyproject.toml has no lower bound for {', '.join(without)}.")
    return {name: found[0] for name, found in lowest.items()}


def main() -> None:
    wrong = 0
    for name, bound in bounds().items():
        # 2.13.0+cpu is 2.13.
        installed = Version(Version(version(name)).public)
        wrong += installed != bound
        print(f"{name:<16} {installed!s:<10} {'' if installed == bound else f'pyproject.toml says {bound}'}".rstrip())
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
