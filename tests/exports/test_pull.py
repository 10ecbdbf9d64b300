"""A version becomes a trainer's folder only if it is exactly what was published."""

import json

import pyarrow.parquet as pq
import pytest

from hf_rap import RapError, publish_to_folder, pull, select_cognitive
from hf_rap.errors import SourceError

from .awkward import awkward


@pytest.fixture
def version(tmp_path):
    ds = awkward().add_column("rap_image_rewards", [[1.0, 0.0]] * 4)
    publish_to_folder(select_cognitive(ds, min_cde=0.2, replace_easy=False), tmp_path / "version", version="1.2.0")
    return tmp_path / "version"


@pytest.mark.parametrize("asked", ["1.2.0", "v1.2.0"])
def test_pulls_a_published_folder(tmp_path, version, asked):
    """The rows of `selected`, in the layout that was asked for."""
    done = pull(version, tmp_path / "out", version=asked, to="openrlhf")
    assert pq.read_table(done.path / "train.parquet")["id"].to_pylist() == awkward()["id"]


def test_pulls_another_config(tmp_path, version):
    """`scored` has all rows, in the user's own columns."""
    assert pull(version, version="1.2.0", to="trl", path=tmp_path / "out", config="scored").handoff.rows == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"version": "2.0.0"}, "holds version 1.2.0, not 2.0.0"),
        ({"version": "main"}, "takes three numbers"),
        ({"version": "1.2.0", "config": "control"}, r"no config 'control' .*it has: scored, selected"),
    ],
)
def test_what_is_not_there_is_named(tmp_path, version, options, message):
    """With what is there instead."""
    with pytest.raises(RapError, match=message):
        pull(version, to="trl", path=tmp_path / "out", **options)


def test_changed_file_is_refused(tmp_path, version):
    """Its hash is not the one in the manifest."""
    (file,) = (version / "selected").iterdir()
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(SourceError, match=r"not what rap\.json of version 1\.2\.0 lists"):
        pull(version, version="1.2.0", to="trl", path=tmp_path / "out")


def test_folder_without_a_manifest_is_no_version(tmp_path):
    """Any other folder."""
    (tmp_path / "other").mkdir()
    with pytest.raises(SourceError, match=r"holds no rap.json"):
        pull(tmp_path / "other", version="1.0.0", to="trl", path=tmp_path / "out")


def test_manifest_lists_what_is_read(version):
    """The test above would pass for any reason if the manifest listed nothing."""
    assert [name for name in json.loads((version / "rap.json").read_text())["files"] if "selected" in name]


def test_version_in_the_cache_of_the_hub_needs_no_network(tmp_path, version, monkeypatch):
    """What was fetched once at a tag is found again, by the name of the tag."""
    from huggingface_hub import constants

    repo = tmp_path / "hub" / "datasets--user--geo-rap"
    commit = "0123456789abcdef0123456789abcdef01234567"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "v1.2.0").write_text(commit)
    (repo / "snapshots").mkdir()
    version.rename(repo / "snapshots" / commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    done = pull("user/geo-rap", version="1.2.0", to="openrlhf", path=tmp_path / "out")
    assert pq.read_table(done.path / "train.parquet")["id"].to_pylist() == awkward()["id"]
    with pytest.raises(
        SourceError,
        match=r"user/geo-rap: HF_HUB_OFFLINE is set, so version 1\.3\.0 was never loaded on this machine \(there is: 1\.2\.0\)",
    ):
        pull("user/geo-rap", version="1.3.0", to="easyr1", path=tmp_path / "other")
