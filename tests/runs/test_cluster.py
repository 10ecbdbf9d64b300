"""A run on a Ray cluster of two nodes on this machine, one of which dies half-way."""

import os
import sys
import threading
import time
from pathlib import Path

import pytest
from stubs import Stub, make_rows, stub_rollouts

from hf_rap import (
    Attention,
    Rollouts,
    Run,
    RunError,
    SettingError,
    StepRewards,
    collect_evidence,
    list_runs,
    one_row_per_response,
)

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


def test_faults_are_said_before_work_starts(cluster, tmp_path):
    """No workers, and a run that is broken as a whole."""
    from hf_rap.runs.cluster import fill_on_ray

    with Run(make_rows(40), stub_rollouts(fails_on="How"), str(tmp_path / "run"), rows_per_part=40) as run:
        with pytest.raises(SettingError, match="workers must be at least 1, got 0"):
            fill_on_ray(run, workers=0)
        with pytest.raises(RunError, match="40 of 40 rows failed"):
            fill_on_ray(run, workers=1)
