"""A run on s3://, against moto's server on 127.0.0.1."""

import socket

import pytest
from stubs import make_rows, stub_rollouts

from hf_rap import collect_evidence, collect_in_run, list_runs
from hf_rap.errors import RunError
from hf_rap.runs.folder import RunFolder

pytest.importorskip("s3fs", reason="s3fs is not installed: pip install s3fs")
server = pytest.importorskip("moto.server", reason="moto is not installed: pip install 'moto[server]'")
pytestmark = pytest.mark.slow


@pytest.fixture
def bucket(monkeypatch):
    """An empty bucket."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    moto = server.ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    moto.start()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().makedirs("runs-bucket", exist_ok=True)  # moto keeps buckets until the process ends
    yield "s3://runs-bucket/geometry"
    moto.stop()


def test_a_run_on_s3_resumes_tops_up_and_is_listed(bucket):
    """As on a disk; each part is one object, whole from the first moment."""
    ds = make_rows(30)
    collect_in_run(ds.select(range(20)), stub_rollouts(2), bucket, rows_per_part=6)
    evidence = collect_in_run(ds, stub_rollouts(4), bucket, rows_per_part=6)
    assert evidence.to_list() == collect_evidence(ds, stub_rollouts(4)).to_list()
    (held,) = list_runs(bucket)
    assert (held.rows, held.fewest_attempts, held.most_attempts, held.unusable) == (30, 4, 4, ())
    folder = RunFolder(bucket)
    assert folder.creates_for_one()
    assert (folder.names("writers"), folder.names("claims")) == ([], [])
    # 20 rows of attempts 0-1 in 4 parts; 10 new rows of 0-3 in 2, and 20 rows of 2-3 in 4.
    assert len(folder.parts(held.fingerprint)) == 10


def test_a_bucket_that_does_not_exist_is_said(bucket):
    """Before the model is loaded."""
    with pytest.raises(RunError, match=r"Cannot write run\.json into the run 's3://no-such-bucket/run'"):
        collect_in_run(make_rows(2), stub_rollouts(), "s3://no-such-bucket/run")
