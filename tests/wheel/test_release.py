"""What a release rests on: its check, its workflow, the citation, and the forms in which users write to us."""

import io
import re
import runpy
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import click
import pytest
import yaml

from hf_rap.cli import cli
from hf_rap.papers import CITE_RAP
from hf_rap.version import VERSION

ROOT = Path(__file__).parents[2]
WORKFLOWS = ROOT / ".github" / "workflows"
FORMS = sorted(path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def read(path):
    """YAML with every scalar as text, so that the key `on` is not true."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)


@pytest.fixture
def judge(monkeypatch, capsys):
    """Exit code and lines of the check of a release."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["check_release.py", *words])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(ROOT / "scripts" / "check_release.py"), run_name="__main__")
        return int(ended.value.code), capsys.readouterr().out.splitlines()

    return run


def test_files_that_lack_or_hold_too_much_are_refused(judge, tmp_path):
    """A wheel with a test's data, a cache and a key, and an sdist of pages: each is named, the demo model missed."""
    wheel, sdist = tmp_path / "hf_rap-1.0.0-py3-none-any.whl", tmp_path / "hf_rap-1.0.0.tar.gz"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in ("hf_rap/py.typed", "hf_rap/__pycache__/a.pyc", "hf_rap/.env", "tests/data/a.jsonl"):
            archive.writestr(name, "")
    with tarfile.open(sdist, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("hf_rap-1.0.0/docs/page.md"), io.BytesIO())
    code, lines = judge(str(wheel), str(sdist))
    assert code == 1
    excess = [line.split(",")[0].removeprefix("hf_rap-1.0.0") for line in lines if " holds " in line]
    assert excess == [
        "-py3-none-any.whl holds hf_rap/.env",
        "-py3-none-any.whl holds hf_rap/__pycache__/a.pyc",
        "-py3-none-any.whl holds tests/data/a.jsonl",
        ".tar.gz holds docs/page.md",
    ]
    for name in ("hf_rap/demo/grid-vlm/model.safetensors", "hf_rap/cli/recipes/rap.yaml", "licenses/LICENSE"):
        assert f"{wheel.name} lacks {name}." in lines
    assert f"{wheel.name} lacks hf_rap/py.typed." not in lines
    assert f"{sdist.name} lacks hf_rap/py.typed." in lines


def test_a_file_above_the_bound_is_refused(judge, tmp_path):
    """9 MiB where 8 MiB may be."""
    wheel = tmp_path / "hf_rap-1.0.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("hf_rap/large.bin", bytes(9 << 20))
    assert f"{wheel.name} has 9.4 MB; the bound is 8.4 MB." in judge(str(wheel))[1]


@pytest.fixture
def checkout(tmp_path):
    """What a tag is held against, all in order for v1.2.0."""
    (tmp_path / "hf_rap").mkdir()
    (tmp_path / "hf_rap" / "version.py").write_text('VERSION = "1.2.0"\n')
    (tmp_path / "CITATION.cff").write_text("title: hf-rap\nversion: 1.2.0\n")
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## 1.2.0 - 2026-11-27\n\n### Added\n\n- All.\n")
    return tmp_path


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("README.md", "", None),
        ("hf_rap/version.py", 'VERSION = "1.2.1"\n', "a release of it has the tag v1.2.1"),
        ("CITATION.cff", "version: 1.1.0\n", "CITATION.cff does not say `version: 1.2.0`."),
        ("CHANGELOG.md", "## Unreleased\n\n- All.\n", "CHANGELOG.md has no `## 1.2.0 - "),
        ("CHANGELOG.md", "## 1.2.0 - 2026-11-27\n\n## 1.1.0 - 2026-01-01\n\n- All.\n", "CHANGELOG.md has no `## 1.2.0"),
    ],
)
def test_a_tag_is_held_against_version_changelog_and_citation(judge, checkout, file, text, said):
    """Each that does not agree is a sentence; without files, the one about them is the last of a good tag."""
    (checkout / file).write_text(text)
    code, lines = judge("--root", str(checkout), "--tag", "v1.2.0")
    assert code == 1
    lines.remove("A release is one wheel and one sdist, not [].")
    if said is None:
        assert lines == []
    else:
        assert any(said in line for line in lines), lines


def test_the_page_of_the_package_leads_into_the_repository(judge, tmp_path):
    """Pages and pictures by their own addresses, and only those that were relative; without the address it is refused."""
    pytest.importorskip("hatchling", reason="makes the page")
    hook = runpy.run_path(str(ROOT / "hatch_build.py"))["WholeLinks"](str(tmp_path), {})
    (tmp_path / "README.md").write_text("[a](docs/a.md#b) ![p](docs/p.png) [c](#c) [d](https://d.org/e)\n")
    home = "https://github.com/us/hf-rap"
    urls = {"Repository": home, "Changelog": f"{home}/blob/main/CHANGELOG.md"}
    said = {}
    for name, given in (("whole", urls), ("relative", {})):
        facts = {"urls": given}
        hook.update(facts)
        said[name] = facts["readme"]["text"]
        wheel = tmp_path / f"{name}.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            head = "".join(f"Project-URL: {label}, {url}\n" for label, url in given.items())
            archive.writestr("hf_rap-1.0.0.dist-info/METADATA", f"Name: hf-rap\n{head}\n{said[name]}")
        said[f"{name} judged"] = [line for line in judge("--repository", "us/hf-rap", str(wheel))[1] if "link" in line]
    assert said["whole"] == (
        "[a](https://github.com/us/hf-rap/blob/main/docs/a.md#b) "
        "![p](https://raw.githubusercontent.com/us/hf-rap/main/docs/p.png) [c](#c) [d](https://d.org/e)\n"
    )
    assert said["whole judged"] == []
    assert said["relative judged"][0].startswith(f"The wheel has no link Repository to {home}: ")
    assert said["relative judged"][2] == ("The page of the package has 2 links that lead nowhere, docs/a.md#b first.")


def test_citation_agrees_with_the_package_and_the_paper():
    """The version, licence and keywords of pyproject.toml, and the paper as cards cite it."""
    facts = read(ROOT / "CITATION.cff")
    assert facts["cff-version"] == "1.2.0"
    assert (facts["title"], facts["version"], facts["license"]) == (PROJECT["name"], VERSION, PROJECT["license"])
    assert facts["keywords"] == PROJECT["keywords"]
    assert facts["authors"] == PROJECT["authors"]
    (paper,) = facts["references"]
    assert f"title={{{paper['title']}}}" in CITE_RAP
    assert f"journal={{{paper['journal']}}}" in CITE_RAP
    assert f"year={{{paper['year']}}}" in CITE_RAP
    assert paper["url"] == PROJECT["urls"]["Paper"]


def test_classifiers_name_the_pythons_that_are_tested():
    """Those of the matrix in the workflow of the tests, and no other."""
    tested = read(WORKFLOWS / "tests.yml")["jobs"]["locked"]["strategy"]["matrix"]["python"]
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert named == tested


def test_only_the_job_that_uploads_can_speak_for_the_project():
    """It runs after all others, has no checkout, no command and no secret; all others can only read."""
    text = (WORKFLOWS / "release.yml").read_text(encoding="utf-8")
    flow = read(WORKFLOWS / "release.yml")
    assert flow["on"] == {"push": {"tags": ["v*"]}}
    assert flow["permissions"] == {"contents": "read"}
    publish = flow["jobs"].pop("publish")
    assert publish["permissions"] == {"id-token": "write"}
    assert publish["environment"]["name"] == "pypi"
    assert set(publish["needs"]) == set(flow["jobs"])
    assert [step["uses"].partition("@")[0] for step in publish["steps"]] == [
        "actions/download-artifact",
        "pypa/gh-action-pypi-publish",
    ]
    assert not any("permissions" in job for job in flow["jobs"].values())
    assert "secrets." not in text
    assert not any("${{" in step.get("run", "") for job in flow["jobs"].values() for step in job["steps"])


def test_every_action_of_the_release_is_a_commit():
    """With the version that it is beside it, for whoever moves it."""
    uses = re.findall(r"uses: (.*)", (WORKFLOWS / "release.yml").read_text(encoding="utf-8"))
    assert len(uses) == 9
    assert [use for use in uses if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+.*", use)] == []


def test_the_workflow_runs_targets_and_commands_that_exist():
    """The tag reaches the check through the environment, never as text of a command."""
    jobs = read(WORKFLOWS / "release.yml")["jobs"]
    steps = [step for job in jobs.values() for step in job["steps"] if "run" in step]
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    made = [step["run"].removeprefix("make ") for step in steps if step["run"].startswith("make ")]
    assert made == ["test", "check-release"]
    assert set(made) <= set(targets)
    assert {name for step in steps for name in re.findall(r"hf-rap ([a-z-]+)", step["run"])} == {"env", "demo"}
    (check,) = [step for step in steps if step["run"] == "make check-release"]
    assert check["env"] == {"TAG": "${{ github.ref_name }}", "REPOSITORY": "${{ github.repository }}"}


def test_tools_of_the_release_are_pinned():
    """One version each."""
    lines = (ROOT / "scripts" / "requirements" / "release.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert set(pins) == {"build", "hatchling", "twine"}
    assert int(pins["twine"].split(".")[0]) >= 7


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_forms_ask_for_the_environment_in_commands_that_exist(form):
    """The parts that GitHub knows, each id once, and every command and option is one of ours."""
    facts = read(form)
    assert set(facts) == {"name", "description", "title", "labels", "body"}
    fields = [each for each in facts["body"] if each["type"] != "markdown"]
    assert {each["type"] for each in fields} <= {"input", "textarea", "dropdown"}
    labels = {each["id"]: each["attributes"]["label"] for each in fields}
    assert len(labels) == len(fields) == len(set(labels.values()))
    assert labels["env"] == "What `hf-rap env` prints"
    # A question may come before the package is installed.
    required = {each["id"] for each in fields if each.get("validations", {}).get("required") == "true"}
    assert ("env" in required) == (form.stem != "question")
    for line in re.findall(r"`hf-rap ([a-z][^`]*)`", form.read_text(encoding="utf-8")):
        command = cli.get_command(click.Context(cli), line.split()[0])
        assert command is not None, line
        options = {spelling for each in command.params for spelling in each.opts}
        assert {word for word in line.split() if word.startswith("-")} <= options, line


def test_there_is_a_form_for_each_and_no_blank_one():
    """Faults, data that is read wrongly, questions."""
    assert [form.stem for form in FORMS] == ["bug", "data", "question"]
    assert read(ROOT / ".github" / "ISSUE_TEMPLATE" / "config.yml") == {"blank_issues_enabled": "false"}
