"""scripts/jobs/select_rows.py as a job starts it: what stops it, and how it goes on after a kill."""

import os
import re
import runpy
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from datasets import Dataset, load_dataset

from hf_rap.demo import make_planted

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "jobs" / "select_rows.py"
TARGET = "user/planted-rap"


def header_of(text):
    """The metadata of a script, as PEP 723 reads it."""
    (block,) = re.findall(r"(?m)^# /// script$\s((?:^#(?:| .*)$\s)+)^# ///$", text)
    return tomllib.loads("".join(line.removeprefix("#").removeprefix(" ") for line in block.splitlines(keepends=True)))


@pytest.fixture
def job(hub, tokens, monkeypatch, capfd):
    """Runs the script in this process as far as it goes, and gives what it becomes, or how it was stopped."""

    def start(*words, token="writer", source="user/source", target=TARGET, run="run", gpu=True):
        import torch

        if token is not None:
            monkeypatch.setenv("HF_TOKEN", tokens[token])
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
        monkeypatch.setattr(sys, "argv", ["select_rows.py", source, target, "--model", "demo", "--run", run, *words])
        became = []
        monkeypatch.setattr(os, "execv", lambda program, command: became.extend(command))
        script = runpy.run_path(str(SCRIPT))
        code = None
        try:
            script["main"]()
        except SystemExit as stopped:
            code = stopped.code
        assert code == (None if became else 2)
        return became or capfd.readouterr().err.splitlines()[-1]

    return start


def test_header_and_card():
    """The dependencies stand where uv reads them, and the card of the scripts repository names the script."""
    text = SCRIPT.read_text(encoding="utf-8")
    compile(text, SCRIPT.name, "exec")
    assert header_of(text) == {
        "requires-python": ">=3.11",
        "dependencies": ["hf-rap", "huggingface_hub>=2.4", "torchvision"],
    }
    card = SCRIPT.with_name("README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nviewer: false\ntags:\n- uv-script\n")
    assert SCRIPT.name in card


def test_without_a_token_it_stops(job, monkeypatch):
    """And says how a job gets one."""
    assert job(token=None).startswith("select_rows: there is no token: add --secrets HF_TOKEN")


def test_a_token_that_may_not_write_stops_it(job, hub, api):
    """One for reading only, and one of somebody else whose repository it is not."""
    assert "the token is for reading only" in job(token="reader")
    api.create_repo(TARGET, repo_type="dataset", private=False)
    assert f"the token of other may not write {TARGET}: 403" in job(token="other")


def test_without_a_gpu_it_stops(job):
    """A model of usual size would take days."""
    assert "there is no GPU: choose a --flavor" in job(gpu=False)


def test_a_run_folder_that_ends_with_the_job_stops_it(job, monkeypatch, tmp_path):
    """In a job, where no bucket is mounted at the folder or above it; a bucket by its URL needs no mount."""
    monkeypatch.setenv("JOB_ID", "1")
    said = job(run=str(tmp_path / "run"))
    assert "would end with the job: mount a bucket" in said
    assert said.endswith("No model was loaded.")


@pytest.fixture
def rows(tmp_path, monkeypatch):
    """A file of 24 planted rows, read by children that know no network."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    make_planted(24).to_parquet(tmp_path / "rows.parquet")
    return str(tmp_path / "rows.parquet")


@pytest.mark.exhaustive
def test_rows_without_answers_stop_it(job, tmp_path, monkeypatch):
    """None of them can be graded."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    ds = make_planted(6)
    ds = ds.map(lambda row: {"answer": None}, features=ds.features)
    ds.to_parquet(tmp_path / "rows.parquet")
    said = job(source=str(tmp_path / "rows.parquet"))
    assert "none of 6 rows can be used (gold_unreadable: 6). No model was loaded." in said


@pytest.mark.exhaustive
def test_more_work_than_the_job_has_time_for_stops_it(job, rows, tmp_path, hub):
    """23 of 24 rows can be used: at a row in 100 seconds they take 2,300 s, which is more than 30 min and less than 1 h."""
    run = str(tmp_path / "run")
    said = job("--rows-per-second", "0.01", source=rows, run=run)
    assert "23 rows take about 0.6 h at 0.01 rows/s (as measured), and the job ends after 0.5 h" in said
    assert ("datasets", TARGET) not in hub.repos
    words = ("--rows-per-second", "0.01", "--job-timeout", "1h", "--images", "images", "--max-new-tokens", "64")
    became = job(*words, source=rows, run=run)
    assert became[1:] == [
        *("-m", "hf_rap", "run", rows, TARGET, "--model", "demo", "--run", run, "--engine", "transformers"),
        *("--attempts", "5", "--version", "1.0.0", "--images", "images", "--max-new-tokens", "64"),
    ]
    assert hub.repo(TARGET).private  # the token was seen to be able to make it
    assert job("--measure", "8", source=rows, run=run)[-2:] == ["--dry-run", "8"]


@pytest.mark.exhaustive
def test_a_job_that_was_killed_goes_on_to_the_same_version(hub, tokens, rows, tmp_path):
    """Killed with -9 when its first part is there; the same line ends where a job that nothing stopped ends."""
    environment = {
        **{name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"},
        "HF_ENDPOINT": hub.url,
        "HF_TOKEN": tokens["writer"],
        "HF_HUB_DISABLE_XET": "1",
        "PYTHONPATH": str(ROOT),
    }

    def command(target, run):
        words = (sys.executable, str(SCRIPT), rows, target, "--model", "demo", "--run", str(tmp_path / run), "--cpu")
        return [*words, "--rows-per-part", "4", "--max-new-tokens", "64", "--replies", "4"]

    def whole(target, run):
        done = subprocess.run(command(target, run), env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done

    with subprocess.Popen(command(TARGET, "killed"), env=environment, stderr=subprocess.PIPE, text=True) as killed:
        while not (parts := list((tmp_path / "killed").glob("*/*.parquet"))):
            assert killed.poll() is None, killed.stderr.read()
            time.sleep(0.02)
        killed.send_signal(signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL
    there = {part.name for part in parts}
    done = whole(TARGET, "killed")
    assert there <= {part.name for part in (tmp_path / "killed").glob("*/*.parquet")}
    assert f"version 1.0.0 of {TARGET} is" in done.stdout
    assert int(re.search(r"select_rows: (\d+) rows to ask", done.stdout)[1]) < 23
    whole("user/in-one-go", "whole")
    versions = [rows_of(name, tokens["writer"], tmp_path) for name in (TARGET, "user/in-one-go")]
    assert versions[0] == versions[1]
    assert len(versions[0]["scored"]) == 24


def rows_of(name, token, folder):
    """The rows of a version on the Hub, by configuration."""
    found = {}
    for config in ("selected", "scored"):
        cache = str(folder / f"cache-{name.replace('/', '-')}")
        ds = load_dataset(name, config, split="train", cache_dir=cache, token=token)
        assert isinstance(ds, Dataset)
        found[config] = ds.remove_columns(
            [name for name in ds.column_names if "image" in name and "rap" not in name]
        ).to_list()
    return found
