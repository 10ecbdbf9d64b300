"""What a worker of a cluster does with a block of rows that a server refuses."""

import pyarrow as pa
import pytest
from server import FaultyServer
from stubs import make_rows

from hf_rap import EndpointEngine, Rollouts, list_runs
from hf_rap.runs.cluster import Feeder, Writer
from hf_rap.runs.fill import Run, settings_of

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'hf-rap[ray]'")
pytestmark = pytest.mark.slow


@pytest.mark.exhaustive
def test_a_block_of_which_all_rows_are_refused_is_a_part(tmp_path):
    """They are errors of their rows: whether the run is hopeless the driver judges, who sees all blocks."""
    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    try:
        with FaultyServer(always="400") as server:
            rollouts = Rollouts(EndpointEngine(server.url, model="m", concurrency=4), attempts=1)
            with Run(make_rows(12), rollouts, str(tmp_path / "run")) as run:
                rows = run.ds.select_columns(run.columns)
                feeder = ray.remote(Feeder).remote(rows, run.layout.media_roots, run.tasks(range(12)))
                settings = settings_of(run.collector)
                writer = Writer(run.collector, run.folder.url, run.fingerprint, settings, feeder=feeder, before=0)
                (summary,) = writer(pa.table({"number": [0]})).to_pylist()
    finally:
        ray.shutdown()
    assert sum(failure is not None for failure in summary["failures"]) == 12
    (held,) = list_runs(str(tmp_path / "run"))
    assert (held.rows, held.failed) == (12, 12)
