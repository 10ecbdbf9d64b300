"""`hf-rap dependence` with --run keeps what it has read: killed anywhere and started again it writes the same file, and reads nothing twice."""

import importlib
import os
import signal
import traceback
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from hf_rap import Rollouts, collect_evidence
from hf_rap.cli import cli
from hf_rap.demo import demo_engine, make_planted
from hf_rap.engines.transformers_engine import TransformersEngine
from hf_rap.runs.contents import ID

# The function that is killed as it is called, and how often it may be called.
KILLS = {
    "before the first reply": ("hf_rap.engines.transformers_engine", "TransformersEngine.log_likelihoods", 1),
    # Four arms, each in a call of its own: the third of the second part.
    "in the middle of the second part": ("hf_rap.engines.transformers_engine", "TransformersEngine.log_likelihoods", 7),
    "before the second part is written": ("hf_rap.runs.folder", "RunFolder.write_part", 2),
    "before the file is begun": ("hf_rap.cli.files", "write_file", 1),
    "while the file is written": ("hf_rap.cli.files", "release_mapped_files", 1),
}
ALWAYS = ("in the middle of the second part", "while the file is written")
ROWS, PARTS = 24, 3
OPTIONS = ["--model", "demo", "--arms", "text,blank,shuffled", "--run", "run", "--rows-per-part", str(ROWS // PARTS)]


@pytest.fixture(scope="module")
def evidence(tmp_path_factory):
    """24 planted rows with two replies each, in a file; the model is loaded, for processes that are forked."""
    path = tmp_path_factory.mktemp("rows") / "evidence.parquet"
    collect_evidence(make_planted(ROWS), Rollouts(demo_engine(), attempts=2, max_new_tokens=32)).to_parquet(path)
    return path


def dependence(folder, evidence, *, dies=None):
    """The command in a process of its own, which notes in `log` what it reads; how it ended."""
    child = os.fork()
    if child == 0:  # no pytest in here: leaves without cleaning up, whatever happens
        try:
            os.chdir(folder)
            note_what_is_read()
            if dies is not None:
                die_in(*dies)
            cli.main(["dependence", str(evidence), *OPTIONS, "--out", "read.parquet"], standalone_mode=False)
        except BaseException:
            Path("error").write_text(traceback.format_exc())
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code != 1, (folder / "error").read_text()
    return code


def note_what_is_read():
    """A line for each reply and arm that the model has answered."""
    really = TransformersEngine.log_likelihoods

    def noted(self, replies):
        answers = really(self, replies)
        with Path("log").open("a") as file:
            file.writelines(f"{reply.request.row_id} {reply.request.arm} {reply.text!r}\n" for reply in replies)
        return answers

    TransformersEngine.log_likelihoods = noted


def die_in(module, name, calls):
    """SIGKILL at so many calls of a function."""
    owner = importlib.import_module(module)
    *classes, name = name.split(".")
    for part in classes:
        owner = getattr(owner, part)
    really, called = getattr(owner, name), []

    def dies(*args, **options):
        called.append(1)
        if len(called) == calls:
            os.kill(os.getpid(), signal.SIGKILL)
        return really(*args, **options)

    setattr(owner, name, dies)


def lines_of(folder):
    log = folder / "log"
    return log.read_text().splitlines() if log.exists() else []


def rows_in(run):
    """The rows that are in the parts of a run."""
    return {row for part in run.glob("*/*.parquet") for row in pq.read_table(part)[ID].to_pylist()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory, evidence):
    """What one undisturbed command writes."""
    folder = tmp_path_factory.mktemp("whole")
    assert dependence(folder, evidence) == 0
    return folder


@pytest.mark.parametrize(
    "place", [place if place in ALWAYS else pytest.param(place, marks=pytest.mark.exhaustive) for place in KILLS]
)
def test_a_kill_changes_nothing(tmp_path, evidence, whole, place):
    """The same command again: the same bytes, no reply of a row that was written is read again, and no other one twice."""
    assert dependence(tmp_path, evidence, dies=KILLS[place]) == -signal.SIGKILL
    assert not (tmp_path / "read.parquet").exists()
    before, written = lines_of(tmp_path), rows_in(tmp_path / "run")
    assert dependence(tmp_path, evidence) == 0
    assert (tmp_path / "read.parquet").read_bytes() == (whole / "read.parquet").read_bytes()
    after = lines_of(tmp_path)[len(before) :]
    assert sorted(after) == sorted(line for line in lines_of(whole) if line.split()[0] not in written)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "read.parquet", "run"]
