"""The wheel: what is in it, and that it works where neither this repository nor its tools are."""

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from datasets import load_dataset
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "hf_rap"

pytest.importorskip("hatchling", reason="builds the wheel")


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """A folder with wheel and sdist, built from this checkout by the same backend as `pip wheel`."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-d", str(folder), cwd=ROOT)
    return folder


@pytest.fixture(scope="module")
def wheel(dist):
    return next(dist.glob("*.whl"))


def run(*words, cwd, **variables):
    """What the command prints on stdout; without a Hub, and without the places where this test's Python looks."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "HF_"))}
    env = {**kept, "HF_HUB_OFFLINE": "1", **variables}
    done = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Environment:
    """A fresh virtual environment with the wheel and links to what it asks for: no tool, no extra, no repository."""

    def __init__(self, folder, wheel):
        venv.create(folder, with_pip=True)
        places = sysconfig.get_paths("venv", vars={"base": str(folder), "platbase": str(folder)})
        self.scripts, self.site = Path(places["scripts"]), Path(places["purelib"])
        run(
            self.scripts / "python",
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-index",
            "--no-deps",
            str(wheel),
            cwd=folder,
        )
        (info,) = self.site.glob("hf_rap-*.dist-info")
        link(needed(Distribution.at(info)), self.site)


def needed(asking, extras=frozenset([""]), known=None):
    """What a distribution asks for with these extras, and what that asks for: name -> distribution."""
    known = {} if known is None else known
    for line in asking.requires or []:
        requirement = Requirement(line)
        if not any(requirement.marker is None or requirement.marker.evaluate({"extra": extra}) for extra in extras):
            continue
        found = distribution(requirement.name)
        key = (found.name, frozenset(requirement.extras))
        if key not in known:
            known[key] = found
            needed(found, frozenset(["", *requirement.extras]), known)
    return known


def link(distributions, site):
    """Every file and folder of these distributions, as in this test's own environment."""
    for each in distributions.values():
        for top in {file.parts[0] for file in each.files} - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(each.locate_file(top))


@pytest.fixture(scope="module")
def bare(wheel, tmp_path_factory):
    """The environment that a user has after `pip install hf-rap`."""
    return Environment(tmp_path_factory.mktemp("bare"), wheel)


def test_wheel_holds_the_package_and_nothing_else(wheel):
    """Every file below hf_rap, the weights and the template of the card among them; no tests, no caches."""
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    there = {path.relative_to(ROOT).as_posix() for path in PACKAGE.rglob("*") if path.is_file()}
    assert held == {name for name in there if "__pycache__" not in name}
    assert {"hf_rap/demo/grid-vlm/model.safetensors", "hf_rap/versions/templates/card.md", "hf_rap/py.typed"} <= held


def test_sdist_holds_what_the_wheel_is_made_from(dist, wheel):
    """The same package, what describes it, and no test, page or benchmark."""
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    with zipfile.ZipFile(wheel) as archive:
        package = {name for name in archive.namelist() if ".dist-info/" not in name}
    beside = {
        "PKG-INFO",
        "README.md",
        "CHANGELOG.md",
        "CITATION.cff",
        "LICENSE",
        "pyproject.toml",
        "hatch_build.py",
        ".gitignore",
    }
    assert names == package | beside


def test_both_may_go_out(dist):
    """What a release asks of its files; the metadata are those that every upload tool reads, with the licence."""
    files = sorted(map(str, dist.iterdir()))
    assert run(sys.executable, "scripts/check_release.py", *files, cwd=ROOT) == "2 files may go out.\n"
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as archive:
        (facts,) = [archive.read(name).decode() for name in archive.namelist() if name.endswith("/METADATA")]
    assert facts.startswith("Metadata-Version: 2.4\nName: hf-rap\n")
    assert "\nLicense-Expression: Apache-2.0\nLicense-File: LICENSE\n" in facts


@pytest.mark.exhaustive
def test_demo_runs_from_the_wheel(bare, tmp_path):
    """The small model sees: it answers the questions that need the image with it, and not without; the version opens."""
    printed = run(bare.scripts / "hf-rap", "demo", "--rows", "120", cwd=tmp_path, OMP_NUM_THREADS="1")
    row = re.search(r"^needs_image +36 +\d+ +(\d+)% +(\d+)%$", printed, flags=re.MULTILINE)
    assert row, printed
    assert int(row[1]) > 65
    assert int(row[2]) < 30
    assert len(load_dataset(str(tmp_path / "rap-demo"), "scored", split="train")) == 120
    assert (tmp_path / "rap-demo" / "README.md").read_text().startswith("---\n")


@pytest.mark.slow
def test_every_command_starts_from_the_wheel(bare, tmp_path):
    """None needs a library that only development or an extra brings, and the package is the installed one."""
    code = """
import importlib.util, pathlib, sys
import click.testing, hf_rap, hf_rap.cli
assert pathlib.Path(hf_rap.__file__).is_relative_to(sys.prefix), hf_rap.__file__
assert not [name for name in ("pytest", "ray", "trl", "evaluate", "hatchling") if importlib.util.find_spec(name)]
context = click.Context(hf_rap.cli.cli)
for name in hf_rap.cli.cli.list_commands(context):
    done = click.testing.CliRunner().invoke(hf_rap.cli.cli, [name, "--help"], catch_exceptions=False)
    assert done.exit_code == 0, (name, done.output)
    print(name)
"""
    names = run(bare.scripts / "python", "-c", code, cwd=tmp_path).split()
    assert {"demo", "run", "publish", "env"} <= set(names)
    assert "not installed" in run(bare.scripts / "hf-rap", "env", cwd=tmp_path)


@pytest.mark.exhaustive
def test_metrics_load_from_the_wheel(bare, tmp_path):
    """`evaluate` finds the files of all three; 1 of 2 replies is right."""
    site = tmp_path / "site"
    site.mkdir()
    link({"evaluate": distribution("evaluate"), **needed(distribution("evaluate"))}, site)
    code = """
import evaluate
from hf_rap.metrics import METRICS, metric_path
loaded = {name: evaluate.load(metric_path(name)) for name in METRICS}
print(loaded["pass_at_k"].compute(predictions=[["5", "6"]], references=[["5"]], k=[1]))
"""
    printed = run(bare.scripts / "python", "-c", code, cwd=tmp_path, PYTHONPATH=str(site), HF_HOME=str(tmp_path / "hf"))
    assert printed == "{'pass@1': 0.5, 'questions@1': 1}\n"
