"""docs/compatibility.md, constraints.txt and the workflow say what pyproject.toml and the Makefile say."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
PAGE = (ROOT / "docs" / "compatibility.md").read_text(encoding="utf-8")
WORKFLOW = ROOT / ".github" / "workflows" / "tests.yml"


def asked_for():
    """Name -> requirement, of users, their extras and of development."""
    extras = [line for extra in PROJECT["optional-dependencies"].values() for line in extra]
    lines = [*PROJECT["dependencies"], *extras, *PYPROJECT["dependency-groups"]["dev"]]
    return {canonicalize_name(found.name): found for found in map(Requirement, lines)}


def locked():
    """Name -> version in constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = [Requirement(line) for line in lines if not line.lstrip().startswith("#")]
    return {canonicalize_name(each.name): Version(str(each.specifier).removeprefix("==")) for each in found}


def test_the_lock_holds_everything_but_torch():
    """`make lock` was run after the last change of a bound; no line asks a machine for CUDA."""
    held = locked()
    missing = {name for name, asked in asked_for().items() if name not in held or held[name] not in asked.specifier}
    assert missing == {"torch"}
    assert [name for name in held if re.search(r"torch|nvidia|triton|cuda", name)] == []


def test_torch_of_the_makefile_is_one_that_users_may_have():
    """One line, an exact version, within the bounds."""
    (version,) = re.findall(r"^TORCH := torch==(\S+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert asked_for()["torch"].specifier.contains(version)


def test_every_lower_bound_is_on_the_page():
    """Name and bound; and nothing there that is not asked for."""
    rows = dict(re.findall(r"^\| `([\w-]+)` \| ([\d.]+) \| .+ \|$", PAGE, re.MULTILINE))
    dev = {canonicalize_name(Requirement(line).name) for line in PYPROJECT["dependency-groups"]["dev"]}
    bounds = {
        name: next(part.version for part in asked.specifier if part.operator == ">=")
        for name, asked in asked_for().items()
        if name not in dev
    }
    assert rows == bounds


def test_the_pythons_are_the_same_everywhere():
    """Classifiers, page and workflow."""
    named = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", line)]
    assert PROJECT["requires-python"] == f">={named[0]}"
    assert (
        yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]["locked"]["strategy"]["matrix"]["python"] == named
    )
    assert [f"| Python {each} |" in PAGE for each in named] == [True] * len(named)


def steps():
    """What the workflow runs, line by line."""
    jobs = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]
    return "\n".join(step["run"] for job in jobs.values() for step in job["steps"] if "run" in step)


@pytest.mark.parametrize("target", re.findall(r"make ([\w-]+)", steps()))
def test_the_workflow_runs_targets_that_are_there(target):
    """A renamed target would be found by nobody here."""
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("path", re.findall(r"(?:--ignore=|^)((?:tests|scripts)/[\w/.]+)", steps(), re.MULTILINE))
def test_the_workflow_names_files_that_are_there(path):
    """What is left out on macOS and Windows still goes by that name."""
    assert (ROOT / path).exists()
