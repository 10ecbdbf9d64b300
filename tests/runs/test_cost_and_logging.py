"""--gpu-hour-price and --trackio on the command line."""

import json
import os
import re
import sqlite3
import subprocess
import sys

import pytest
from click.testing import CliRunner

from hf_rap.cli import cli
from hf_rap.demo import make_planted

STAND_IN = """
import json, os
def note(*what):
    with open(os.environ["CALLS"], "a") as file:
        file.write(json.dumps(what) + "\\n")
def init(*, project, name):
    print("Hello from trackio")
    note("init", project, name)
def log(numbers):
    note("log", numbers)
def finish():
    print("Goodbye from trackio")
    note("finish")
"""


@pytest.fixture
def rows(tmp_path):
    """A file of 24 rows."""
    make_planted(24).to_parquet(tmp_path / "rows.parquet")
    return str(tmp_path / "rows.parquet")


@pytest.mark.parametrize("price", [2.5, 1e7])
def test_the_price_is_hours_times_the_price_of_one(rows, price):
    """Hours are rows by rows per second; the line for people says the same as the JSON."""
    command = ["rollouts", rows, "--model", "demo", "--attempts", "1", "--max-new-tokens", "32", "--dry-run", "6"]
    command += ["--gpu-hour-price", str(price)]
    told = json.loads(CliRunner().invoke(cli, [*command, "--json"], catch_exceptions=False).stdout)
    assert told["rows_per_second"] == pytest.approx(6 / told["seconds_measured"])
    assert told["hours"] == pytest.approx(24 / told["rows_per_second"] / 3600)
    assert told["price"] == pytest.approx(told["hours"] * price)
    shown = CliRunner().invoke(cli, command, catch_exceptions=False).stdout
    rate = float(re.search(r"([\d,.]+) rows/s", shown)[1].replace(",", ""))
    money, an_hour = re.search(r"price +about ([\d,.]+), at ([\d,.]+) an hour on one GPU", shown).groups()
    assert float(money.replace(",", "")) == pytest.approx(24 / rate / 3600 * price, rel=0.01, abs=0.005)
    assert float(an_hour.replace(",", "")) == price


def test_without_a_price_no_money_is_named(rows):
    """The estimate says rows and hours alone."""
    command = ["rollouts", rows, "--model", "demo", "--attempts", "1", "--max-new-tokens", "8", "--dry-run", "2"]
    assert "price" not in CliRunner().invoke(cli, command, catch_exceptions=False).stdout
    told = json.loads(CliRunner().invoke(cli, [*command, "--json"], catch_exceptions=False).stdout)
    assert told["price"] is None


def with_trackio(rows, tmp_path, path, **environment):
    """A run that logs to trackio, in a process of its own."""
    command = [sys.executable, "-m", "hf_rap", "rollouts", rows, "--model", "demo", "--attempts", "1"]
    command += ["--max-new-tokens", "16", "--run", str(tmp_path / "run"), "--trackio", "my-project", "--json"]
    path = os.pathsep.join([*path, *sys.path])
    env = {**os.environ, "PYTHONPATH": path, **environment}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=env, check=False)


@pytest.mark.exhaustive
def test_trackio_gets_the_numbers_of_every_line(rows, tmp_path):
    """A stand-in records the calls: one run of its own, the last line's numbers, the end; stdout stays JSON."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "trackio.py").write_text(STAND_IN)
    done = with_trackio(rows, tmp_path, [str(tmp_path / "modules")], CALLS=str(tmp_path / "calls"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == 24
    assert "Hello from trackio" in done.stderr
    assert "Goodbye from trackio" in done.stderr
    first, logged, last = map(json.loads, (tmp_path / "calls").read_text().splitlines())
    assert first == ["init", "my-project", "rollouts 0"]
    assert last == ["finish"]
    assert logged[0] == "log"
    assert (logged[1]["rows_done"], logged[1]["seconds_left"]) == (24, 0)
    assert set(logged[1]) == {"rows_done", "rows_failed", "rows_per_second", "tokens_per_second", "seconds_left"}


def test_a_missing_trackio_is_said_before_the_model_is_loaded(rows, tmp_path):
    """With the command that installs it."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "trackio.py").write_text("raise ImportError('no such package')")
    done = with_trackio(rows, tmp_path, [str(tmp_path / "modules")])
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.strip().splitlines()[-1] == "hf-rap: --trackio needs trackio: pip install trackio."
    assert not (tmp_path / "run").exists()


def test_the_real_trackio_keeps_the_numbers(rows, tmp_path):
    """What it has stored in its own folder."""
    pytest.importorskip("trackio", reason="trackio is not installed")
    done = with_trackio(rows, tmp_path, [], TRACKIO_DIR=str(tmp_path / "trackio"))
    assert done.returncode == 0, done.stderr
    with sqlite3.connect(tmp_path / "trackio" / "my-project.db") as stored:
        ((name, numbers),) = stored.execute("select run_name, metrics from metrics").fetchall()
    assert (name, json.loads(numbers)["rows_done"]) == ("rollouts 0", 24)
