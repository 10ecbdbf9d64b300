"""vLLM's processes end with ours, and a run goes on; the command from rows to a version."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from datasets import Dataset

from hf_rap.demo import make_planted

from .evidence import check_same

psutil = pytest.importorskip("psutil")
pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
MODEL = ("--engine", "vllm", "--model", "demo", "--max-new-tokens", "64")
EAGER = ("--vllm-options", '{"enforce_eager": true, "max_num_seqs": 64}')
LONGEST = 900  # seconds, on a machine that does other things too


def started(folder, *words, err=subprocess.PIPE):
    """A command in a folder."""
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "hf_rap", *words]
    around = {**os.environ, "PYTHONPATH": paths}
    return subprocess.Popen(command, cwd=folder, env=around, stdout=subprocess.PIPE, stderr=err, text=True)


def is_gone(process):
    """It has ended, whether or not somebody has waited for it."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_kill_leaves_no_process_and_the_run_goes_on(tmp_path, planted, expected):
    """kill -9 between two parts; then the whole of `hf-rap run`, whose evidence is that of transformers."""
    planted.to_parquet(tmp_path / "rows.parquet")
    words = ("run", "rows.parquet", "--to-folder", "version", "--rows-per-part", "10", *MODEL, *EAGER)
    command = started(tmp_path, *words)
    deadline = time.monotonic() + LONGEST
    while not list(tmp_path.glob("version.run/**/*.parquet")) and time.monotonic() < deadline:
        assert command.poll() is None, command.communicate()
        time.sleep(0.02)
    below = psutil.Process(command.pid).children(recursive=True)
    assert any("VLLM" in " ".join(process.cmdline()) for process in below), below
    command.send_signal(signal.SIGKILL)
    command.wait()
    deadline = time.monotonic() + 20
    while not all(map(is_gone, below)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [process for process in below if not is_gone(process)] == []
    parts = {path: path.read_bytes() for path in tmp_path.glob("version.run/**/*.parquet")}

    again = started(tmp_path, *words, "--json")
    out, err = again.communicate(timeout=LONGEST)
    assert again.returncode == 0, err
    print(err)
    json.loads(out)  # nothing that vLLM prints comes between
    assert all(path.read_bytes() == content for path, content in parts.items())
    assert len(parts) < 30
    assert (tmp_path / "version" / "README.md").is_file()
    from datasets import load_dataset

    scored = load_dataset(str(tmp_path / "version"), "scored", split="train")
    columns = [name for name in expected.column_names if name in scored.column_names]
    order = {name: place for place, name in enumerate(scored["id"])}
    check_same(
        scored.select([order[name] for name in expected["id"]]).select_columns(columns),
        expected.select_columns(columns),
    )


def test_a_signal_keeps_what_is_answered(tmp_path):
    """As everywhere: SIGINT to the whole group, as a terminal sends it, stops, and what is done is in the run."""
    make_planted(60).to_parquet(tmp_path / "rows.parquet")
    command = subprocess.Popen(
        [
            *(sys.executable, "-m", "hf_rap", "rollouts", "rows.parquet", "--run", "kept", "--rows-per-part", "5"),
            *MODEL,
            *EAGER,
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + LONGEST
    while not list(tmp_path.glob("kept/**/*.parquet")) and time.monotonic() < deadline:
        assert command.poll() is None, command.communicate()
        time.sleep(0.02)
    os.killpg(command.pid, signal.SIGINT)
    _, err = command.communicate(timeout=LONGEST)
    assert command.returncode == 1
    assert "hf-rap: Stopped as asked" in err


def test_vllm_that_is_killed_stops_the_run_and_is_not_started_again_by_it(tmp_path):
    """kill -9 of its process between two parts: one sentence, one start, and the same command goes on."""
    make_planted(120).to_parquet(tmp_path / "rows.parquet")
    words = ("rollouts", "rows.parquet", "--run", "kept", "--rows-per-part", "10", *MODEL, *EAGER)
    with (tmp_path / "err").open("w") as err:
        command = started(tmp_path, *words, err=err)
    engines = set()

    def look():
        below = psutil.Process(command.pid).children(recursive=True)
        engines.update(process for process in below if "EngineCore" in " ".join(process.cmdline()))

    deadline = time.monotonic() + LONGEST
    while not list(tmp_path.glob("kept/**/*.parquet")) and time.monotonic() < deadline:
        assert command.poll() is None, (tmp_path / "err").read_text()
        time.sleep(0.02)
    look()
    (killed,) = engines
    killed.kill()
    while command.poll() is None and time.monotonic() < deadline:
        with suppress(psutil.Error):
            look()
        time.sleep(0.05)
    told = (tmp_path / "err").read_text()
    assert command.returncode == 1
    assert told.splitlines()[-1].startswith("hf-rap: vLLM has stopped while it ran"), told
    assert engines == {killed}
    parts = {path: path.read_bytes() for path in tmp_path.glob("kept/**/*.parquet")}
    assert 0 < len(parts) < 12
    again = started(tmp_path, *words, "--out", "evidence.parquet")
    _, err = again.communicate(timeout=LONGEST)
    assert again.returncode == 0, err
    assert all(path.read_bytes() == content for path, content in parts.items())
    assert len(Dataset.from_parquet(str(tmp_path / "evidence.parquet"))) == 120


NO_START = """
import os, psutil
from hf_rap import VLLMEngine
from hf_rap.demo import MODEL
from hf_rap.errors import EngineError

if __name__ == "__main__":
    for timeout, space in (3, "1"), (900, str(psutil.virtual_memory().total >> 30)), (900, "100000"):
        os.environ["VLLM_CPU_KVCACHE_SPACE"] = space
        try:
            VLLMEngine(str(MODEL), enforce_eager=True, max_num_seqs=64, start_timeout=timeout).load()
        except EngineError as error:
            below = [" ".join(process.cmdline()) for process in psutil.Process().children(recursive=True)]
            print(error, [line[:40] for line in below if "resource_tracker" not in line], flush=True)
"""


def script_ended(text, folder):
    """A script of a user, in a process of its own, to its end."""
    (folder / "script.py").write_text(text)
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, "script.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )


def test_start_that_does_not_end_or_fails_is_one_sentence(tmp_path):
    """After its time; where a process of vLLM finds too little memory, and waits for one of its own; and before it begins."""
    done = script_ended(NO_START, tmp_path)
    late, fails, refused = done.stdout.splitlines()
    assert "vLLM has not started" in late
    assert "within start_timeout=3 seconds, and its processes are ended" in late
    assert late.endswith(" []")
    assert "vLLM cannot load" in fails
    assert fails.endswith(" []")
    assert "VLLM_CPU_KVCACHE_SPACE=100000 gives vLLM 100,000 GiB" in refused


SCRIPT = """
from hf_rap import Rollouts, VLLMEngine, collect_evidence
from hf_rap.demo import MODEL, make_planted

if __name__ == "__main__":
    engine = VLLMEngine(str(MODEL), enforce_eager=True, max_num_seqs=64)
    engine.load()
    print(collect_evidence(make_planted(6), Rollouts(engine, attempts=1, max_new_tokens=16))["rap_error"][0])
"""


def test_script_that_closes_nothing_ends_in_peace(tmp_path):
    """vLLM is ended before its own libraries take its processes away, which it would report as a failure."""
    done = script_ended(SCRIPT, tmp_path)
    assert (done.returncode, done.stdout) == (0, "None\n"), done.stderr
    assert "ERROR" not in done.stderr
    assert "killing" not in done.stderr


def test_ray_actor_runs_vllm(tmp_path, planted, expected):
    """`--ray`: an actor starts vLLM and writes its parts; in the end nothing of it is left."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'hf-rap[ray]'")
    planted.select(range(60)).to_parquet(tmp_path / "rows.parquet")
    words = (
        "rollouts",
        "rows.parquet",
        "--run",
        "run",
        "--rows-per-part",
        "20",
        "--ray",
        "local",
        "--ray-workers",
        "1",
    )
    below = {}
    with (tmp_path / "err").open("w") as err:
        command = started(tmp_path, *words, "--out", "evidence.parquet", *MODEL, *EAGER, err=err)
        while command.poll() is None:
            below |= {process.pid: process for process in psutil.Process(command.pid).children(recursive=True)}
            time.sleep(0.5)
    assert command.returncode == 0, (tmp_path / "err").read_text()
    assert len(list(tmp_path.glob("run/**/*.parquet"))) == 3
    ours = Dataset.from_parquet(str(tmp_path / "evidence.parquet"))
    check_same(ours.select_columns(expected.column_names), expected.select(range(60)))
    deadline = time.monotonic() + 20
    while not all(map(is_gone, below.values())) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [process for process in below.values() if not is_gone(process)] == []
