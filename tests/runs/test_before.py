"""Runs from before models had an identity: gone on with where it is told what they hold, else refused with a sentence."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from stubs import Stub, make_rows, stub_rollouts

from hf_rap import Attention, EndpointEngine, Rollouts, StepRewards, TransformersEngine, collect_in_run
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


def write_run(folder, settings, kind="rollouts", parts=()):
    """A run of that day, without any parts that could be read."""
    (folder / BEFORE).mkdir(parents=True)
    (folder / "run.json").write_text('{"format": 2}')
    manifest = {"format": 2, "kind": kind, "tops_up": True, "settings": settings}
    (folder / BEFORE / "manifest.json").write_text(json.dumps(manifest))
    for name in parts:
        (folder / BEFORE / name).write_bytes(b"")
    return str(folder)


PART = f"0000-0002-00003-{'0' * 32}.parquet"


def remarks(rewards_or_rollouts, url, ds, caplog):
    """What is said when the run is opened."""
    caplog.clear()
    with Run(ds, rewards_or_rollouts, url):
        pass
    return [record.getMessage() for record in caplog.records if record.name == "hf_rap.runs.fill"]


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


def test_a_run_that_starts_anew_says_why(tmp_path, caplog):
    """Step scores of a time when a way to split had no name, and rollouts whose prompt was told otherwise; once."""
    rewards = StepRewards(Stub(), continuations=2, split=str.split)
    old = settings_before(rewards, split="split 12ab")
    url = write_run(tmp_path / "steps", old, kind="step scores", parts=[PART])
    ds = make_rows(3).add_column("response", ["a b"] * 3)
    (remark,) = remarks(rewards, url, ds, caplog)
    assert remark == (
        f"The run {url!r} holds step scores that cannot be continued, because other settings made them: "
        'split is "split 12ab" there, "str.split" here. It starts anew beside them.'
    )
    assert remarks(rewards, url, ds, caplog) == []

    old = {**settings_before(stub_rollouts()), "instruction": None, "template": "x" * 100}
    url = write_run(tmp_path / "rollouts", old, parts=[PART])
    (remark,) = remarks(stub_rollouts(), url, make_rows(3), caplog)
    assert remark.startswith(
        f"The run {url!r} holds rollouts that cannot be continued, because other settings made them: "
    )
    assert 'instruction is null there, "' in remark
    assert f'template is "{"x" * 59}... (102 characters) there, not told here. It starts' in remark


def test_a_run_beside_others_names_what_differs_least(tmp_path, caplog):
    """Of the same kind alone; one that goes on, or holds nothing yet, says nothing."""
    url, ds = str(tmp_path / "run"), make_rows(3)
    assert remarks(stub_rollouts(), url, ds, caplog) == []
    assert remarks(replace(stub_rollouts(), temperature=0.5), url, ds, caplog) == []  # nothing was collected
    collect_in_run(ds, stub_rollouts(), url)
    collect_in_run(ds, replace(stub_rollouts(name="other"), temperature=0.7), url)
    assert remarks(stub_rollouts(5), url, ds, caplog) == []
    (remark,) = remarks(replace(stub_rollouts(name="other"), temperature=0.8), url, ds, caplog)
    assert remark.endswith("settings made them: temperature is 0.7 there, 0.8 here. It starts anew beside them.")
    (remark,) = remarks(stub_rollouts(name="third"), url, ds, caplog)
    assert remark.endswith("settings made them: stub there, third here. It starts anew beside them.")
    evidence = collect_in_run(ds, stub_rollouts(), url)
    assert remarks(Attention(Stub()), url, evidence, caplog) == []
