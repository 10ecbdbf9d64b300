"""What a worker of a cluster does with a block of rows, without the cluster."""

from server import FaultyServer
from stubs import make_rows

from hf_rap import EndpointEngine, Rollouts, list_runs
from hf_rap.runs.cluster import Writer, _block
from hf_rap.runs.fill import Run, settings_of


def test_a_block_of_which_all_rows_are_refused_is_a_part(tmp_path):
    """They are errors of their rows: whether the run is hopeless the driver judges, who sees all blocks."""
    with FaultyServer(always="400") as server:
        rollouts = Rollouts(EndpointEngine(server.url, model="m", concurrency=4), attempts=1)
        with Run(make_rows(12), rollouts, str(tmp_path / "run")) as run:
            (task,) = run.tasks(range(12))
            block = _block(run, task)
            writer = Writer(run.collector, str(tmp_path / "run"), run.fingerprint, settings_of(run.collector))
            (summary,) = writer(block).to_pylist()
    assert sum(failure is not None for failure in summary["failures"]) == 12
    (held,) = list_runs(str(tmp_path / "run"))
    assert (held.rows, held.failed) == (12, 12)
