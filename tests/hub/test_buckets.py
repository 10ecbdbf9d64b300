"""A run in a bucket of the Hub, `hf://buckets/...`, through the unmodified client."""

import re

import pytest
from huggingface_hub import HfFileSystem
from stubs import make_rows, stub_rollouts  # of the runs

from hf_rap import collect_evidence, collect_in_run, list_runs
from hf_rap.errors import PublishError, RunError
from hf_rap.hub import publish
from hf_rap.runs.folder import RunFolder
from hf_rap.runs.lease import Lease
from hf_rap.scorers import cde_score, difficulty_score
from hf_rap.scorers.base import add_scores
from hf_rap.select import select_cognitive
from hf_rap.versions.folder import publish_to_folder

URL = "hf://buckets/user/runs/geometry"


@pytest.fixture
def bucket(hub, tokens, monkeypatch):
    """An empty bucket of the user's, and its files by their path."""
    monkeypatch.setenv("HF_TOKEN", tokens["writer"])
    HfFileSystem.clear_instance_cache()
    hub.buckets.create("user/runs")
    yield hub.buckets.files["user/runs"]
    HfFileSystem.clear_instance_cache()


def test_a_run_in_a_bucket_resumes_tops_up_and_is_listed(bucket):
    """As on a disk; each part is one object, whole from the first moment."""
    ds = make_rows(30)
    collect_in_run(ds.select(range(20)), stub_rollouts(2), URL, rows_per_part=6)
    evidence = collect_in_run(ds, stub_rollouts(4), URL, rows_per_part=6)
    assert evidence.to_list() == collect_evidence(ds, stub_rollouts(4)).to_list()
    (held,) = list_runs(URL)
    assert (held.rows, held.fewest_attempts, held.most_attempts, held.unusable) == (30, 4, 4, ())
    # 20 rows of attempts 0-1 in 4 parts; 10 new rows of 0-3 in 2, and 20 rows of 2-3 in 4.
    assert len(RunFolder(URL).parts(held.fingerprint)) == 10
    assert sorted({path.split("/")[1] for path in bucket}) == sorted([held.fingerprint, "run.json"])


def test_a_run_in_a_bucket_is_published(bucket, hub, api):
    """From its evidence to a version of a dataset beside it."""
    evidence = collect_in_run(make_rows(12), stub_rollouts(4), URL)
    scored = add_scores(evidence, cde_score, difficulty_score)
    release = publish(select_cognitive(scored, min_cde=-1, replace_easy=False), "user/geometry-rap", "1.0.0", api=api)
    assert release.commit == hub.repo("user/geometry-rap").tags["v1.0.0"][0]
    assert release.facts["rows"]["all"] == 12


def test_a_torn_part_in_a_bucket_is_made_again(bucket):
    """As everywhere, by the hash in its name."""
    ds = make_rows(12)
    collect_in_run(ds, stub_rollouts(2), URL, rows_per_part=6)
    parts = [path for path in bucket if path.endswith(".parquet")]
    bucket[parts[0]] = bucket["geometry/run.json"]
    evidence = collect_in_run(ds, stub_rollouts(2), URL, rows_per_part=6)
    assert evidence.to_list() == collect_evidence(ds, stub_rollouts(2)).to_list()


def test_a_second_writer_of_a_run_in_a_bucket_is_told(bucket, monkeypatch):
    """A bucket cannot make a file only where there is none: who writes is told by a file that goes on changing."""
    monkeypatch.setattr("hf_rap.runs.lease.BEAT_SECONDS", 0.2)
    monkeypatch.setattr("hf_rap.runs.lease._surely_dead", lambda _: False)  # as on another machine
    with Lease(RunFolder(URL, create=True)):
        with pytest.raises(RunError, match=r"The run 'hf://buckets/user/runs/geometry' is taken: process \d+ on"):
            collect_in_run(make_rows(2), stub_rollouts(), URL)
        (beat,) = [path for path in bucket if "/writers/" in path]
        assert re.fullmatch(r"geometry/writers/0-of-1-\w+\.json", beat)
    assert [path for path in bucket if "/writers/" in path] == []


@pytest.mark.parametrize(
    ("url", "token", "message"),
    [
        ("hf://buckets/user/none/run", "writer", r"Cannot write run\.json into the run .*none.*: .*buckets/user/none"),
        (URL, "reader", r"Cannot write run\.json into the run .*: .*"),
        (URL, "other", r"Cannot write run\.json into the run .*: .*"),
        (URL, None, r"Cannot write run\.json into the run .*: .*"),
        (
            "hf://buckets/user",
            "writer",
            r"Cannot list the files in the run 'hf://buckets/user': .*Bucket id must be 'namespace/name'",
        ),
        ("hf://datasets/user/data/run", "writer", "would make a commit of every file.*: give a bucket, hf://buckets/"),
    ],
)
def test_a_bucket_that_cannot_be_written_is_said(bucket, tokens, monkeypatch, url, token, message):
    """Before the model is loaded."""
    if token is None:
        monkeypatch.delenv("HF_TOKEN")
    else:
        monkeypatch.setenv("HF_TOKEN", tokens[token])
    HfFileSystem.clear_instance_cache()
    with pytest.raises(RunError, match=message):
        collect_in_run(make_rows(2), stub_rollouts(), url)
    assert bucket == {}


def fail_once(hub, bucket, fault):
    """Lets the batch that would add the fifth file go wrong."""
    done = []

    def fail(_, __, path):
        return done.append(path) or fault if path.endswith("/batch") and len(bucket) == 4 and not done else None

    hub.fault = fail
    return done


@pytest.mark.parametrize("fault", [500, 503, "drop", "lost"])
def test_what_passes_is_done_again_by_the_client(bucket, hub, no_waiting, fault):
    """The run does not see it."""
    done = fail_once(hub, bucket, fault)
    evidence = collect_in_run(make_rows(12), stub_rollouts(2), URL, rows_per_part=3)
    assert done
    assert evidence.to_list() == collect_evidence(make_rows(12), stub_rollouts(2)).to_list()


def test_a_bucket_that_says_no_costs_no_part(bucket, hub):
    """The error says so, and the same call goes on."""
    fail_once(hub, bucket, 403)
    with pytest.raises(RunError, match=r"Cannot write .*\. Parts that are written stay good"):
        collect_in_run(make_rows(12), stub_rollouts(2), URL, rows_per_part=3)
    held = set(bucket)
    evidence = collect_in_run(make_rows(12), stub_rollouts(2), URL, rows_per_part=3)
    assert held - set(bucket) <= {"geometry/writers/0-of-1.json"}
    assert evidence.to_list() == collect_evidence(make_rows(12), stub_rollouts(2)).to_list()


@pytest.mark.parametrize("at", ["/tree/geometry", "/batch"])
def test_a_hub_that_stays_away_is_said(bucket, hub, no_waiting, at):
    """After what the client tries again, in a sentence of ours."""
    hub.fault = lambda _, __, path: "drop" if at in path else None
    with pytest.raises(RunError, match=r"run 'hf://buckets/user/runs/geometry'.*: .*disconnected"):
        collect_in_run(make_rows(2), stub_rollouts(), URL)


def test_a_version_is_not_written_into_a_bucket(bucket, select):
    """It is a folder of this machine, or a repository; nothing is made of the name of a bucket."""
    with pytest.raises(PublishError, match=r"hf://buckets/user/runs/v1' is no folder .* publish\(selection, "):
        publish_to_folder(select(), "hf://buckets/user/runs/v1")
    assert bucket == {}
