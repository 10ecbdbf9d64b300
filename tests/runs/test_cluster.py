"""A run on a Ray cluster of two nodes on this machine, one of which dies half-way; Ctrl-C; and the command line."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import datasets
import pytest
from stubs import Stub, make_rows, stub_rollouts

from hf_rap import Attention, Rollouts, StepRewards, collect_evidence, collect_in_run, list_runs
from hf_rap.demo import demo_engine, make_planted
from hf_rap.errors import RunError, SettingError
from hf_rap.process import one_row_per_response
from hf_rap.runs.fill import Run

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'hf-rap[ray]'")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster():
    """Two nodes with one CPU each, and a head that computes nothing."""
    from ray.cluster_utils import Cluster

    here = str(Path(__file__).parent)
    os.environ["PYTHONPATH"] = os.pathsep.join([*sys.path, here])  # workers import the stub and this hf_rap
    os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    nodes = [made.add_node(num_cpus=1) for _ in range(2)]
    ray.init(address=made.address, log_to_driver=False)
    made.wait_for_nodes()
    yield made, nodes
    ray.shutdown()
    made.shutdown()


def test_two_workers_give_the_same_as_one_process(cluster, tmp_path):
    """Parts are written by the workers; the evidence is that of collect_evidence."""
    from hf_rap.runs.cluster import fill_on_ray

    ds = make_rows(60)
    with Run(ds, stub_rollouts(), str(tmp_path / "run"), rows_per_part=5) as run:
        assert fill_on_ray(run, workers=2).done == 60
        assert run.read().to_list() == collect_evidence(ds, stub_rollouts()).to_list()


@pytest.mark.exhaustive
def test_attention_and_step_scores_go_over_the_cluster_too(cluster, tmp_path):
    """The stored replies travel with the rows; both kinds lie in one run folder."""
    from hf_rap.runs.cluster import fill_on_ray

    replies = collect_evidence(make_rows(30), stub_rollouts(2))
    responses = one_row_per_response(replies)
    for ds, collector in ((replies, Attention(Stub())), (responses, StepRewards(Stub(), continuations=2))):
        with Run(ds, collector, str(tmp_path / "run"), rows_per_part=5) as run:
            assert fill_on_ray(run, workers=2).done > 0
            assert run.read().to_list() == collect_evidence(ds, collector).to_list()
    assert {held.kind for held in list_runs(str(tmp_path / "run"))} == {"attention", "step scores"}


@pytest.mark.exhaustive
def test_a_node_that_dies_costs_no_row(cluster, tmp_path):
    """Half-way one of the two nodes is killed; its rows are done again by the other."""
    from hf_rap.runs.cluster import fill_on_ray

    made, nodes = cluster
    ds = make_rows(200)
    folder = tmp_path / "run"
    rollouts = Rollouts(Stub(seconds=0.05, log=str(tmp_path / "asked")), attempts=2)

    def kill():
        while len(list(folder.glob("*/*.parquet"))) < 8:
            time.sleep(0.05)
        made.remove_node(nodes[1], allow_graceful=False)

    killer = threading.Thread(target=kill)
    with Run(ds, rollouts, str(folder), rows_per_part=5) as run:
        killer.start()
        done = fill_on_ray(run, workers=2)
        killer.join()
        assert done.done == 200
        assert run.read().to_list() == collect_evidence(ds, stub_rollouts(2)).to_list()
    (held,) = list_runs(str(folder))
    assert held.rows == 200


@pytest.mark.exhaustive
def test_faults_are_said_before_work_starts(cluster, tmp_path):
    """No workers, and a run that is broken as a whole."""
    from hf_rap.runs.cluster import fill_on_ray

    with Run(make_rows(40), stub_rollouts(fails_on="How"), str(tmp_path / "run"), rows_per_part=40) as run:
        with pytest.raises(SettingError, match="workers is 0: it takes a whole number of 1 or more"):
            fill_on_ray(run, workers=0)
        with pytest.raises(RunError, match="40 of 40 rows failed"):
            fill_on_ray(run, workers=1)


ON_RAY = """
import sys
from stubs import Stub, make_rows
from hf_rap import Rollouts
from hf_rap.runs.fill import Run
from hf_rap.cli import main
from hf_rap.runs.cluster import fill_on_ray
with Run(make_rows(400), Rollouts(Stub(seconds=0.05), attempts=2), sys.argv[1], rows_per_part=10) as run:
    fill_on_ray(run, "local", workers=2)
"""


def environment():
    """Of a process whose Ray workers import the stub and this hf_rap."""
    here = str(Path(__file__).parent)
    path = os.pathsep.join([*sys.path, here])
    return {**os.environ, "PYTHONPATH": path, "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0", "OMP_NUM_THREADS": "1"}


@pytest.mark.exhaustive
def test_ctrl_c_finishes_the_parts_in_flight(tmp_path):
    """As on a terminal, all processes of the group get the signal; the next call does the rest."""
    run = tmp_path / "run"
    child = subprocess.Popen(
        [sys.executable, "-c", ON_RAY, str(run)],
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,
    )
    try:
        while len(list(run.glob("*/*.parquet"))) < 3:
            assert child.poll() is None, child.stderr.read()
            time.sleep(0.05)
        before = len(list(run.glob("*/*.parquet")))
        os.killpg(child.pid, signal.SIGINT)
        _, told = child.communicate(timeout=90)
    finally:
        child.kill()
    assert child.returncode == 1
    assert "Finishing the parts in flight" in told
    (held,) = list_runs(str(run))
    assert f"Stopped as asked: {held.rows} of 400 rows of this call are in the run" in told
    assert "Start the same command again to go on." in told
    # Two workers finish what they are doing, and what they have begun before the driver heard of the first one.
    assert before <= held.parts <= before + 8
    assert (held.rows, held.unusable) == (10 * held.parts, ())
    assert not (run / "writers" / "stop").exists()
    ds = make_rows(400)
    through_run = collect_in_run(ds, stub_rollouts(2), str(run), rows_per_part=10)
    assert through_run.to_list() == collect_evidence(ds, stub_rollouts(2)).to_list()


@pytest.mark.exhaustive
def test_the_command_line_on_two_workers(tmp_path):
    """hf-rap rollouts --ray: a file like that of one process, from parts that two workers have written."""
    planted = make_planted(32)
    planted.to_parquet(tmp_path / "rows.parquet")
    run, out = tmp_path / "run", tmp_path / "evidence.parquet"
    command = [sys.executable, "-m", "hf_rap", "rollouts", str(tmp_path / "rows.parquet"), "--model", "demo"]
    command += [
        "--attempts",
        "2",
        "--batch-size",
        "16",
        "--max-new-tokens",
        "32",
        "--rows-per-part",
        "4",
        "--run",
        str(run),
    ]
    command += ["--ray", "local", "--ray-workers", "2", "--out", str(out), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, env=environment(), check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == 32
    assert "rollouts: 32 of 32 rows" in done.stderr
    assert list_runs(str(run))[0].parts == 8
    shared = datasets.Dataset.from_parquet(str(out), cache_dir=str(tmp_path / "cache"))
    alone = collect_evidence(planted, Rollouts(demo_engine(), attempts=2, max_new_tokens=32))
    assert shared.remove_columns("images").to_list() == alone.remove_columns("images").to_list()


LARGER_THAN_THE_STORE = """
import shutil, sys, tempfile, threading, time
from pathlib import Path
import datasets, ray
from stubs import FEATURES, Stub, png
from hf_rap import Rollouts
from hf_rap.runs.cluster import fill_on_ray
from hf_rap.runs.fill import Run
run, folder = sys.argv[1:]

def rows():
    for number in range(1500):
        image = {"bytes": png(number) + bytes(200_000), "path": None}
        yield {"id": str(number), "images": [image], "problem": f"<image>How many? ({number})", "answer": "1"}

ds = datasets.Dataset.from_generator(rows, features=FEATURES, cache_dir=folder)
short = tempfile.mkdtemp(prefix="r")  # Ray keeps its sockets there, whose paths may not be long
ray.init(address="local", num_cpus=2, object_store_memory=80_000_000, include_dashboard=False, log_to_driver=False, _temp_dir=short)
first = []
def watch():
    while not list(Path(run).glob("*/*.parquet")):
        time.sleep(0.05)
    first.append(time.monotonic())
started = time.monotonic()
threading.Thread(target=watch, daemon=True).start()
with Run(ds, Rollouts(Stub(), attempts=1), run, rows_per_part=20) as running:
    print(fill_on_ray(running, workers=2).done, flush=True)
spilled = [path for path in Path(short).rglob("*spilled*") if path.is_dir() and any(path.iterdir())]
ray.shutdown()
shutil.rmtree(short, ignore_errors=True)
print("spilled", len(spilled), "first part", round(first[0] - started), flush=True)
"""


@pytest.mark.exhaustive
def test_a_dataset_larger_than_the_memory_of_ray_is_not_spilled(tmp_path):
    """300 MB of pictures through an object store of 80 MB: a part at a time is in it."""
    (tmp_path / "ray").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", LARGER_THAN_THE_STORE, str(tmp_path / "run"), str(tmp_path / "ray")],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows, spilled = done.stdout.splitlines()
    assert rows == "1500"
    assert spilled.startswith("spilled 0 first part ")


def test_a_connection_from_outside_of_the_cluster_is_refused(run):
    """Before anything is connected: workers could not be handed the rows of this machine."""
    from hf_rap.runs.cluster import fill_on_ray

    with (
        Run(make_rows(3), stub_rollouts(1), run) as running,
        pytest.raises(SettingError, match=r"ray:// comes from outside .* with --ray auto"),
    ):
        fill_on_ray(running, "ray://head:10001")
