"""Runs from before models had an identity: gone on with where it is told what they hold, else refused with a sentence."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from stubs import make_rows, stub_rollouts

from hf_rap import EndpointEngine, Rollouts, TransformersEngine
from hf_rap.demo import MODEL, demo_engine, make_planted
from hf_rap.engines.identity import digest_before
from hf_rap.errors import RunError
from hf_rap.runs.fill import Run, settings_of
from hf_rap.stats.settings import NOT_COUNTED

BEFORE = "0123456789abcdef"


@pytest.fixture
def rollouts():
    """Of the built-in model."""
    return Rollouts(demo_engine(), attempts=2, max_new_tokens=24)


def settings_before(rollouts, **told):
    """The settings as they were written then."""
    new = {
        "identity",
        NOT_COUNTED,
        "attn_implementation",
        "batch_size",
        "trust_remote_code",
        "engine_version",
        "adapter",
    }
    new |= {"server", "concurrency", "timeout", "retries"}
    kept = {name: value for name, value in settings_of(rollouts).items() if name not in new}
    return {**kept, "attention": "sdpa", "revision": None, "weights": None, **told}


def write_run(folder, settings):
    """A run of that day without any parts."""
    (folder / BEFORE).mkdir(parents=True)
    (folder / "run.json").write_text('{"format": 2}')
    manifest = {"format": 2, "kind": "rollouts", "tops_up": True, "settings": settings}
    (folder / BEFORE / "manifest.json").write_text(json.dumps(manifest))
    return str(folder)


def goes_on(rollouts, url, ds=None):
    """Whether it takes what lies under the fingerprint of that time."""
    with Run(make_planted(6) if ds is None else ds, rollouts, url) as run:
        return BEFORE in run.index.fingerprints


def test_folder_with_the_digest_of_that_time(rollouts, tmp_path):
    """The files are those of then, whatever the folder is called now."""
    url = write_run(tmp_path / "run", settings_before(rollouts, weights=digest_before(MODEL)))
    assert goes_on(rollouts, url)
    copy = shutil.copytree(MODEL, tmp_path / "another-name")
    assert goes_on(replace(rollouts, engine=replace(rollouts.engine, model=str(copy), batch_size=3)), url)


def test_folder_with_another_digest(rollouts, tmp_path, other_grid, grid_adapter):
    """Another model starts anew, and so does an adapter, of which there were none."""
    url = write_run(tmp_path / "run", settings_before(rollouts, weights=digest_before(MODEL)))
    assert not goes_on(replace(rollouts, engine=replace(rollouts.engine, model=str(other_grid))), url)
    assert not goes_on(replace(rollouts, engine=replace(rollouts.engine, adapter=str(grid_adapter))), url)


def test_other_settings(rollouts, tmp_path):
    """The weights are the same, the temperature is not."""
    url = write_run(tmp_path / "run", settings_before(rollouts, weights=digest_before(MODEL), temperature=0.5))
    assert not goes_on(rollouts, url)


def test_name_without_a_commit(rollouts, tmp_path, hub_cache):
    """transformers 5.23 told none: the sentence says why and what to do, and nothing is asked."""
    commit = hub_cache.commit("me/grid", MODEL)
    hub = replace(rollouts, engine=TransformersEngine("me/grid", device="cpu", dtype="float32"))
    url = write_run(tmp_path / "run", settings_before(hub))
    with pytest.raises(RunError) as caught:
        goes_on(hub, url)
    assert str(caught.value) == (
        f"The run {url!r} was written before models had an identity: its manifest names 'me/grid' and no commit, so nothing "
        f"tells whether its replies came from me/grid@{commit}. Go on with the hf_rap that wrote it (0.1.0), or give a new "
        "folder to ask this model."
    )
    assert [path.name for path in Path(url).iterdir() if len(path.name) == len(BEFORE)] == [BEFORE]


def test_name_with_a_commit(rollouts, tmp_path, hub_cache, other_grid):
    """Older transformers told it: that commit goes on, and another one starts anew."""
    old, new = hub_cache.commit("me/grid", MODEL), hub_cache.commit("me/grid", other_grid)
    engines = {name: TransformersEngine("me/grid", revision=name, device="cpu", dtype="float32") for name in (old, new)}
    url = write_run(tmp_path / "run", settings_before(replace(rollouts, engine=engines[old]), revision=old))
    assert goes_on(replace(rollouts, engine=engines[old]), url)
    assert not goes_on(replace(rollouts, engine=engines[new]), url)


def test_server_is_known_by_its_name_as_before(tmp_path):
    """URL and what the server tells never counted; a revision does."""
    rollouts = Rollouts(EndpointEngine("http://127.0.0.1:9/v1", model="m", concurrency=7), attempts=2)
    url = write_run(tmp_path / "run", settings_before(rollouts))
    assert goes_on(rollouts, url, make_rows(3))
    moved = replace(rollouts, engine=EndpointEngine("http://127.0.0.1:10/v1", model="m"))
    assert goes_on(moved, url, make_rows(3))
    other = replace(rollouts, engine=EndpointEngine("http://127.0.0.1:9/v1", model="m", revision="v2"))
    assert not goes_on(other, url, make_rows(3))


def test_engine_of_somebody_else(tmp_path):
    """All that it tells has to agree."""
    url = write_run(tmp_path / "run", settings_before(stub_rollouts()))
    assert goes_on(stub_rollouts(), url, make_rows(3))
    assert not goes_on(stub_rollouts(name="other"), url, make_rows(3))
