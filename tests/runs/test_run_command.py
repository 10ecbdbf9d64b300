"""`hf-rap run` keeps its evidence: killed anywhere and started again it ends in the same version, and asks nothing twice."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from hf_rap.demo import make_planted

# Notes what is asked, and dies by SIGKILL when the function that is named has been called as often as is said.
CODE = """
import importlib, os, signal, sys
from hf_rap.engines.transformers_engine import TransformersEngine

module, name, calls, log = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
complete = TransformersEngine.complete

def asked(self, requests, sampling):
    answers = complete(self, requests, sampling)
    with open(log, "a") as file:
        file.writelines(f"{request.row_id} {request.arm} {request.first}\\n" for request in requests)
    return answers

TransformersEngine.complete = asked
if module != "-":
    owner = importlib.import_module(module)
    for part in name.split(".")[:-1]:
        owner = getattr(owner, part)
    function = getattr(owner, name.split(".")[-1])

    def dies(*args, **options):
        global calls
        calls -= 1
        if calls <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **options)

    setattr(owner, name.split(".")[-1], dies)
sys.argv = ["hf-rap", *sys.argv[5:]]
from hf_rap.cli import main
main()
"""
KILLS = {
    "while the model is loaded": ("hf_rap.engines.loading", "load_model", 1),
    "while the second part is asked": ("hf_rap.engines.loaded_model", "LoadedModel.complete", 3),
    "before the second part is written": ("hf_rap.runs.folder", "RunFolder.write_part", 2),
    "before it selects": ("hf_rap.select.method", "make_selection", 1),
    "while the version is written": ("hf_rap.versions.folder", "render_card", 1),
    "when the version is there": ("hf_rap.cli.publish", "report_version", 1),
}
OPTIONS = ["--model", "demo", "--max-new-tokens", "32", "--attempts", "2", "--rows-per-part", "8"]
OPTIONS += ["--min-cde", "0", "--min-replacement-cde", "none"]  # of so few attempts something has to be kept


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """24 planted rows in a file."""
    path = tmp_path_factory.mktemp("rows") / "planted.parquet"
    make_planted(24).to_parquet(path)
    return path


def run(cwd, log, rows, *more, dies=("-", "-", 0)):
    words = [*dies[:2], str(dies[2]), str(log), "run", str(rows), *OPTIONS, *more]
    return subprocess.run([sys.executable, "-c", CODE, *words], cwd=cwd, capture_output=True, text=True, check=False)


def lines_of(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


def files_of(folder: Path) -> dict:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory, rows):
    """The version that one undisturbed run makes."""
    folder = tmp_path_factory.mktemp("whole")
    done = run(folder, folder / "log", rows, "--to-folder", "rap")
    assert done.returncode == 0, done.stderr
    return folder


ALWAYS = ("while the version is written",)


@pytest.mark.parametrize(
    "place", [place if place in ALWAYS else pytest.param(place, marks=pytest.mark.exhaustive) for place in KILLS]
)
def test_a_kill_changes_nothing(tmp_path, rows, whole, place):
    """The same command again: the same bytes, and no reply that was written is asked again."""
    log = tmp_path / "log"
    assert run(tmp_path, log, rows, "--to-folder", "rap", dies=KILLS[place]).returncode == -9
    before = lines_of(log)
    written = {
        row for part in (tmp_path / "rap.run").rglob("*.parquet") for row in pq.read_table(part)["rap_id"].to_pylist()
    }
    done = run(tmp_path, log, rows, "--to-folder", "rap")
    assert done.returncode == 0, done.stderr
    assert files_of(tmp_path / "rap") == files_of(whole / "rap")
    after = lines_of(log)[len(before) :]
    assert {line.split()[0] for line in after} == {line.split()[0] for line in lines_of(whole / "log")} - written
    assert len(after) == len(set(after))


@pytest.mark.exhaustive
def test_other_thresholds_ask_nothing(whole, rows):
    """Another rule goes into another folder from the same evidence; a repeated command finds its version."""
    asked = (whole / "log").read_text()
    again = run(whole, whole / "log", rows, "--to-folder", "rap")
    assert again.returncode == 0
    done = run(whole, whole / "log", rows, "--to-folder", "other", "--run", "rap.run", "--keep-easy")
    assert done.returncode == 0, done.stderr
    assert json.loads((whole / "other" / "rap.json").read_text())["facts"]["rule"]["replace_easy"] is False
    assert (whole / "log").read_text() == asked


def test_nothing_selected_leaves_the_evidence(whole, rows):
    """And says where it is."""
    done = run(whole, whole / "log", rows, "--to-folder", "none", "--run", "rap.run", "--min-cde", "1")
    assert done.returncode == 1
    assert "The evidence stays in rap.run: start again with other thresholds" in done.stderr
    assert not (whole / "none").exists()
    assert any((whole / "rap.run").rglob("*.parquet"))


def test_the_end_names_the_evidence(whole):
    """Beside the folder, unless told otherwise."""
    assert (whole / "rap.run" / "run.json").exists()
